"""Real ranks under torchrun: one order of global batches for all numbers of them, and no hang when one dies."""

import hashlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.datasets import write_grid
from tests.faults import ranks
from tests.warm_ranks import ended, start

SCRIPT = Path(ranks.__file__)
LIMIT = 240  # seconds; what has not ended by then hangs
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[2])}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trajectories of 2 to 40 frames, one to three of them in a shard; a frame to a chunk."""
    root = tmp_path_factory.mktemp("torchrun") / "d"
    steps = (40, 3, 2, 17, 2, 2, 9, 31, 5, 12, 6, 23, 2, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ups_data.writing.layout.CHUNK_BYTES", 960)
        write_grid(root, steps=steps, codec="lz4", shard_bytes=12_000)
    return root


def arguments(root: Path, out: Path, **settings: Any) -> list[str]:
    return [str(SCRIPT), str(root), str(out), json.dumps(settings)]


def launch(log: Path, *command: str, **place: str) -> subprocess.Popen[bytes]:
    """A process that writes to a file: a pipe would stay open as long as anything that it started lives."""
    with open(log, "wb") as file:
        return subprocess.Popen(
            [sys.executable, *command], env=ENVIRONMENT | place, stdout=file, stderr=subprocess.STDOUT
        )


def torchrun(log: Path, count: int, *arguments: str) -> tuple[int, str]:
    """Exit status and output."""
    process = launch(log, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", *arguments)
    try:
        return process.wait(LIMIT), log.read_text()
    finally:
        process.kill()


def ran(root: Path, out: Path, count: int, launcher: str = "torchrun", **settings: Any) -> dict[str, Any]:
    command = arguments(root, out, **settings)
    if launcher == "torchrun":
        status, output = torchrun(Path(f"{out}.log"), count, *command)
        assert status == 0, output
    else:
        assert ended(start(count, *command, log=Path(f"{out}.log"))) == [0] * count
    return json.loads(out.read_text())


def alone(root: Path, plan: str, number: int = 10_000) -> list[tuple[str, dict[str, Any]]]:
    """Digests of the global batches of two epochs, or of fewer, from one process without ranks; states after each."""
    return list(itertools.islice(ranks.alone(root, plan), min(number, 2 * len(ranks.make(root, plan)))))


SHORT = [("train", 2, 0), ("mixture", 4, 0)]
LONG = [
    *itertools.product(["train", "mixture"], (1, 2, 4), (0, 2)),
    *itertools.product(["rest", "pad", "feedback"], (2, 4), (0, 2)),
]


@pytest.mark.parametrize(
    ("launcher", "plan", "count", "workers"),
    [
        ("torchrun", *SHORT[0]),
        ("none", *SHORT[1]),
        *(pytest.param("torchrun", *case, marks=pytest.mark.faults) for case in LONG if case != SHORT[0]),
    ],
)
def test_one_order_for_every_number_of_ranks(
    root: Path, tmp_path: Path, launcher: str, plan: str, count: int, workers: int
) -> None:
    """And the state that the ranks save together goes on in one process without ranks."""
    expected = alone(root, plan)
    save_at = len(expected) * 2 // 3
    found = ran(root, tmp_path / "out", count, launcher, plan=plan, workers=workers, save_at=save_at)
    whole = hashlib.sha256("".join(found["digests"]).encode()).hexdigest()
    print(
        f"\n{plan}, {count} ranks × {workers} workers: {whole[:12]}, {len(found['digests'])} batches of "
        f"{min(found['sizes'])} to {max(found['sizes'])}, decoded {found['decoded']} chunks"
    )
    assert found["digests"] == [digest for digest, _ in expected]
    state = torch.load(tmp_path / "out.state", weights_only=True)
    resumed = itertools.islice(ranks.alone(root, plan, state), len(expected) - save_at)
    assert [digest for digest, _ in resumed] == found["digests"][save_at:]
    if plan == "pad":
        assert found["nrmse"] == pytest.approx(ranks.validate(root), rel=1e-6)


@pytest.mark.faults
@pytest.mark.parametrize("plan", ["feedback", "mixture", "pad"])
@pytest.mark.parametrize(("before", "after", "workers"), [(4, 2, 0), (4, 8, 0), (1, 4, 2), (2, 1, 0)])
def test_a_state_resumes_on_another_number_of_ranks(
    root: Path, tmp_path: Path, plan: str, before: int, after: int, workers: int
) -> None:
    expected = [digest for digest, _ in alone(root, plan)]
    save_at = len(expected) // 3 + 1
    ran(root, tmp_path / "one", before, plan=plan, save_at=save_at)
    found = ran(root, tmp_path / "two", after, plan=plan, workers=workers, state=str(tmp_path / "one.state"))
    assert found["first"] == save_at
    assert found["digests"] == expected[save_at:]
    print(f"\n{plan}: {before} → {after} ranks × {workers} workers at batch {save_at}: {len(found['digests'])} alike")


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def left_behind(out: Path) -> list[int]:
    """The ranks and their worker processes that outlive the run; they are ended."""
    pids = [pid for file in out.parent.glob(f"{out.name}.pids.*") for pid in json.loads(file.read_text())]
    assert pids
    until = time.monotonic() + 20
    while any(map(running, pids)) and time.monotonic() < until:
        time.sleep(0.1)
    left = [pid for pid in pids if running(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return left


@pytest.mark.parametrize(("count", "workers"), [(2, 0), pytest.param(2, 2, marks=pytest.mark.faults)])
def test_a_killed_rank_ends_the_run(root: Path, tmp_path: Path, count: int, workers: int) -> None:
    status, output = torchrun(
        tmp_path / "log", count, *arguments(root, tmp_path / "out", workers=workers, victim=1, at=5)
    )
    assert status != 0
    assert "SIGKILL" in output
    assert not (tmp_path / "out").exists()
    assert not left_behind(tmp_path / "out")


@pytest.mark.faults
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("how", ["kill", "stop"])
def test_ranks_without_a_supervisor_end_by_themselves(root: Path, tmp_path: Path, how: str, workers: int) -> None:
    """Nobody ends the others: the collective call does, at once for a rank that is gone, by its timeout for one that
    does not answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = []
    for rank in range(3):
        place = {"RANK": str(rank), "WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        command = arguments(root, tmp_path / "out", workers=workers, victim=1, at=5, how=how, timeout=8)
        processes.append(launch(tmp_path / f"log.{rank}", *command, **place))
    try:
        for rank in (0, 2):
            assert processes[rank].wait(LIMIT) == 1
            assert "RuntimeError" in (tmp_path / f"log.{rank}").read_text()
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert not left_behind(tmp_path / "out")
