"""Threads that a process can end without: one that hangs in a read keeps neither a pass nor the interpreter waiting."""

import atexit
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
# What threads at work get to finish when nobody wants their results any more; later they end by themselves.
LEAVE_SECONDS = 10.0
PREPARING = 1  # thread that tells the store what is coming: the kernel keeps it waiting while the disk's queue is full

_at_work: "weakref.WeakSet[Threads]" = weakref.WeakSet()


class Threads:
    """A few threads that run what is submitted, in its order."""

    def __init__(self, count: int) -> None:
        self._tasks = _Tasks()
        self._cancelled = threading.Event()
        self._threads = [
            threading.Thread(target=_run, args=(self._tasks, self._cancelled), name=f"ups_data_{i}", daemon=True)
            for i in range(count)
        ]
        _at_work.add(self)
        atexit.unregister(_end_all)  # as the last to be registered it comes first: before stores end their requests
        atexit.register(_end_all)
        try:
            for thread in self._threads:
                thread.start()
        except BaseException:  # no room for one more: those that started must not wait for ever
            self.abandon()
            raise

    def submit(self, function: Callable[..., T], *arguments: Any, urgent: bool = False) -> "Future[T]":
        """Have a thread call the function, after what was submitted before.

        Args:
            urgent: before all that is not, and has not begun. It may wait for nothing that is submitted.
        """
        future: Future[T] = Future()
        self._tasks.put((future, lambda: function(*arguments)), urgent=urgent)
        return future

    def abandon(self) -> None:
        """Nothing more is begun, and nobody waits for what is at work."""
        self._cancelled.set()
        for _ in self._threads:
            self._tasks.end_one()

    @property
    def is_abandoned(self) -> bool:
        """Whether `abandon` or `end` was called: what waits for anything but a read gives up."""
        return self._cancelled.is_set()

    def end(self, seconds: float = LEAVE_SECONDS) -> None:
        """Nothing more is begun; wait for what is at work, but no longer than so many seconds."""
        self.abandon()
        until = time.monotonic() + seconds
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))
        left = sum(thread.is_alive() for thread in self._threads)
        _at_work.discard(self)
        if left:
            logging.getLogger("ups_data").warning(
                "%d loader threads still wait for a read: they end when it does", left
            )


class AtWork:
    """The threads of an engine: those that make blocks, and those that prepare them, which start once that pays."""

    def __init__(self, count: int) -> None:
        self.making = Threads(count)
        self._preparing: Threads | None = None

    @property
    def preparing(self) -> Threads:
        """Started when they are first asked for, in the middle of a pass perhaps: only then is the disk known."""
        if self._preparing is None:
            self._preparing = Threads(PREPARING)
        return self._preparing

    def abandon(self) -> None:
        """See `Threads`."""
        for threads in self._all():
            threads.abandon()

    def end(self, seconds: float) -> None:
        """See `Threads`."""
        for threads in self._all():
            threads.end(seconds)

    def _all(self) -> list[Threads]:
        return [self.making] if self._preparing is None else [self._preparing, self.making]


_Task = tuple["Future[Any]", Callable[[], Any]]


class _Tasks:
    """What is to be done, in order, the urgent before the rest."""

    def __init__(self) -> None:
        self._urgent: deque[_Task] = deque()
        self._others: deque[_Task] = deque()
        self._tokens: SimpleQueue[bool] = SimpleQueue()  # one for each task, after it; False ends a thread

    def put(self, task: _Task, *, urgent: bool) -> None:
        (self._urgent if urgent else self._others).append(task)
        self._tokens.put(True)

    def end_one(self) -> None:
        self._tokens.put(False)

    def get(self) -> _Task | None:
        if not self._tokens.get():
            return None
        try:
            return self._urgent.popleft()
        except IndexError:
            return self._others.popleft()


def _run(tasks: _Tasks, cancelled: threading.Event) -> None:
    while (task := tasks.get()) is not None:
        future, call = task
        if cancelled.is_set():
            future.cancel()  # nobody may wait for it any more
        else:
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
        del task, future, call  # nothing is held while this waits


def _end_all() -> None:
    """As the interpreter ends in the middle of a pass, what it is about to take down must not be in use."""
    for threads in list(_at_work):
        threads.end(1.0)
