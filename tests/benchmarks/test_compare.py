"""`compare_sampling.py` as a user runs it: killed in the middle of a run, and given again."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests import warm
from tests.cli.test_tools import CONFIGS, SCRIPTS, refused
from tests.training.conftest import travelling_waves
from ups_data import ShardWriter
from ups_data.training.runs.metrics import METRICS

LIMIT = 300  # seconds after which a process that should have moved on hangs
RUNS = ["dense-seed0", "blocks-0.25-seed0"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "waves"
    rng = np.random.default_rng(0)
    with ShardWriter(root, blocks=4) as writer:
        for i in range(6):
            writer.add({"u": travelling_waves(rng, 11, (16, 16))}, split="train" if i < 5 else "valid")
    return root


def arguments(root: Path, out: Path) -> list[str]:
    settings = ["data.batch_size=1", "model.dim=16", "model.tokens=4", "training.epochs=2", "training.device=cpu"]
    keys = [f"data.root={root}", "training.checkpoint_every=10", *settings]
    options = ["--modes", "blocks", "--ratios", "0.25", "--seeds", "0", "--rounds", "2", "--out", str(out)]
    return [str(CONFIGS / "compare_diffusion_reaction.yaml"), *keys, *options]


def start(root: Path, out: Path) -> warm.Popen:
    with open(log_of(out), "wb") as log:
        command = [SCRIPTS["compare_sampling.py"], *arguments(root, out)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        return warm.Popen(command, env=environment, stdout=log, stderr=log)


def log_of(out: Path) -> Path:
    """What the tool that was started last has printed."""
    return out.with_name("log")


def children(group: int) -> list[int]:
    """Processes of a process group."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                state, _, pgrp = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(pgrp) == group and state != "Z":
                found.append(int(folder.name))
    return found


def wait_until(condition, process: warm.Popen | None = None, log: Path | None = None) -> None:
    until = time.monotonic() + LIMIT
    while not condition():
        assert process is None or process.poll() is None, log and log.read_text()
        assert time.monotonic() < until, "it hangs"
        time.sleep(0.02)


def steps_taken(out: Path, run: str) -> int:
    path = out / "runs" / run / METRICS
    return path.read_bytes().count(b'"loss"') if path.exists() else 0


@pytest.mark.parametrize("sent", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.faults)])
def test_it_goes_on_where_it_was_interrupted(root: Path, tmp_path: Path, sent: signal.Signals) -> None:
    """Killed, the tool leaves no process behind; what ended is kept, the run under way is continued."""
    out = tmp_path / "out"
    process = start(root, out)
    wait_until(lambda: steps_taken(out, RUNS[1]) > 15, process, log_of(out))
    process.send_signal(sent)  # to the tool alone
    process.wait(LIMIT)
    wait_until(lambda: not children(process.pid))
    taken = steps_taken(out, RUNS[1])
    assert 15 < taken < 100
    first = (out / "runs" / RUNS[0] / "run.json").read_bytes()
    assert not (out / "runs" / RUNS[1] / "run.json").exists()
    assert not (out / "table.md").exists()

    again = start(root, out)
    status, printed = again.wait(LIMIT), log_of(out).read_text()
    assert status == 0, printed
    assert "2 runs" in printed
    assert "200/200" in printed
    assert "blocks 0.25" in printed
    assert set(json.loads((out / "costs.json").read_text())) == {"dense", "blocks 0.25"}
    assert (out / "runs" / RUNS[0] / "run.json").read_bytes() == first
    record = json.loads((out / "runs" / RUNS[1] / "run.json").read_text())
    assert [e["steps"] for e in record["epochs"]] == [50, 50]
    assert steps_taken(out, RUNS[1]) == 100
    table = (out / "table.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == ["dense", "blocks 0.25"]
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_bad_options(root: Path, tmp_path: Path) -> None:
    given = arguments(root, tmp_path)
    assert "give whole numbers" in refused("compare_sampling.py", *given, "--seeds", "a")
    assert "ups-data importance DIR" in refused("compare_sampling.py", *given, "--also", "importance:gradient 0.3")
