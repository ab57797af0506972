"""Kill -9 and SIGTERM at random moments of a training run: what comes out is what an undisturbed run gives."""

import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.faults.training_process import TrainingProcess
from tests.training.runs import outcome
from ups_data.training.runs.checkpoint import CHECKPOINT, load_checkpoint

STEPS = 14  # of an epoch


def undisturbed(root: Path, out: Path, epochs: int, **data: Any) -> dict[str, str]:
    run = TrainingProcess(root, out, epochs, **data)
    assert run.end() == 0, run.output
    return outcome(out)


def debris(out: Path) -> set[str]:
    return {p.name for p in out.iterdir()} - {CHECKPOINT, "history.json", "metrics.jsonl", ".lock"}


@pytest.mark.parametrize(("kills", "stops"), [(2, 1), pytest.param(24, 8, marks=pytest.mark.faults)])
def test_ended_at_random_moments(trainable: Path, tmp_path: Path, kills: int, stops: int) -> None:
    rng = np.random.default_rng(kills)
    polite = [signal.SIGTERM, signal.SIGINT] * stops
    signals = rng.permutation([signal.SIGKILL] * kills + polite[:stops])
    epochs = -(-9 * len(signals) // STEPS)
    out = tmp_path / "killed"
    expected = undisturbed(trainable, tmp_path / "whole", epochs)
    unfinished = redone = early = 0
    for place, number in enumerate(signals):
        run = TrainingProcess(trainable, out, epochs)
        if place % 8 == 7 and number == signal.SIGKILL:  # while it starts
            time.sleep(rng.uniform(0, 3))
        else:
            run.wait_for_lines(int(rng.integers(1, 9)))
            time.sleep(rng.uniform(0, 0.02))
        status = run.kill(number)
        assert status == (-signal.SIGKILL if number == signal.SIGKILL else 0), run.output
        if not (out / CHECKPOINT).exists():
            early += 1
            continue
        # Whole at every moment: a later kill never takes an earlier checkpoint away.
        undone = (out / "metrics.jsonl").read_bytes()[load_checkpoint(out / CHECKPOINT)["metrics"] :]
        redone += undone.count(b"\n")
        unfinished += len(debris(out))
        if number != signal.SIGKILL:
            assert "the same command goes on from" in run.output
            assert not undone
            assert not debris(out)
    run = TrainingProcess(trainable, out, epochs)
    assert run.end() == 0, run.output
    assert outcome(out) == expected
    assert not debris(out)
    print(
        f"\n{kills} kill -9 and {stops} SIGTERM or SIGINT in a run of {epochs * STEPS} steps: {redone} steps done again"
    )
    print(
        f"{early} before the first checkpoint, {unfinished} half-written files cleaned; parameters, metrics identical"
    )


@pytest.mark.faults
def test_the_same_with_worker_processes(trainable: Path, tmp_path: Path) -> None:
    """Signals to the whole process group, as schedulers and terminals send them, reach the loader's processes too."""
    out = tmp_path / "stopped"
    expected = undisturbed(trainable, tmp_path / "whole", 3, num_workers=2)
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        run = TrainingProcess(trainable, out, 3, num_workers=2)
        run.wait_for_lines(4)
        status = run.kill(number, group=True)
        assert status == (-number if number == signal.SIGKILL else 0), run.output
    run = TrainingProcess(trainable, out, 3, num_workers=2)
    assert run.end() == 0, run.output
    found = outcome(out)
    # Worker processes are seeded from torch's global generator each time that an epoch is begun or continued.
    assert {k: v for k, v in found.items() if k != "rng"} == {k: v for k, v in expected.items() if k != "rng"}


@pytest.mark.faults
def test_points_that_a_run_chose_outlive_kill_9(trainable: Path, tmp_path: Path) -> None:
    """The times that a choice depends on differ from process to process: it comes from the checkpoint."""
    out, whole = tmp_path / "killed", tmp_path / "whole"
    run = TrainingProcess(trainable, out, 2, ratio="auto")
    run.wait_for_lines(2)
    run.kill()
    shutil.copytree(out, whole)
    expected = undisturbed(trainable, whole, 2, ratio="auto")
    for lines in (4, 9):
        run = TrainingProcess(trainable, out, 2, ratio="auto")
        run.wait_for_lines(lines)
        assert run.kill() == -signal.SIGKILL
    run = TrainingProcess(trainable, out, 2, ratio="auto")
    assert run.end() == 0, run.output
    assert outcome(out) == expected
    [chosen] = load_checkpoint(out / CHECKPOINT)["history"]["points"]
    assert (out / "metrics.jsonl").read_text().count(chosen["reason"]) == 1
