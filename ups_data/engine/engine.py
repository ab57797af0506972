"""Who makes the blocks of a loader's passes: the calling thread, or threads that work ahead of it.

Threads live from pass to pass. While the last batches of an epoch are taken, they begin the first blocks of the next
one, so an epoch's end costs no wait.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from threading import Event
from weakref import finalize

import numpy as np

from ups_data.batch import QueryBatch
from ups_data.engine.ahead import MOST_BLOCKS, Prepared
from ups_data.engine.blocks import Drawn, Pass
from ups_data.engine.switching import quick_switching
from ups_data.engine.threads import LEAVE_SECONDS, AtWork
from ups_data.errors import UpsDataError

_Block = tuple[int, list[np.ndarray], Prepared[Drawn] | None]  # its first batch, the samples of all, if it is fetched
Following = Callable[[int], Pass | None]
TICK = 1.0  # seconds; time in which this process does not run counts as one tick at most
LATE_SECONDS = 0.5  # for threads to end, after one was late: it may never return


class Engine:
    """Makes the batches of passes, one pass after another.

    Args:
        threads: 0 makes each block when its first batch is asked for.
        ahead: blocks that are ready beyond those that the threads are at.
        timeout: seconds that a block may take threads from when it is waited for; None: no limit.
    """

    def __init__(self, *, threads: int, ahead: int, timeout: float | None) -> None:
        self._count, self._ahead, self._timeout = threads, ahead, timeout
        self._threads: AtWork | None = None
        self._early: deque[_Run] = deque()  # of the next passes
        self._under_way: set[_Run] = set()

    def batches(self, current: Pass, following: Following = lambda ahead: None) -> Iterator[QueryBatch]:
        """The batches of a pass.

        Args:
            following: the pass that is going to come so many passes after the next one, asked for when all blocks of
                this one are begun; None: not known, or not to be begun before this one has ended.
        """
        if self._count:
            return self._with_threads(current, following)
        return _without_threads(current) if current.ahead is None else self._reading_ahead(current, following)

    def close(self, seconds: float = LEAVE_SECONDS) -> None:
        """End the threads, and leave what they made for the next pass."""
        for early in self._early:
            early.leave()
        self._early.clear()
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.end(seconds)

    def _with_threads(self, current: Pass, following: Following) -> Iterator[QueryBatch]:
        run, patience = self._run_of(current), LEAVE_SECONDS
        self._under_way.add(run)
        try:
            with quick_switching():
                if current.hurry and not run.made and run.begin():
                    # Alone: if threads meet at the interpreter lock over their first blocks, all of them come later.
                    self._result(run.what, *run.made[0])
                while run.begin():
                    self._read_ahead(run, following)
                    if len(run.made) > self._count + self._ahead:
                        yield from self._handed_out(run)
                while run.made:
                    self._begin_early(len(run.made), following)
                    self._read_ahead(run, following)
                    yield from self._handed_out(run)
        except _LateError:
            patience = LATE_SECONDS
            raise
        finally:
            run.leave()
            self._under_way.discard(run)
            if run.left and not self._under_way:
                self.close(patience)  # the consumer leaves in mid-epoch, or there was an error: nothing outlives it

    def _reading_ahead(self, current: Pass, following: Following) -> Iterator[QueryBatch]:
        """The batches, made by the calling thread of what is fetched ahead."""
        run = self._run_of(current)
        try:
            while (block := run.next_block()) is not None:
                self._read_ahead(run, following)
                for number, batch in enumerate(_in_turn(run.make(*block)), block[0]):
                    run.left -= 1
                    current.hand_out(number)
                    yield batch
                    del batch
        finally:
            run.leave()
            if run.left:
                self.close()

    def _read_ahead(self, run: "_Run", following: Following) -> None:
        """Have blocks fetched ahead, of this pass and of those that come after it, as far as there is room."""
        ahead = run.what.ahead
        while ahead is not None and ahead.budget.has_room(early=False):
            if sum(other.waiting for other in (run, *self._early)) >= MOST_BLOCKS:
                return
            if run.fetch():
                continue
            if not ahead.budget.has_room(early=True):
                return
            if not any(other.fetch() for other in self._early) and not self._add_early(following):
                return

    def _begin_early(self, made: int, following: Following) -> None:
        """Begin blocks of the passes to come, of several if they are short, up to as many as are made ahead."""
        while made + sum(len(early.made) for early in self._early) <= self._count + self._ahead:
            if self._early and self._early[-1].begin():
                continue
            if not self._add_early(following):
                return

    def _add_early(self, following: Following) -> bool:
        """One more of the passes to come; whether there is one that may be begun."""
        after = following(len(self._early)) if len(self._early) <= self._count else None
        if after is not None:
            self._early.append(_Run(after, self._threads_at_work(), self._count, early=True))
        return after is not None

    def _run_of(self, current: Pass) -> "_Run":
        """The pass, with what was begun of it already."""
        if self._early:
            early = self._early.popleft()
            if (early.what.epoch, early.what.first) == (current.epoch, current.first):
                early.is_early = False
                return early
            for other in (early, *self._early):
                other.leave()
            self._early.clear()
        return _Run(current, self._threads_at_work(), self._count)

    def _threads_at_work(self) -> AtWork | None:
        if self._threads is None and self._count:
            self._threads = AtWork(self._count)
            finalize(self, self._threads.abandon)
        return self._threads

    def _handed_out(self, run: "_Run") -> Iterator[QueryBatch]:
        """The batches of the oldest block, none of them held once it is handed out."""
        first, future = run.made.popleft()
        for number, batch in enumerate(_in_turn(self._result(run.what, first, future)), first):
            run.left -= 1
            run.what.hand_out(number)
            yield batch
            del batch

    def _result(self, what: Pass, first: int, future: "Future[deque[QueryBatch]]") -> deque[QueryBatch]:
        """What a thread made, from batch `first` on."""
        waited = 0.0
        while True:
            try:
                return future.result(TICK)
            except TimeoutError:
                if future.done():
                    return future.result()  # the thread's own error
            waited += TICK
            if self._timeout is not None and waited >= self._timeout:
                raise _LateError(
                    f"the loader's threads have not made {what.describe(first)} in {self._timeout:g} s: see whether "
                    "the storage answers, or give a longer timeout="
                )


class _LateError(UpsDataError):
    """A thread is in a read that may never return."""


class _Run:
    """The blocks of a pass that were begun and not yet handed out, in order.

    Attributes:
        left: batches that were not handed out yet.
        is_early: whether it is of a pass that is still to come.
    """

    def __init__(self, what: Pass, threads: AtWork | None, count: int, *, early: bool = False) -> None:
        self.what, self.cancelled = what, Event()
        self.left = len(what.plan) - what.first
        self.is_early = early
        self.made: deque[tuple[int, Future[deque[QueryBatch]]]] = deque()
        self._blocks, self._threads = what.blocks(count, early=early), threads
        self._fetched: deque[_Block] = deque()
        self._alive: set[Prepared[Drawn]] = set()

    @property
    def waiting(self) -> int:
        """Blocks that are being fetched and that nobody has begun to make."""
        return len(self._fetched)

    def fetch(self) -> bool:
        """Have one more block drawn and fetched, if that is done ahead; whether there was one."""
        block = next(self._blocks, None)
        if block is None:
            return False
        prepared = self.what.fetch(*block, self.cancelled, lambda: self.is_early)
        if prepared is not None:
            self._alive.add(prepared)
        self._fetched.append((*block, prepared))
        return True

    def next_block(self) -> "_Block | None":
        """The next one to make."""
        return self._fetched.popleft() if self._fetched or self.fetch() else None

    def begin(self) -> bool:
        """Begin one more block; whether there was one."""
        block = self.next_block()
        if block is not None and self._threads is not None:
            drawn = None
            if self.what.looks_ahead and not self.what.is_waited_for(block[0]):
                # Long before it is made: the reads of all blocks that were begun are under way together.
                drawn = self._threads.preparing.submit(self._prepare, *block[:2])
            self.made.append((block[0], self._threads.making.submit(self.make, *block, drawn)))
        return block is not None

    def leave(self) -> None:
        """Nobody wants what is not handed out yet."""
        self.cancelled.set()
        for prepared in list(self._alive):
            prepared.release()
        self._alive.clear()

    def make(
        self,
        first: int,
        batches: list[np.ndarray],
        prepared: Prepared[Drawn] | None,
        drawn: "Future[Drawn | None] | None" = None,
    ) -> deque[QueryBatch]:
        """The batches of a block."""
        if self.cancelled.is_set():
            return deque()
        if prepared is None:
            return self.what.make(first, batches, None if drawn is None else drawn.result())
        self._alive.discard(prepared)
        return self.what.make_fetched(first, batches, prepared)

    def _prepare(self, first: int, batches: list[np.ndarray]) -> Drawn | None:
        return None if self.cancelled.is_set() else self.what.prepare(first, batches)


def _without_threads(current: Pass) -> Iterator[QueryBatch]:
    for first, batches, drawn in _prepared(current):
        made, drawn = current.make(first, batches, drawn), None
        for number, batch in enumerate(_in_turn(made), first):
            current.hand_out(number)
            yield batch
            del batch


def _prepared(current: Pass) -> Iterator[tuple[int, list[np.ndarray], Drawn | None]]:
    """The blocks of a pass, each after the one behind it was prepared."""
    waiting: deque[tuple[int, list[np.ndarray], Drawn | None]] = deque()
    for block in current.blocks(0):
        at_once = current.is_waited_for(block[0])
        waiting.append((*block, current.prepare(*block) if current.looks_ahead and not at_once else None))
        if len(waiting) > 1 or at_once:
            yield waiting.popleft()
    yield from waiting


def _in_turn(batches: deque[QueryBatch]) -> Iterator[QueryBatch]:
    """The batches in order, none of them held once it is handed out."""
    while batches:
        yield batches.popleft()
