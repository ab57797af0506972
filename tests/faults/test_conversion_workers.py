"""Workers of a conversion that stand still, cannot be started, or are interrupted as they start."""

import os
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests.faults.conversion_process import ConversionProcess, digests, grid_source
from ups_data import UpsDataError
from ups_data.conversion import workers as conversion_workers
from ups_data.conversion.convert import convert
from ups_data.store.verify import verify_dataset


def arguments(tmp_path: Path, trajectories: int = 24) -> list[str]:
    return [*grid_source(tmp_path / "raw", trajectories), "--split", "train=1", "--workers", "2"]


def test_a_stopped_worker_is_an_error(tmp_path):
    given, out = arguments(tmp_path), tmp_path / "d"
    run = ConversionProcess(given, out, "--timeout", "4")
    run.wait_for_shards(2)  # both workers have begun
    stopped = [pid for pid in run.members() if pid != run.process.pid]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    assert run.end() == 2, run.errors
    assert stopped
    assert run.errors.count("\n") == 1, run.errors
    assert "the worker that writes it has done nothing for 4 s: it was stopped" in run.errors
    assert not run.members()
    run = ConversionProcess(given, out)
    assert run.end() == 0, run.errors
    assert not verify_dataset(out)


def test_a_conversion_that_stood_still_with_its_workers_goes_on(tmp_path):
    """As after Ctrl-Z and fg: time in which nothing could be done is not counted."""
    run = ConversionProcess(arguments(tmp_path), tmp_path / "d", "--timeout", "2")
    run.wait_for_shards(2)
    os.killpg(run.process.pid, signal.SIGSTOP)
    time.sleep(6)
    os.killpg(run.process.pid, signal.SIGCONT)
    assert run.end() == 0, run.errors


def test_a_read_that_does_not_return_is_an_error(tmp_path, monkeypatch):
    """Of a worker whose main thread waits, and whose other threads are well."""
    np.save(tmp_path / "u.npy", np.ones((4, 2, 8, 8, 1), np.float32))
    monkeypatch.setattr(conversion_workers, "START", 4.0)
    monkeypatch.setattr(
        conversion_workers,
        "WORKER",
        conversion_workers.WORKER.replace(
            "serve(connection",
            "import time, ups_data.conversion.workers as w\nw.ShardMaker = lambda job: time.sleep(1000)\n"
            "serve(connection",
        ),
    )
    with pytest.raises(UpsDataError, match="a read does not return"):
        convert(tmp_path / "u.npy", tmp_path / "d", shard_bytes=1, workers=2, timeout=3)
    assert not (tmp_path / "d").exists()


def descriptors() -> int:
    """Pipes and sockets that are open; what the error holds keeps the source open for a while."""
    links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    return sum(os.readlink(link).startswith(("pipe:", "socket:")) for link in links if link.is_symlink())


def test_a_worker_that_cannot_be_started_is_an_error(tmp_path, monkeypatch):
    """Neither processes nor descriptors nor folders are left, and the next conversion works."""
    np.save(tmp_path / "u.npy", np.ones((4, 2, 8, 8, 1), np.float32))
    monkeypatch.setattr(conversion_workers.sys, "executable", str(tmp_path / "no-python"))
    before = descriptors()
    with pytest.raises(UpsDataError, match="a worker cannot be started .*fewer --workers") as error:
        convert(tmp_path / "u.npy", tmp_path / "d", shard_bytes=1, workers=2)
    assert "\n" not in str(error.value)
    assert descriptors() == before
    assert not (tmp_path / "d").exists()
    monkeypatch.undo()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = {int(name) for name in os.listdir("/proc/self/fd")}  # their numbers may have gaps
    six_free = next(n for n in range(7, hard) if n - len([fd for fd in held if fd < n]) == 6)
    resource.setrlimit(resource.RLIMIT_NOFILE, (six_free, hard))
    try:
        with pytest.raises(UpsDataError, match="cannot be started|Too many open files"):
            convert(tmp_path / "u.npy", tmp_path / "d", shard_bytes=1, workers=20)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not (tmp_path / "d").exists()
    convert(tmp_path / "u.npy", tmp_path / "d", shard_bytes=1, workers=2)
    assert not verify_dataset(tmp_path / "d")


@pytest.mark.parametrize("moment", [0.3, *(pytest.param(t, marks=pytest.mark.faults) for t in (0.0, 0.1, 0.6, 1.0))])
def test_ctrl_c_while_workers_start(tmp_path, moment):
    given, out = arguments(tmp_path, trajectories=40), tmp_path / "d"
    run = ConversionProcess(given, out)
    run.wait_until((out / ".conversion" / "plan.json").exists)
    time.sleep(moment)
    assert run.signal(signal.SIGINT, group=True) == 130, run.errors
    assert run.errors.count("\n") == 1, run.errors
    assert not run.members()
    if out.exists():
        assert "dataset.json" not in digests(out)
    run = ConversionProcess(given, out)
    assert run.end() == 0, run.errors
    assert not verify_dataset(out)
