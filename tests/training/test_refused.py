"""What a training, or what comes after it, cannot take: one line each that says what to do, nothing half-written."""

from pathlib import Path

import numpy as np
import pytest

from tests.cli.programs import invoke
from tests.training.runs import QUIET, config
from ups_data import ShardWriter
from ups_data.errors import UpsDataError
from ups_data.training import train

TRAIN = ["train", "bare.yaml", "data.batch_size=2", "training.device=cpu", "training.epochs=1"]
POINTS = "outside.csv"


@pytest.fixture(scope="module")
def folder(waves_run: Path, static: Path, clouds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`waves`, `static` and `clouds`, datasets; `run`, of waves; `two-run`, which predicts one of two fields."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "waves").symlink_to(waves_run.with_name("small"))
    (folder / "run").symlink_to(waves_run)
    (folder / "static").symlink_to(static)
    (folder / "clouds").symlink_to(clouds)
    rng = np.random.default_rng(0)
    with ShardWriter(folder / "two") as writer:
        for split in ("train",) * 4 + ("test",):
            writer.add({n: rng.random((6, 6, 6, 1), np.float32) for n in "ab"}, split=split)
    train(config(folder / "two", folder / "two-run", data={"target_fields": ["b"]}, epochs=1), console=QUIET)
    (folder / POINTS).write_text("0.5,0.5\n1.5,0.2\n")
    (folder / "bare.yaml").write_text("data: {root: waves}\n")
    return folder


def files(folder: Path) -> dict[str, int]:
    """Every file under a folder and under those that it links to, with the time of its last change."""
    found = {}
    for top in (folder, *(link.resolve() for link in folder.iterdir() if link.is_symlink())):
        found |= {str(p): p.stat().st_mtime_ns for p in top.rglob("*") if p.is_file()}
    return found


CASES = {
    "input fields that the data lack": (
        [*TRAIN, "data.root=waves", "out=new", "data.input_fields=[v]"],
        "no field 'v'",
    ),
    "target fields that the data lack": (
        [*TRAIN, "data.root=waves", "out=new", "data.target_fields=[v]"],
        "no field 'v'",
    ),
    "a target that cannot be imported": (
        [*TRAIN, "data.root=waves", "out=new", "model.target=no.such:build"],
        "model.target 'no.such:build' cannot be imported .*: give package.module:function",
    ),
    "a target without losses": (
        [*TRAIN, "data.root=waves", "out=new", "model.target=torch.nn:Identity"],
        r"Identity has no method losses\(batch, context\)",
    ),
    "a target that takes other things": (
        [*TRAIN, "data.root=waves", "out=new", "model.target=math:sqrt"],
        r"model.target 'math:sqrt' is no function of a manifest, options .*: write build\(manifest, options, data\)",
    ),
    "weights of another model": (
        [*TRAIN, "data.root=clouds", "out=new", "training.start_from=run", "data.ragged=pad"],
        "run/checkpoint.pt: does not fit this run",
    ),
    "a checkpoint of a model of another size": (
        [*TRAIN, "data.root=waves", "out=run", "model.dim=16"],
        "made with .*, the configuration has",
    ),
    "latents that nobody made": (
        [*TRAIN, "data.root=waves", "out=new", "data.latents=waves"],
        "waves: a dataset, not latents of one: start from the run whose encoder they are of",
    ),
    "a part that the model does not have": (
        [*TRAIN, "data.root=waves", "out=new", "training.frozen=[encodr]"],
        "the model has no part 'encodr': choose of",
    ),
    "more samples in a batch than there are": (
        [*TRAIN, "data.root=waves", "out=new", "data.batch_size=512"],
        "15 samples do not give each of 1 rank.* a batch of 512: lower batch_size",
    ),
    "evaluation on data that lack the model's field": (
        ["evaluate", "run", "--data", "clouds", "--out", "new"],
        "the model needs the field 'u', the data have p, area: convert them with such a field",
    ),
    "evaluation of a split that is not there": (
        ["evaluate", "run", "--split", "tset", "--out", "new", "--json", "new.json"],
        "no split 'tset'",
    ),
    "evaluation without a run": (["evaluate", "waves", "--json", "new.json"], "no checkpoint here"),
    "a rollout where inputs and targets differ": (
        ["evaluate", "two-run", "--rollout", 3, "--json", "new.json"],
        "a rollout of 3 steps needs every input field .* to be predicted, and 'a' is not: train with",
    ),
    "a rollout that is predicted, where inputs and targets differ": (
        ["predict", "two-run", "two", "--split", "test", "--rollout", 3, "--out", "new"],
        "a rollout of 3 steps needs every input field .* to be predicted, and 'a' is not: train with",
    ),
    "points outside of the domain": (
        ["predict", "run", "waves", "--points", POINTS, "--out", "new"],
        "point 1 at 1.5 lies outside the domain, 0 to 1",
    ),
    "predictions of data that lack the model's field": (
        ["predict", "run", "static", "--split", "valid", "--out", "new"],
        "the model needs the field 'u', the data have a, b",
    ),
    "latents of data that lack the model's field": (
        ["latents", "run", "static", "--out", "new"],
        "the model needs the field 'u', the data have a, b",
    ),
    "a report without a run": (["report", "waves", "--out", "new.html"], "no checkpoint|no run|history"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_nothing_written(folder: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    arguments, message = CASES[case]
    monkeypatch.chdir(folder)
    before, names = files(folder), sorted(folder.iterdir())
    with pytest.raises(UpsDataError, match=message) as raised:
        invoke(*arguments)
    assert "\n" not in str(raised.value)
    assert ": " in str(raised.value)
    assert files(folder) == before
    assert sorted(folder.iterdir()) == names


def test_a_run_of_another_dataset_loses_no_line(folder: Path) -> None:
    """What a killed run logged after its checkpoint is there until a run goes on."""
    log = folder / "two-run" / "metrics.jsonl"
    saved = log.read_bytes()
    log.write_bytes(saved + b"{}\n")
    other = config(folder / "other", folder / "two-run", data={"target_fields": ["b"]}, epochs=1)
    with ShardWriter(folder / "other") as writer:
        for split in ("train",) * 3 + ("test",):
            writer.add({n: np.ones((6, 6, 6, 1), np.float32) for n in "ab"}, split=split)
    before = files(folder)
    with pytest.raises(UpsDataError, match="dataset was .*: restore it, train in another out, or start over") as raised:
        train(other, console=QUIET)
    assert "\n" not in str(raised.value)
    assert files(folder) == before
    train(config(folder / "two", folder / "two-run", data={"target_fields": ["b"]}, epochs=1), console=QUIET)
    assert log.read_bytes() == saved
