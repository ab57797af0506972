"""Fetching the stored bytes of coming blocks, so that who makes them need not wait for a slow store.

Which points a block draws is a pure function of the seed, so a few threads draw blocks long before they are made, list
what these read, and have the store fetch it. The bytes that wait to be used are bounded.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, Protocol, TypeVar
from weakref import finalize

from ups_data.batch import Wanted
from ups_data.engine.threads import Threads
from ups_data.reading.pool import Chunk, Pool
from ups_data.reading.window.budget import Budget
from ups_data.reading.window.reads import BlockReads
from ups_data.reading.window.window import Fetched, Window

# Several, as the first touch of a shard may wait for the store; not many, as drawing takes the interpreter lock.
THREADS = 3
MOST_BLOCKS = 24  # that are drawn and not made yet, however small they are


class HasReads(Protocol):
    """A block that was drawn: `reads` for each set of points."""

    @property
    def reads(self) -> Sequence[Wanted]:
        """What it reads."""
        ...


D = TypeVar("D", bound=HasReads)


class Ahead:
    """Draws blocks, and fetches what they read, at most `limit` bytes ahead. It serves all passes of a loader.

    Args:
        window: keeps what was fetched until it is used.
        pool: of the loader; what it has is not fetched.
        limit: bytes.
    """

    def __init__(self, window: Window, pool: Pool, limit: int) -> None:
        self.window, self.pool, self.budget = window, pool, Budget(limit)
        self._fetching: set[Chunk] = set()
        self._lock = threading.Lock()
        self._threads: Threads | None = None

    def prepare(self, draw: Callable[[], D], cancelled: threading.Event, is_early: Callable[[], bool]) -> "Prepared[D]":
        """Have a block drawn and its reads fetched, after those that were asked for before.

        Args:
            draw: draws it.
            cancelled: set if nobody wants it any more.
            is_early: whether it is of a later pass still.
        """
        if self._threads is None:
            self._threads = Threads(THREADS)
            finalize(self, self._threads.abandon)
        prepared: Prepared[D] = Prepared(self, self.budget.ticket(), cancelled)
        prepared.drawn = self._threads.submit(self._prepare, prepared, draw, cancelled, is_early)
        return prepared

    def _prepare(
        self,
        prepared: "Prepared[D]",
        draw: Callable[[], D],
        cancelled: threading.Event,
        is_early: Callable[[], bool],
    ) -> D:
        threads = self._threads

        def is_cancelled() -> bool:  # at the latest when the process ends
            return cancelled.is_set() or prepared.released or (threads is not None and threads.is_abandoned)

        try:
            drawn = draw()
            reads = BlockReads(drawn.reads)
            self.budget.turn(prepared.ticket, is_cancelled)
            prepared.expect(reads.pooled)  # before the pool is asked what it lacks
            with self._lock:
                ranges, prepared.chunks = reads.left(self.pool, self._fetching)
                self._fetching.update(prepared.chunks)
            size = sum(int((stop - start).sum()) for _, start, stop in ranges)
            if ranges and self.budget.reserve(prepared.ticket, size, is_cancelled, is_early):
                prepared.took(size, self.window.fetch(ranges))
            elif is_cancelled():
                self.forget(prepared.chunks)
        finally:
            self.budget.pass_on(prepared.ticket)
        return drawn

    def forget(self, chunks: Sequence[Chunk]) -> None:
        """These are not being fetched any more."""
        with self._lock:
            self._fetching.difference_update(chunks)


class Prepared(Generic[D]):
    """A block that is being drawn and fetched.

    Attributes:
        drawn: the block, once it is drawn; its bytes may still be under way.
        cancelled: set if nobody wants it any more.
    """

    drawn: "Future[D]"

    def __init__(self, ahead: Ahead, ticket: int, cancelled: threading.Event) -> None:
        self._ahead, self.ticket, self.cancelled = ahead, ticket, cancelled
        self.chunks: Sequence[Chunk] = ()
        self.released = False
        self._expected: Sequence[Chunk] = ()
        self._size = 0
        self._fetched: Fetched | None = None
        self._lock = threading.Lock()

    def expect(self, chunks: Sequence[Chunk]) -> None:
        """It reads those chunks out of the pool, which drops others before them until this is released."""
        with self._lock:
            if not self.released:
                self._expected = chunks
                self._ahead.pool.expect(chunks)

    def took(self, size: int, fetched: Fetched) -> None:
        """Its bytes are being fetched."""
        with self._lock:
            if not self.released:
                self._size, self._fetched = size, fetched
                return
        self._drop(size, fetched)

    def wait(self) -> D:
        """The block; its reads are made inside `with prepared:`.

        Raises:
            UpsDataError: as `Pass.drawn`.
        """
        self._ahead.budget.hurry(self.ticket)
        return self.drawn.result()

    def __enter__(self) -> None:
        if self._fetched is not None:
            self._ahead.window.use(self._fetched)

    def __exit__(self, *exc: object) -> None:
        self._ahead.window.use(None)
        self.release()

    def release(self) -> None:
        """It was made, or nobody wants it any more."""
        with self._lock:
            if self.released:
                return
            self.released = True
            size, fetched, self._fetched = self._size, self._fetched, None
            expected, self._expected = self._expected, ()
        self._ahead.pool.expect_no_more(expected)
        self._drop(size, fetched)

    def _drop(self, size: int, fetched: Fetched | None) -> None:
        self._ahead.forget(self.chunks)
        if fetched is not None:
            self._ahead.window.release(fetched)
            self._ahead.budget.give_back(size)
