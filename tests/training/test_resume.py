"""A run that is stopped and continued gives what an undisturbed run gives."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests import warm
from tests.training.runs import QUIET, config, lines, outcome
from ups_data import UpsDataError
from ups_data.training.config import TrainConfig
from ups_data.training.loop import TrainResult, train
from ups_data.training.runs.checkpoint import load_checkpoint, save_checkpoint

# A schedule, a validation every other epoch, seven steps an epoch.
SETTINGS: dict[str, Any] = {
    "query_sampling_schedule": "linear",
    "query_sample_end_ratio": 0.2,
    "epochs": 3,
    "validate_every": 2,
    "checkpoint_every": 2,
}


def draw(record: Any) -> None:
    """User code that draws from the global generators, whose states a run must carry on."""
    torch.rand(1), random.random(), np.random.random()  # noqa: NPY002


@pytest.fixture(scope="module")
def undisturbed(waves: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert run(config(waves, out, **SETTINGS)).finished
    return out


def run(settings: TrainConfig, **options: Any) -> TrainResult:
    return train(settings, console=QUIET, **{"on_step": draw, **options})


def calls_until(count: int) -> Any:
    """False that many times, then true."""
    answers = iter([False] * count)
    return lambda: next(answers, True)


def test_metrics_hold_every_step_and_validation(undisturbed: Path) -> None:
    found = lines(undisturbed)
    steps = [(e["epoch"], e["step"]) for e in found if "step" in e]
    assert steps == [(epoch, step) for epoch in range(3) for step in range(7)]
    assert [e["epoch"] for e in found if "valid_nrmse" in e] == [1, 2]
    history = json.loads((undisturbed / "history.json").read_text())
    assert history["finished"]
    for entry in history["epochs"]:
        losses = [e["loss"]["total"] for e in found if "step" in e and e["epoch"] == entry["epoch"]]
        assert entry["loss"]["total"] == pytest.approx(sum(losses) / 7, rel=1e-12)


@pytest.mark.parametrize("checkpoint_every", [0, 2, 5])
def test_stopped_at_every_place_and_continued(
    waves: Path, tmp_path: Path, undisturbed: Path, checkpoint_every: int
) -> None:
    """One run, stopped again and again after a few batches: in epochs, at their ends and in validations."""
    settings = config(waves, tmp_path, **{**SETTINGS, "checkpoint_every": checkpoint_every})
    asked = 12  # the first evaluation is done anew until it gets through
    for stops in range(100):
        if run(settings, stop=calls_until(asked - 5 * (stops % 2))).finished:
            break
    assert stops >= 3
    assert outcome(tmp_path) == outcome(undisturbed)


def test_killed_between_checkpoints_and_continued(waves: Path, tmp_path: Path, undisturbed: Path) -> None:
    """An exception ends the run where it is; what was logged since the last checkpoint is logged once all the same."""
    settings = config(waves, tmp_path, **SETTINGS)
    for limit in (1, 4, 6, 7, 1, 5, 100):
        left = iter(range(limit))

        def kill(record: Any, left: Any = left) -> None:
            draw(record)
            if next(left, None) is None:
                raise KeyboardInterrupt

        try:
            result = run(settings, on_step=kill)
        except KeyboardInterrupt:
            with open(tmp_path / "metrics.jsonl", "a") as file:
                file.write('{"epoch": 1, "st')  # a line that was cut off
    assert result.finished
    assert outcome(tmp_path) == outcome(undisturbed)


def test_a_finished_run_is_left_as_it_is(waves: Path, tmp_path: Path) -> None:
    settings = config(waves, tmp_path, epochs=1)
    first = train(settings, console=QUIET)
    before = outcome(tmp_path)
    (tmp_path / "history.json").unlink()  # killed between checkpoint and history
    again = train(settings, console=QUIET)
    assert again.finished
    assert again.history() == first.history()
    assert outcome(tmp_path) == before
    assert json.loads((tmp_path / "history.json").read_text())["epochs"] == first.epochs


def test_starting_over(waves: Path, tmp_path: Path) -> None:
    train(config(waves, tmp_path, epochs=1), console=QUIET)
    over = train(config(waves, tmp_path, epochs=2, resume=False), console=QUIET)
    assert len(over.epochs) == 2
    assert len(lines(tmp_path)) == 2 * 7 + 2
    # Stopped before its first checkpoint, such a run does not leave the old one to be continued.
    train(config(waves, tmp_path, epochs=3, resume=False), console=QUIET, stop=lambda: True)
    assert not (tmp_path / "checkpoint.pt").exists()
    assert not (tmp_path / "history.json").exists()


def test_debris_of_a_kill_is_removed(waves: Path, tmp_path: Path) -> None:
    for name in (".checkpoint.pt.4711", ".history.json.1", ".checkpoint.pt.notes", "checkpoint.pt.1"):
        (tmp_path / name).write_bytes(b"half")
    train(config(waves, tmp_path, epochs=1), console=QUIET)
    kept = {".checkpoint.pt.notes", "checkpoint.pt.1", ".lock"}
    assert {p.name for p in tmp_path.iterdir()} == {"checkpoint.pt", "history.json", "metrics.jsonl", *kept}


def test_one_run_at_a_time(waves: Path, tmp_path: Path) -> None:
    settings = config(waves, tmp_path, epochs=1)
    refused: list[str] = []

    def second(record: Any) -> None:
        if not refused:
            with pytest.raises(UpsDataError, match="another run is under way here") as error:
                train(settings, console=QUIET)
            refused.append(str(error.value))

    assert train(settings, on_step=second, console=QUIET).finished
    assert len(refused) == 1


def test_a_run_is_not_resumed_with_other_settings(waves: Path, tmp_path: Path) -> None:
    train(config(waves, tmp_path, epochs=1), console=QUIET)
    with pytest.raises(UpsDataError, match=r"made with training\.lr=0\.005, the configuration has 0\.1.*resume=false"):
        train(config(waves, tmp_path, epochs=1, lr=0.1), console=QUIET)
    whole = (tmp_path / "metrics.jsonl").read_bytes()
    (tmp_path / "metrics.jsonl").write_bytes(whole[:-100])
    with pytest.raises(UpsDataError, match=rf"metrics\.jsonl: has {len(whole) - 100} bytes"):
        train(config(waves, tmp_path, epochs=1), console=QUIET)
    (tmp_path / "checkpoint.pt").write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(UpsDataError, match="not a checkpoint"):
        train(config(waves, tmp_path, epochs=1), console=QUIET)
    save_checkpoint(tmp_path / "checkpoint.pt", {"epoch": 1})
    with pytest.raises(UpsDataError, match="another version"):
        train(config(waves, tmp_path, epochs=1), console=QUIET)


def test_a_key_that_is_newer_than_the_checkpoint_has_its_default(waves: Path, tmp_path: Path) -> None:
    train(config(waves, tmp_path, epochs=1), console=QUIET)
    state = load_checkpoint(tmp_path / "checkpoint.pt")
    del state["config"]["training"]["grad_clip"]
    save_checkpoint(tmp_path / "checkpoint.pt", state)
    assert train(config(waves, tmp_path, epochs=1), console=QUIET).finished
    with pytest.raises(UpsDataError, match=r"training\.grad_clip=1\.0, the configuration has 2\.0"):
        train(config(waves, tmp_path, epochs=1, grad_clip=2.0), console=QUIET)


def test_a_checkpoint_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"epoch": 1})
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        save_checkpoint(path, {"epoch": 2, "model": lambda: None})
    assert load_checkpoint(path) == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]
    torch.save({"path": Path("x")}, path)  # anything but plain data would run code when read
    with pytest.raises(UpsDataError, match="not a checkpoint of this project"):
        load_checkpoint(path)


FULL = """
import resource, sys, torch
from ups_data import UpsDataError
from ups_data.training.runs.checkpoint import load_checkpoint, save_checkpoint

path = sys.argv[1]
save_checkpoint(path, {"epoch": 1})
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save_checkpoint(path, {"epoch": 2, "model": torch.zeros(1_000_000)})
except UpsDataError as error:
    print(error)
assert load_checkpoint(path) == {"epoch": 1}
"""


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk's."""
    path = tmp_path / "checkpoint.pt"
    done = warm.run(["-c", FULL, path], check=True)
    assert done.stdout.startswith(f"{path}: cannot be written (File too large): make room")
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]
