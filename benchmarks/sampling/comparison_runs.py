"""Runs in processes of their own, so that the peak memory of each is its own."""

import multiprocessing
import multiprocessing.connection
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from ups_data.errors import UpsDataError
from ups_data.training.runs.stop import StopSignals

POLL_SECONDS = 0.5


class Task(NamedTuple):
    """What a process calls: `call(*arguments, stop)`, with `stop()` true once the run is to save itself and end."""

    name: str
    call: Callable[..., None]
    arguments: tuple[Any, ...]


def run_tasks(
    tasks: Sequence[Task], jobs: int, preload: Sequence[str], progress: Callable[[list[str]], None] = lambda names: None
) -> None:
    """Run them in the order given, `jobs` at a time; when this process ends, however it does, so do they.

    Args:
        preload: modules that are imported once for all of them.
        progress: called twice a second with the names of those under way.

    Raises:
        UpsDataError: of the first that failed; the others were told to stop and have.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", *preload])
    waiting, running = list(tasks), dict[Any, tuple[Task, Connection]]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                task = waiting.pop(0)
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_in_process, args=(sender, task))
                process.start()
                sender.close()
                running[process] = (task, receiver)
            progress([task.name for task, _ in running.values()])
            multiprocessing.connection.wait([process.sentinel for process in running], POLL_SECONDS)
            for process in [p for p in running if not p.is_alive()]:
                task, receiver = running.pop(process)
                _check(task, process.exitcode, receiver)
        progress([])
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.join()


def _check(task: Task, exitcode: int | None, receiver: Connection) -> None:
    with receiver:
        complaint = receiver.recv() if receiver.poll() and exitcode else None
    if complaint is not None:
        raise UpsDataError(complaint)
    if exitcode:
        raise UpsDataError(f"{task.name}: its process ended with {exitcode}: the same command goes on from there")


def _in_process(sender: Connection, task: Task) -> None:
    parent = multiprocessing.parent_process()
    with StopSignals() as stopped:
        try:
            task.call(*task.arguments, lambda: stopped() or (parent is not None and not parent.is_alive()))
        except UpsDataError as error:
            sender.send(str(error))
            raise SystemExit(2) from None
