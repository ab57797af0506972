"""Damaged datasets: each is reported, by streaming it or by verifying it; none is served, none hangs, none crashes.

What changes no value (the attributes of a group, say) may pass unseen in streaming, if every batch and the manifest are
those of the intact dataset; `verify_dataset` notices it all the same.
"""

import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.faults.checker import WHILE_OPEN, Checker
from tests.faults.damage import KINDS, write_dataset, write_pair

CODECS = ("none", "lz4")
SEEN: Counter[str] = Counter()

# What the line of an error must say beyond shard and remedy.
CHUNK = r"field '[uvk]', rows \d+ to \d+: the stored bytes are damaged"
INDEX = r"field '[uv]': the index of .*/c/\d/0/0/0 is damaged"
SAYS = {
    "bit_of_a_chunk": CHUNK,
    "zeros_in_a_chunk": CHUNK,
    "bit_of_a_static_field": f"{CHUNK}|field 'k': the index",
    "bit_of_an_index": INDEX,
    "object_zeroed": INDEX,
    "object_cut": rf"{INDEX}|cannot be read",
    "object_cut_between_chunks": INDEX,
    "object_grown": INDEX,
    "object_missing": r"field '[uv]': .* cannot be read",
    "object_that_is_a_folder": r"field '[uv]': .* cannot be read",
    "array_missing": r"field '[uv]': .* is missing",
    "metadata_missing": r"field '[uv]': .*zarr.json is missing",
    "metadata_cut": r"field '[uv]': .*zarr.json is damaged",
    "bit_of_the_times": "trajectories/time",
    "bit_of_the_parameters": "trajectories/params",
}
# Kinds of very different cases: several of them in the short form too.
OFTEN = {"bit_of_metadata": 6, "bit_of_the_manifest": 10}


@pytest.fixture(scope="module")
def intact(checker: Checker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """Codec → a dataset, with another of the same shape beside it, and the digest of its batches."""
    found = {}
    for codec in CODECS:
        root = write_pair(tmp_path_factory.mktemp(codec), codec=codec)
        answer = checker("stream", root)
        assert answer["ended"] == "done", answer
        assert checker("verify", root)["ended"] == "done"
        found[codec] = root, answer["digest"]
    return found


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("length", ["short", pytest.param("long", marks=pytest.mark.faults)])
def test_damage_is_reported(checker: Checker, intact: dict[str, tuple[Path, str]], name: str, length: str) -> None:
    seeds = 6 if length == "long" else 1
    wrong = []
    for codec in CODECS if length == "long" or name in OFTEN else ("lz4",):
        for seed in range(max(seeds, OFTEN.get(name, 0))):
            wrong += case(checker, *intact[codec], name, seed)
    assert not wrong


def case(checker: Checker, good: Path, digest: str, name: str, seed: int) -> list[str]:
    """One damaged dataset; what was wrong about how it was taken."""
    root = good.with_name("case")
    shutil.copytree(good, root)
    what = KINDS[name](root, np.random.default_rng(seed))
    streamed, verified = checker("stream", root), checker("verify", root)
    shutil.rmtree(root)
    SEEN["datasets"] += 1
    wrong = []
    if streamed["ended"] == "reported":
        SEEN["reported by streaming"] += 1
        wrong += misleading(name, streamed["says"])
    elif streamed["ended"] != "done":
        SEEN[f"streaming ended by {streamed['ended']}"] += 1
        wrong.append(f"{what}: streaming ended by {streamed}")
    elif streamed["digest"] != digest:
        SEEN["served by streaming"] += 1
        wrong.append(f"{what}: served")
    else:
        SEEN["without effect on streaming"] += 1
    SEEN["reported by verifying"] += verified["ended"] == "reported"
    if verified["ended"] != "reported":
        wrong.append(f"{what}: verifying ended by {verified}")
    return wrong


def misleading(name: str, line: str) -> list[str]:
    """What an error's line lacks."""
    expected = [SAYS.get(name, ""), "again|make one with"]
    if "manifest" not in name:
        expected.append(r"train/shard-00000\d.zarr")
    lacks = [part for part in expected if not re.search(part, line)]
    return [f"{line!r} does not say {part!r}" for part in lacks] + (["several lines"] if "\n" in line else [])


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("act", [act.__name__ for act in WHILE_OPEN])
def test_objects_that_change_while_they_are_open(checker: Checker, tmp_path: Path, codec: str, act: str) -> None:
    write_dataset(tmp_path / "d", codec=codec, steps=200, object_frames=200)
    answer = checker(act, tmp_path / "d")
    assert answer["ended"] == "reported", answer
    assert not misleading("", answer["says"])
