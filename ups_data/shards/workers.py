"""Tasks of a conversion in processes of their own. They only write aside: this process publishes."""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any

from ups_data.errors import UpsDataError
from ups_data.shards.shard_plan import PlannedShard
from ups_data.shards.shard_task import Job, Made, ShardMaker

# These reach every process of a terminal's or a scheduler's group; only this process is to act on them.
SIGNALS = (signal.SIGINT, signal.SIGTERM)
# By which it ends its workers.
END = signal.SIGUSR1
END_SECONDS = 5.0


def make_in_workers(
    job: Job,
    shards: Sequence[PlannedShard],
    aside: Callable[[PlannedShard], Path],
    workers: int,
    progress: Callable[[PlannedShard, int], None],
) -> Iterator[tuple[PlannedShard, Made]]:
    """The shards as they are made, in any order. A worker begins its next one when its last one has been taken.

    However this ends, no worker outlives it, nor this process.

    Raises:
        UpsDataError, OSError: as `ShardMaker.make`; or a worker was killed.
    """
    waiting = list(reversed(shards))
    processes: list[Any] = []
    of_connection: dict[Connection, Any] = {}
    busy: dict[Connection, PlannedShard] = {}

    def give(connection: Connection) -> None:
        if waiting:
            busy[connection] = waiting.pop()
            connection.send((busy[connection], aside(busy[connection])))
        else:
            connection.close()

    try:
        for _ in range(min(workers, len(shards))):
            give(_start(job, processes, of_connection))
        while busy:
            ready = wait(list(busy))
            for connection in [c for c in busy if c in ready]:
                shard = busy[connection]
                kind, what = _receive(connection, shard)
                if kind == "progress":
                    progress(shard, what)
                elif kind == "failed":
                    raise what
                else:
                    yield shard, what
                    del busy[connection]
                    give(connection)
    finally:
        for connection in busy:
            if of_connection[connection].is_alive():
                os.kill(of_connection[connection].pid, END)
        for connection in of_connection:
            connection.close()  # whoever waits for a task ends
        for process in processes:
            process.join(END_SECONDS)
            process.kill()  # whatever holds it up
            process.join()


def _start(job: Job, processes: list[Any], of_connection: dict[Connection, Any]) -> Connection:
    """A worker, entered into both before a signal can end this."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    resource_tracker.ensure_running()  # whoever starts it unblocks the signals
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (*SIGNALS, END))  # the worker inherits this
    try:
        process = context.Process(target=_serve, args=(there, job), daemon=True)
        process.start()
        processes.append(process)
        of_connection[here] = process
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        there.close()
    return here


def _receive(connection: Connection, shard: PlannedShard) -> tuple[str, Any]:
    try:
        return connection.recv()
    except (EOFError, ConnectionError):
        raise UpsDataError(
            f"{shard.path}: the worker that wrote it was killed, perhaps for want of memory: "
            "run the same command again, with fewer --workers"
        ) from None


def _serve(connection: Connection, job: Job) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(END, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (END,))
    maker = None
    try:
        while True:
            shard, aside = connection.recv()
            try:
                maker = maker or ShardMaker(job)
                made = maker.make(shard, aside, lambda done: connection.send(("progress", done)))
            except (UpsDataError, OSError) as error:
                connection.send(("failed", error))
            except Exception:
                connection.send(("failed", RuntimeError(f"in a worker:\n{traceback.format_exc()}")))
            else:
                connection.send(("made", made))
    except (EOFError, ConnectionError):  # there is no more to do
        pass


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(1)  # whatever libraries have to clean up, they do


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
