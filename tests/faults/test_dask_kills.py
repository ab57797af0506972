"""Workers and the scheduler of a Dask cluster are killed during a conversion: the bytes of an undisturbed one."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.faults.conversion_process import ConversionProcess, digests

pytest.importorskip("distributed")
pytestmark = pytest.mark.faults
# Processes of `dask`, with the checkout in reach wherever they run.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}


class DaskProcesses:
    """A scheduler and workers without a nanny, each in a process of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.address = folder, f"tcp://127.0.0.1:{self.port}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli." + command[0], *command[1:]], env=ENVIRONMENT, **quiet
        )

    def start_scheduler(self) -> None:
        place = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"]
        self.scheduler = self._start("dask_scheduler", *place)

    def fill(self, number: int) -> None:
        """So many workers, whatever has become of those before."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < number:
            options = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(self.folder)]
            self.workers.append(self._start("dask_worker", self.address, *options))

    def close(self) -> None:
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()


@contextmanager
def dask_processes(folder: Path) -> Iterator[DaskProcesses]:
    processes = DaskProcesses(folder)
    try:
        yield processes
    finally:
        processes.close()


def test_ten_workers_and_the_scheduler_are_killed(tmp_path):
    (tmp_path / "raw").mkdir()
    u = np.random.default_rng(0).standard_normal((120, 12, 64, 64, 2)).astype(np.float32)  # 384 KiB each
    np.save(tmp_path / "raw" / "u.npy", u)
    arguments = [str(tmp_path / "raw" / "u.npy"), "--blocks", "16", "--codec", "zstd", "--split", "train=0.8,valid=0.2"]
    alone = ConversionProcess(arguments, tmp_path / "alone")
    assert alone.end() == 0, alone.errors
    shards = len(list((tmp_path / "alone").glob("*/*.zarr")))
    random, killed, rounds = np.random.default_rng(1), 0, 0
    with dask_processes(tmp_path / "scratch") as dask:
        while killed < 10:
            rounds += 1
            dask.fill(4)
            out = tmp_path / f"d{rounds}"
            run = ConversionProcess(arguments, out, "--dask", dask.address, "--timeout", "100")
            run.wait_for_shards(1)
            while killed < 10 and run.process.poll() is None:
                victim = dask.workers[int(random.integers(len(dask.workers)))]
                victim.kill()
                victim.wait()
                killed += 1
                if killed == 5:
                    dask.scheduler.kill()
                    dask.scheduler.wait()
                    dask.start_scheduler()
                dask.fill(4)
                run.wait_for_shards(1)
                time.sleep(random.exponential(0.1))
                dask.fill(4)  # those that ended with the scheduler
            assert run.end() == 0, run.errors
            assert run.errors.count("\n") == 0, run.errors
            assert digests(out) == digests(tmp_path / "alone")
    print(
        f"\n{killed} workers and the scheduler killed in {rounds} conversions of {shards} shards: every file identical"
    )


def test_the_scheduler_does_not_come_back(tmp_path):
    """One line, and the same command goes on, without Dask too."""
    u = np.random.default_rng(0).standard_normal((60, 12, 64, 64, 2)).astype(np.float32)
    np.save(tmp_path / "u.npy", u)
    arguments, out = [str(tmp_path / "u.npy"), "--codec", "zstd", "--split", "train=1"], tmp_path / "d"
    with dask_processes(tmp_path / "scratch") as dask:
        dask.fill(2)
        run = ConversionProcess(arguments, out, "--dask", dask.address, "--timeout", "5")
        run.wait_for_shards(2)
        dask.scheduler.kill()
        dask.scheduler.wait()
        assert run.end() == 2, run.errors
        assert run.errors.count("\n") == 1, run.errors
        assert "no Dask scheduler answers there" in run.errors
    before = run.published()
    assert len(before) >= 2
    run = ConversionProcess(arguments, out)
    assert run.end() == 0, run.errors
    assert {name: (out / name).stat().st_ino for name in before} == before
    alone = ConversionProcess(arguments, tmp_path / "alone")
    assert alone.end() == 0, alone.errors
    assert digests(out) == digests(tmp_path / "alone")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_of_this_machine_outlives_the_conversion(tmp_path, number):
    np.save(tmp_path / "u.npy", np.zeros((80, 12, 64, 64, 2), np.float32))
    run = ConversionProcess([str(tmp_path / "u.npy")], tmp_path / "d", "--dask", "local:2")
    run.wait_for_shards(1)
    status = run.signal(number, group=number == signal.SIGINT)
    if number == signal.SIGINT:
        assert status == 130, run.errors
        assert run.errors.count("\n") == 1, run.errors
    for _ in range(100):
        if not run.members():
            break
        time.sleep(0.1)
    assert not run.members()
