"""`WriteOptions`: written once, checked once, and everywhere."""

import dataclasses
import inspect
import json
from typing import get_args

import numpy as np
import pytest

from ups_data import ShardWriter, UpsDataError
from ups_data.cli.commands.convert import convert as command
from ups_data.conversion.convert import convert
from ups_data.conversion.fingerprint import Identity
from ups_data.points.activity import Metric
from ups_data.schema import Manifest
from ups_data.store.arrays.codecs import CODECS
from ups_data.writing.casting import STORED
from ups_data.writing.options import WriteOptions

NAMES = [spec.name for spec in dataclasses.fields(WriteOptions)]
CHOICES = {spec.name: spec.metadata["choices"] for spec in dataclasses.fields(WriteOptions)}


def test_choices_are_those_of_the_rooms_that_carry_them_out():
    assert CHOICES["codec"] == CODECS
    assert set(CHOICES["cast"]) == {None, *STORED}
    assert WriteOptions(importance=get_args(Metric)).importance == get_args(Metric)


@pytest.mark.parametrize("takes", [ShardWriter, convert])
def test_help_shows_every_option(takes):
    shown = takes.__doc__ or ""
    parameters = inspect.signature(takes).parameters
    for spec in dataclasses.fields(WriteOptions):
        assert f"{spec.name} (default {spec.default!r}): {spec.metadata['doc'][:20]}" in shown
        assert parameters[spec.name].default == spec.default


def test_the_command_has_every_option():
    parameters = inspect.signature(command).parameters
    assert {"shard_bytes" if name == "shard_mb" else name for name in parameters} >= set(NAMES)


def test_every_option_is_a_part_of_the_identity(tmp_path):
    """In the words that datasets hold in their fingerprints."""
    np.save(tmp_path / "u.npy", np.zeros((1, 1, 4, 4, 1), np.float32))
    identity = Identity.of(tmp_path / "u.npy", WriteOptions(importance=["gradient"]).identity())
    assert {name: json.loads(value) for name, value in identity.options.items()} == {
        "allow_nonfinite": False,
        "blocks": 1,
        "cast": None,
        "codec": "none",
        "importance": ["gradient"],
        "seed": 0,
        "shard_bytes": 512 * 1024**2,
    }
    # Conversions that were begun before there were packs or masks go on; they are a part of it once they are asked for.
    assert set(identity.options) == set(NAMES) - {"pack", "mask", "mask_nan", "mask_fill"}
    assert set(WriteOptions(pack=True, mask="land", mask_nan=True, mask_fill=1.0).identity()) == set(NAMES)


WRONG = {
    "codec": ["gzip", None, 1],
    "cast": ["float64", 32, "", True],
    "blocks": [0, -3, 2.0, "4", True, None, 2**63],
    "seed": [0.5, "1", True, None, 2**63, -(2**63) - 1],
    "allow_nonfinite": [1, "yes", None],
    "mask": ["", "!", 1, True],
    "mask_nan": [1, "yes", None],
    "mask_fill": ["0", None, True, float("nan"), float("inf")],
    "pack": [1, "yes", None],
    "importance": ["gradient", ["error"], ["slope"], [1]],
    "shard_bytes": [0, -1, 1e6, 2**63],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_what_is_not_allowed_is_refused_in_one_line(tmp_path, name, value):
    np.save(tmp_path / "u.npy", np.zeros((1, 1, 4, 4, 1), np.float32))
    for takes in (
        WriteOptions,
        lambda **given: ShardWriter(tmp_path / "d", **given),
        lambda **given: convert(tmp_path / "u.npy", tmp_path / "d", **given),
    ):
        with pytest.raises(UpsDataError, match=name) as error:
            takes(**{name: value})
        assert "\n" not in str(error.value)
    assert not (tmp_path / "d").exists()


def test_an_unknown_keyword_is_what_python_says_it_is(tmp_path):
    with pytest.raises(TypeError, match=r"ShardWriter\(\) got an unexpected keyword argument 'block'"):
        ShardWriter(tmp_path / "d", block=4)
    assert not (tmp_path / "d").exists()


def test_keyword_arguments_win_over_the_record(tmp_path):
    options = WriteOptions(codec="lz4", blocks=4, seed=np.int64(7))
    with ShardWriter(tmp_path / "d", options, codec="zstd") as writer:
        writer.add({"u": np.zeros((1, 4, 4, 1), np.float32)})
    manifest = Manifest.load(tmp_path / "d")
    assert (manifest.codec, manifest.blocks, manifest.block_seed) == ("zstd", 4, 7)
