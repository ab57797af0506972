"""The requests of a process: one event loop in a thread of its own, which all its remote stores share."""

import asyncio
import atexit
import os
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from ups_data.store.remote.gate import DEFAULT_IN_FLIGHT, Gate
from ups_data.store.remote.pace import Pace

T = TypeVar("T")
LEAVE_SECONDS = 1.0  # what is under way gets to end with the process
SETTLE_SECONDS = 0.05  # obstore's threads get to give back what they hold of Python


class Fetcher:
    """Runs coroutines in a thread that lives as long as the process.

    Attributes:
        gate: counts the requests in flight, of all stores.
    """

    def __init__(self, in_flight: int) -> None:
        self.gate = Gate(in_flight)
        self._paces: dict[str, Pace] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="ups_data_fetcher", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin some work; several threads may."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def pace(self, server: str) -> Pace:
        """How fast a server is."""
        return self._paces.setdefault(server, Pace())

    def end(self) -> None:
        """Cancel what is under way, and wait for that: obstore's threads may bring no answer to an interpreter that is
        being taken down, which aborts the process."""
        if self._thread.is_alive():
            with suppress(TimeoutError):
                self.submit(_cancel_all()).result(2 * LEAVE_SECONDS)
            time.sleep(SETTLE_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=LEAVE_SECONDS)


_fetchers: dict[int, Fetcher] = {}  # by process: a forked one has no thread
_in_flight: dict[str, int] = {"most": DEFAULT_IN_FLIGHT}
_lock = threading.Lock()


def fetcher() -> Fetcher:
    """That of this process."""
    found = _fetchers.get(os.getpid())
    if found is None:
        with _lock:
            found = _fetchers.get(os.getpid())
            if found is None:
                found = _fetchers[os.getpid()] = Fetcher(_in_flight["most"])
    return found


def limit_requests(in_flight: int) -> None:
    """Let so many requests of this process be in flight at once, of all its stores together."""
    _in_flight["most"] = in_flight
    found = _fetchers.get(os.getpid())
    if found is not None:
        found.gate.set_most(in_flight)


@atexit.register
def _end() -> None:
    found = _fetchers.get(os.getpid())
    if found is not None:
        found.end()
