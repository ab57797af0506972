"""What a Dask worker does of a conversion: a shard, written aside and delivered.

The task knows everything that it needs and changes nothing but its own folder, so that Dask may run it again, or twice.
"""

import contextlib
import os
import pickle
import socket
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ups_data.conversion.cluster.delivery import Delivery
from ups_data.conversion.fingerprint import files_digest, writer_versions
from ups_data.conversion.shard_plan import PlannedShard
from ups_data.conversion.shard_task import Job, ShardMaker
from ups_data.errors import UpsDataError
from ups_data.sources.meshes.apart.source import reading_here

# Seconds between two words of progress, and how long its processor must have worked between two looks.
BEAT, WORK = 1.0, 1e-3
# Seconds after which a worker closes a source that no task has asked for.
IDLE = 60.0
Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class ClusterJob:
    """What every task of a run needs.

    Attributes:
        folder: the client's, where the source's path is relative.
        versions: of what decides the bytes.
        files: digest of the source's files.
        topic: of words of progress.
        timeout: seconds for which a task may do nothing at all.
    """

    job: Job
    folder: Path
    versions: dict[str, str]
    files: str
    delivery: Delivery
    topic: str
    timeout: float


_one_at_a_time = threading.Lock()
_kept: dict[bytes, tuple[ClusterJob, ShardMaker]] = {}  # of the last conversion that this process worked for
_closing: list[threading.Timer] = []


def make_shard(shard: PlannedShard, packed: bytes) -> tuple[str, Any]:
    """A shard of the job.

    Args:
        packed: a pickled `ClusterJob`; all tasks of a run have the same one.

    Returns:
        "made", and what `Delivery.deliver` returned; or "failed", and the error.
    """
    from distributed import get_worker

    worker = get_worker()
    host = f"the Dask worker {worker.address} on {socket.gethostname()}"
    try:
        # A thread each would need a source each; libraries that read files share locks or have none.
        with _one_at_a_time:
            _keep_open()
            try:
                scratch = Path(tempfile.mkdtemp(prefix="ups_data-", dir=worker.local_directory))
                try:
                    return "made", _make(shard, packed, host, scratch, lambda job, what: _tell(worker, job, what))
                finally:
                    with contextlib.suppress(OSError):
                        scratch.rmdir()
            finally:
                _close_later()
    except UpsDataError as error:
        return "failed", error if host in str(error) else UpsDataError(str(error))  # a plain one can be unpickled
    except OSError as error:
        return "failed", UpsDataError(f"{host}: {error.strerror or error} ({error.filename or shard.path})")
    except Exception:
        return "failed", RuntimeError(f"on {host}:\n{traceback.format_exc()}")


def _make(
    shard: PlannedShard, packed: bytes, host: str, scratch: Path, tell: Callable[[ClusterJob, dict[str, Any]], None]
) -> tuple[Any, str]:
    if packed not in _kept:
        _kept.clear()
        try:
            job: ClusterJob = pickle.loads(packed)
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UpsDataError(
                f"{host}: cannot take a task ({reason}): install the same ups_data and formats there"
            ) from None
        with _in_folder(job, host), reading_here():
            _check_reach(job, host)
            _kept[packed] = job, ShardMaker(job.job)
    job, maker = _kept[packed]
    try:
        job.delivery.check()
    except UpsDataError as error:
        raise UpsDataError(f"{error} (seen from {host})") from None
    with _in_folder(job, host), _watched(job, lambda: tell(job, {"silent": shard.path})), reading_here():
        told = time.monotonic()

        def progress(number: int) -> None:
            nonlocal told
            job.delivery.check()
            if time.monotonic() - told > BEAT:
                told = time.monotonic()
                tell(job, {"shard": shard.path, "done": number})

        return job.delivery.deliver(shard, lambda aside: maker.make(shard, aside, progress), scratch)


def _tell(worker: Any, job: ClusterJob, what: dict[str, Any]) -> None:
    worker.log_event(job.topic, what)


def _check_reach(job: ClusterJob, host: str) -> None:
    """Whether this process sees the client's source, and writes the bytes that the client would.

    Raises:
        UpsDataError: it does not.
    """
    path, versions = job.job.path, writer_versions()
    for name, version in job.versions.items():
        if versions[name] != version:
            raise UpsDataError(
                f"{host}: has version {versions[name]} of {name}, the client {version}: install the same one everywhere"
            )
    if not path.exists():
        raise UpsDataError(
            f"{path}: {host} cannot reach it: put the source into a folder that every worker has under the same path"
        )
    if files_digest(path) != job.files:
        raise UpsDataError(f"{path}: {host} has other files there than the client: give it the same source")


@contextlib.contextmanager
def _in_folder(job: ClusterJob, host: str) -> Iterator[None]:
    """In the client's folder if the source's path is relative: it is stored as it was given."""
    if job.job.path.is_absolute():
        yield
        return
    before = os.getcwd()
    try:
        os.chdir(job.folder)
    except OSError:
        raise UpsDataError(
            f"{job.job.path}: {host} has no folder {job.folder}, to which it is relative: give the source's whole path"
        ) from None
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _watched(job: ClusterJob, silent: Callable[[], None]) -> Iterator[None]:
    """Inside, `silent` is called once if this thread does not use the processor for as long as a task may do nothing.

    A read that never returns uses none.
    """
    clock, ended = time.pthread_getcpuclockid(threading.get_ident()), threading.Event()

    def watch() -> None:
        used, seconds, look = 0.0, 0.0, min(BEAT, job.timeout)
        while not ended.wait(look):
            now = time.clock_gettime(clock)
            seconds = seconds + look if now - used <= WORK else 0.0
            used = now
            if seconds > job.timeout:
                silent()
                return

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()  # the clock is gone with this thread


def _keep_open() -> None:
    while _closing:
        _closing.pop().cancel()


def _close_later() -> None:
    def close() -> None:
        with _one_at_a_time:
            if _closing and _closing[-1] is timer:
                _kept.clear()

    timer = threading.Timer(IDLE, close)
    timer.daemon = True
    _closing.append(timer)
    timer.start()
