"""Configurations and checkpoints from anywhere: one line, no foreign code, nothing of this machine in them."""

import copy
import os
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.runs import QUIET, config
from ups_data import UpsDataError
from ups_data.training import load_config, load_trained, train
from ups_data.training.runs.checkpoint import load_checkpoint
from ups_data.training.runs.metrics import MetricsFile

PLAIN = "data:\n  root: somewhere\n"


def refused(path: Path, match: str, *overrides: str) -> str:
    with pytest.raises(UpsDataError, match=match) as error:
        load_config(path, overrides)
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (PLAIN + "out: ${oc.env:UPS_SECRET}\n", "out"),
        (PLAIN + "out: runs/${oc.env:UPS_SECRET,x}\n", "out"),
        (PLAIN + "out: ${oc.decode:'1'}\n", "out"),
        (PLAIN + "out: '${ oc.env : UPS_SECRET }'\n", "out"),
        (PLAIN + "name: oc.env\nout: ${${name}:UPS_SECRET}\n", "out"),
        (PLAIN + "model: {options: {list: [1, '${oc.env:UPS_SECRET}']}}\n", r"model\.options\.list\.1"),
        (PLAIN + "training: {loss_weights: {prediction: '${data.${oc.env:UPS_SECRET}}'}}\n", "training.loss_weights"),
    ],
)
def test_a_configuration_does_not_read_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, key: str
) -> None:
    monkeypatch.setenv("UPS_SECRET", "hunter2")
    path = tmp_path / "run.yaml"
    path.write_text(content)
    text = refused(path, rf"{key}.*reads from outside of the configuration: .*--allow-env")
    assert "hunter2" not in text


def test_the_environment_is_read_if_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPS_OUT", "there")
    path = tmp_path / "run.yaml"
    path.write_text(PLAIN + "out: runs/${oc.env:UPS_OUT}\n")
    assert load_config(path, allow_env=True).out == "runs/there"
    path.write_text(PLAIN + "out: ${data.root}/run:1\n")  # another key of the same file, and a colon beside it
    assert load_config(path).out == "somewhere/run:1"
    refused(path, "reads from outside", "out=${oc.env:UPS_OUT}")


def test_files_that_are_no_files(tmp_path: Path) -> None:
    """At once, where opening a pipe would wait for a writer."""
    path = tmp_path / "run.yaml"
    os.mkfifo(path)
    refused(path, "not a regular file")
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / "checkpoint.pt")
    with pytest.raises(UpsDataError, match=r"checkpoint\.pt: not a regular file"):
        load_trained(tmp_path / "out")
    refused(Path("/dev/zero"), "not a regular file")


def test_small_files_that_would_become_large(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    aliases = (f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    path.write_text("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(aliases))
    refused(path, "more than 100,000 values")
    path.write_text("a: " + "[" * 20_000)
    refused(path, "not a configuration")
    path.write_text("a: &a [*a]")
    refused(path, "not a configuration")
    path.write_text("a: " + "x" * (1 << 20))
    refused(path, "more than 1 MiB")
    path.write_bytes(b"a: \xff\xfe")
    refused(path, "not a configuration")


@pytest.fixture(scope="module")
def half_done(waves: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped in its second epoch."""
    out = tmp_path_factory.mktemp("runs") / "half"
    left = iter(range(12))
    assert not train(config(waves, out, epochs=2), console=QUIET, stop=lambda: next(left, None) is None).finished
    return out


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in nested dicts and lists."""
    if way:
        yield way
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, part in items:
        yield from places(part, (*way, key))


def with_value(state: dict[str, Any], way: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy in which one value is another, or is left out (`...`)."""
    state = copy.deepcopy(state)
    part: Any = state
    for number, key in enumerate(way[:-1]):
        if isinstance(part[key], tuple):
            part[key] = list(part[key])
        part = part[key] if number < len(way) else part
    if value is ...:
        part.pop(way[-1])
    else:
        part[way[-1]] = value
    return state


ODD = [None, -1, 1 << 70, float("nan"), "text", [], {}, torch.zeros(3), True, ...]


def refusal(call: Callable[[], object]) -> str | None:
    """The one line that a call is refused with, None if it is not. Anything else that it raises is a failure."""
    try:
        call()
    except UpsDataError as error:
        return str(error)
    return None


@pytest.mark.parametrize("count", [25, pytest.param(200, marks=pytest.mark.faults)])
def test_a_checkpoint_with_any_value_changed(waves: Path, tmp_path: Path, half_done: Path, count: int) -> None:
    """What can be told from a sound one is refused in one line; the rest is a sound one."""
    state = load_checkpoint(half_done / "checkpoint.pt")
    ways = [w for w in places(state) if w[0] not in ("model", "config") and not (w[0] == "rng" and len(w) > 3)]
    draw = random.Random(count)
    told = []
    for _ in range(count):
        way, value = draw.choice(ways), draw.choice(ODD)
        out = tmp_path / "run"
        shutil.copytree(half_done, out)
        torch.save(with_value(state, way, value), out / "checkpoint.pt")
        try:
            told.append(refusal(lambda: train(config(waves, tmp_path / "run", epochs=2), console=QUIET)))
        except Exception as error:
            raise AssertionError(f"{way} = {value!r}") from error
        assert "\n" not in (told[-1] or ""), (way, value)
        shutil.rmtree(out)
    assert len([line for line in told if line]) > count / 3


PARTS = ["model", "optimiser", "loader", "rng", "tally", "history", "config", "metrics", "epoch"]


@pytest.mark.parametrize("part", PARTS)
def test_a_checkpoint_that_lacks_a_part(waves: Path, tmp_path: Path, half_done: Path, part: str) -> None:
    shutil.copytree(half_done, tmp_path / "run")
    state = load_checkpoint(half_done / "checkpoint.pt")
    del state[part]
    torch.save(state, tmp_path / "run" / "checkpoint.pt")
    for use in (
        lambda: train(config(waves, tmp_path / "run", epochs=2), console=QUIET),
        lambda: load_trained(tmp_path / "run"),
    ):
        with pytest.raises(UpsDataError, match=r"checkpoint\.pt: does not fit this run") as error:
            use()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("sizes", [{"dim": 2**20}, {"depth": 1000}, {"dim": 2**40, "depth": 1}, {"depth": 10**7}])
def test_a_checkpoint_that_claims_a_large_model(tmp_path: Path, half_done: Path, sizes: dict[str, int]) -> None:
    """Nothing is allocated for it."""
    shutil.copytree(half_done, tmp_path / "run")
    state = load_checkpoint(half_done / "checkpoint.pt")
    state["config"]["model"].update(sizes)
    torch.save(state, tmp_path / "run" / "checkpoint.pt")
    with pytest.raises(UpsDataError, match="weights, and its configuration is of a model|not a checkpoint of this"):
        load_trained(tmp_path / "run")


def test_a_configuration_of_a_model_beyond_the_memory(waves: Path, tmp_path: Path) -> None:
    settings = config(waves, tmp_path / "run")
    settings.model.dim, settings.model.depth = 2**20, 1000
    with pytest.raises(UpsDataError, match="and this machine has"):
        train(settings, console=QUIET)


def test_a_checkpoint_s_history_replaces_no_method(waves: Path, tmp_path: Path, half_done: Path) -> None:
    shutil.copytree(half_done, tmp_path / "run")
    state = load_checkpoint(half_done / "checkpoint.pt")
    state["history"]["history"] = state["optimiser"]["schedule"]["step"] = 3
    torch.save(state, tmp_path / "run" / "checkpoint.pt")
    assert train(config(waves, tmp_path / "run", epochs=2), console=QUIET).finished


def test_a_checkpoint_s_optimiser_is_the_run_s(waves: Path, tmp_path: Path, half_done: Path) -> None:
    shutil.copytree(half_done, tmp_path / "run")
    state = load_checkpoint(half_done / "checkpoint.pt")
    state["optimiser"]["adam"]["param_groups"][0].update(betas=(1 << 70, 0.9), eps=-1.0, foreach=True, lr=1 << 70)
    torch.save(state, tmp_path / "run" / "checkpoint.pt")
    train(config(waves, tmp_path / "run", epochs=2), console=QUIET)
    kept = load_checkpoint(tmp_path / "run" / "checkpoint.pt")["optimiser"]["adam"]["param_groups"][0]
    assert (kept["betas"], kept["eps"], kept["foreach"]) == ((0.9, 0.99), 1e-8, None)


def test_files_that_are_no_checkpoint(tmp_path: Path, half_done: Path) -> None:
    whole = (half_done / "checkpoint.pt").read_bytes()
    path = tmp_path / "checkpoint.pt"
    draw = random.Random(1)
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    others = [(tmp_path / name).read_bytes() for name in ("module.pt", "list.pt")]
    cases = [b"", b"text", whole[:1000], whole[:-10], *others]
    for _ in range(60):
        changed = bytearray(whole)
        for _ in range(draw.randrange(1, 20)):
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        cases.append(bytes(changed))
    told = []
    for content in cases:
        path.write_bytes(content)
        told.append(refusal(lambda: load_checkpoint(path)))
    lines = [line for line in told if line]
    assert all(told[:6])
    assert all(line.startswith(f"{path}: ") and "\n" not in line for line in lines)


def test_a_checkpoint_that_would_become_large(tmp_path: Path) -> None:
    """A megabyte of zeros that were compressed, an archive with a part twice, and a file of torch before 1.6."""
    torch.save({"a": torch.zeros(100)}, tmp_path / "sound.pt")
    bomb, twice, old = (tmp_path / name for name in ("bomb.pt", "twice.pt", "old.pt"))
    with zipfile.ZipFile(tmp_path / "sound.pt") as sound, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for info in sound.infolist():
            data = bytes(2**20) if info.filename.endswith("data/0") else sound.read(info)
            archive.writestr(info.filename, data)
    shutil.copyfile(tmp_path / "sound.pt", twice)
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("sound/data/0", bytes(400))
    torch.save({"a": torch.zeros(100)}, old, _use_new_zipfile_serialization=False)
    for path in (bomb, twice, old):
        with pytest.raises(UpsDataError, match="not a checkpoint of this project") as error:
            load_checkpoint(path)
        assert "\n" not in str(error.value)
    assert load_checkpoint(tmp_path / "sound.pt")["a"].shape == (100,)


def test_a_link_in_place_of_the_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "metrics.jsonl").symlink_to(tmp_path / "mine")
    with pytest.raises(UpsDataError, match="is a link"):
        MetricsFile(tmp_path / "metrics.jsonl", 0)
    assert (tmp_path / "mine").read_text() == "mine"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UpsDataError):
        MetricsFile(tmp_path / "pipe", 0)
