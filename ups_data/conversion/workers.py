"""Tasks of a conversion in processes of their own. They only write aside: this process publishes.

They are started by `subprocess`: `multiprocessing` would start its resource tracker beside them, which outlives this
process for a moment.
"""

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

from ups_data.conversion.shard_plan import PlannedShard
from ups_data.conversion.shard_task import Job, Made, ShardMaker
from ups_data.errors import UpsDataError
from ups_data.sources.meshes.apart.source import reading_here

# These reach every process of a terminal's or a scheduler's group; only this process is to act on them.
SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Seconds between two signs of life of a worker, and how long its processor must have worked between them.
BEAT, WORK = 0.5, 1e-3
# Seconds that a worker may take to begin: a busy machine needs many for what it imports.
START = 60.0
# What a worker runs. Its arguments: the descriptors of its connection, and of a pipe that ends as this process does.
WORKER = """
import sys
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
sys.path[:] = connection.recv()
from ups_data.conversion.workers import serve
serve(connection, int(sys.argv[2]))
"""


def make_in_workers(
    job: Job,
    shards: Sequence[PlannedShard],
    aside: Callable[[PlannedShard], Path],
    workers: int,
    progress: Callable[[PlannedShard, int], None],
    timeout: float,
) -> Iterator[tuple[PlannedShard, Made]]:
    """The shards as they are made, in any order. A worker begins its next one when its last one has been taken.

    However this ends, no worker outlives it, nor this process.

    Args:
        timeout: seconds for which a worker may do nothing at all.

    Raises:
        UpsDataError, OSError: as `ShardMaker.make`; or a worker cannot be started, was killed, or does nothing.
    """
    check_formats(job)
    waiting = list(reversed(shards))
    of_connection: dict[Connection, subprocess.Popen[bytes]] = {}
    busy: dict[Connection, PlannedShard] = {}
    silence = _Silence(timeout)

    def give(connection: Connection) -> None:
        if waiting:
            busy[connection] = waiting.pop()
            with suppress(ConnectionError):  # its end is noticed where its answer is waited for
                connection.send((busy[connection], aside(busy[connection])))
        else:
            connection.close()

    alive, ours = os.pipe()
    try:
        for _ in range(min(workers, len(shards))):
            give(_start(job, alive, of_connection))
        while busy:
            ready = silence.wait(busy)
            for connection in [c for c in busy if c in ready]:
                shard = busy[connection]
                kind, what = _receive(connection, shard)
                if kind == "progress":
                    progress(shard, what)
                elif kind == "failed":
                    raise what
                elif kind == "made":
                    yield shard, what
                    del busy[connection]
                    give(connection)
    finally:
        with signals_deferred():
            for process in of_connection.values():
                process.kill()  # what it was writing is aside: whoever takes the shards removes it
                process.wait()
            for connection in of_connection:
                connection.close()
            os.close(alive)
            os.close(ours)


class _Silence:
    """Waits for messages, and counts how long each worker has sent none.

    Seconds are counted while this process waits, so that it may be stopped (Ctrl-Z) and go on with its workers.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._silent: dict[Connection, float] = {}  # seconds since the last message
        self._heard: set[Connection] = set()  # those that have begun

    def wait(self, busy: Mapping[Connection, PlannedShard]) -> list[Connection]:
        """The workers that have sent something, perhaps none.

        Raises:
            UpsDataError: one of them has sent nothing for too long.
        """
        look = min(BEAT, self._timeout)
        began = time.monotonic()
        ready = [c for c in wait(list(busy), look) if isinstance(c, Connection)]
        waited = min(time.monotonic() - began, look)
        self._heard.update(ready)
        for connection, shard in busy.items():
            self._silent[connection] = 0.0 if connection in ready else self._silent.get(connection, 0.0) + waited
            limit = self._timeout if connection in self._heard else max(self._timeout, START)
            if self._silent[connection] > limit:
                raise UpsDataError(
                    f"{shard.path}: the worker that writes it has done nothing for {limit:g} s: it was stopped, or a "
                    "read does not return; run the same command again, with a longer --timeout if the source is slow"
                )
        return ready


def check_formats(job: Job) -> None:
    """Raises UpsDataError if another process cannot import the class of a format."""
    for source in job.formats:
        if source.__module__ == "__main__" or "<locals>" in source.__qualname__:
            raise UpsDataError(
                f"the format {source.format!r} is defined in {source.__module__}.{source.__qualname__}, which workers "
                "cannot import: put its class into a module, or use workers=1"
            )


@contextmanager
def signals_deferred() -> Iterator[None]:
    """What SIGINT and SIGTERM do here, they do at the end. Blocking them is not enough: another thread may take them,
    and this one acts on them then."""
    came: list[int] = []
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {n: h for n in SIGNALS if (h := signal.getsignal(n)) not in (signal.SIG_IGN, None)}
    try:
        for number in before:
            signal.signal(number, lambda number, frame: came.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _start(job: Job, alive: int, of_connection: dict[Connection, subprocess.Popen[bytes]]) -> Connection:
    """A worker, entered before a signal can end this."""
    try:
        here, there = Pipe()
    except OSError as error:
        raise _cannot_start(error) from None
    command = [sys.executable, "-P", "-c", WORKER, str(there.fileno()), str(alive)]
    with there, signals_deferred():
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # the worker inherits this
        try:
            of_connection[here] = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(there.fileno(), alive))
        except OSError as error:
            here.close()
            raise _cannot_start(error) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    with suppress(ConnectionError):
        here.send(sys.path)
        here.send(job)
    return here


def _cannot_start(error: OSError) -> UpsDataError:
    return UpsDataError(
        f"a worker cannot be started ({error.strerror or error}): run the same command again, with fewer --workers"
    )


def _receive(connection: Connection, shard: PlannedShard) -> tuple[str, Any]:
    try:
        return connection.recv()
    except (EOFError, ConnectionError):
        raise UpsDataError(
            f"{shard.path}: the worker that wrote it was killed, perhaps for want of memory: "
            "run the same command again, with fewer --workers"
        ) from None


def serve(connection: Connection, alive: int) -> None:
    """What a worker does: `WORKER` calls it."""
    threading.Thread(target=end_with_parent, args=(alive,), daemon=True).start()
    one_at_a_time = threading.Lock()

    def send(kind: str, what: object = None) -> None:
        with one_at_a_time:
            connection.send((kind, what))

    threading.Thread(target=_tell_of_work, args=(send,), daemon=True).start()
    maker = None
    # There is no more to do when the connection ends. A file that ends the library that reads it ends this process.
    with suppress(EOFError, ConnectionError), reading_here():
        job: Job = connection.recv()
        while True:
            shard, aside = connection.recv()
            try:
                maker = maker or ShardMaker(job)
                made = maker.make(shard, aside, partial(send, "progress"))
            except (UpsDataError, OSError) as error:
                send("failed", error)
            except Exception:
                send("failed", RuntimeError(f"in a worker:\n{traceback.format_exc()}"))
            else:
                send("made", made)


def _tell_of_work(send: Callable[[str], None]) -> None:
    """Say so every now and then while the other threads of this process use the processor.

    A read that never returns uses none, and neither does a process that was stopped.
    """
    used = 0.0
    with suppress(OSError):  # the connection's end is for the main thread to notice
        while True:
            time.sleep(BEAT)
            now = time.process_time() - time.thread_time()
            if now - used > WORK:
                used = now
                send("alive")


def end_with_parent(alive: int) -> None:
    """End this process as soon as nobody holds the other end of the pipe `alive`."""
    os.read(alive, 1)
    os._exit(1)
