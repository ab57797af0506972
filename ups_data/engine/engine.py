"""Batches of one pass, made by threads of this process.

The unit of work is a block of a few batches, drawn, read and copied at once and handed out as slices. So the calls
that release the interpreter lock are few and long, and threads meet at the lock as rarely as can be.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace

import numpy as np

from ups_data.batch import QueryBatch, collate_block, draw_block
from ups_data.engine.stats import StatsInMaking
from ups_data.engine.switching import quick_switching
from ups_data.engine.threads import LEAVE_SECONDS, Threads
from ups_data.errors import UpsDataError
from ups_data.plan import EpochPlan
from ups_data.reading.damage import DamagedSamples
from ups_data.reading.reader import SampleReader

TICK = 1.0  # seconds; time in which this process does not run counts as one tick at most


class Engine:
    """Makes the batches of one pass.

    Args:
        readers: one for each set of points.
        plan: the numbers of the samples of each batch.
        first: the first of them to make.
        moment: of a batch of the plan, for schedules; what a block draws is as of its first batch.
        valid: of a batch of the plan, which of its samples do not only fill it; None: all.
        block_samples: a block is as many batches as have no more samples, at least one.
        threads: 0 makes each block when its first batch is asked for.
        ahead: blocks that are ready beyond those that the threads are at.
        hurry: the first blocks are short, and so is the wait for the first batch.
        stats: where times are added.
        timeout: seconds that a block may take threads from when it is waited for; None: no limit.
        describe: a batch of the epoch, for errors.
        damaged: where damaged samples are noted and left out; None: they are errors.
        samples: of the split.
    """

    def __init__(
        self,
        readers: Sequence[SampleReader],
        plan: Sequence[np.ndarray] | EpochPlan,
        epoch: int,
        first: int,
        *,
        moment: Callable[[int], float],
        valid: Callable[[int], np.ndarray] | None,
        block_samples: int,
        threads: int,
        ahead: int,
        hurry: bool,
        stats: StatsInMaking,
        timeout: float | None,
        describe: Callable[[int], str],
        damaged: DamagedSamples | None,
        samples: int,
    ) -> None:
        self._damaged, self._samples = damaged, samples
        self._timeout, self._describe = timeout, describe
        self._readers, self._plan, self._epoch, self._first = readers, plan, epoch, first
        self._moment, self._valid = moment, valid
        self._threads, self._ahead, self._stats = threads, ahead, stats
        self._batches = max(1, block_samples // len(plan[first])) if first < len(plan) else 1  # of a block, at most
        self._hurry = hurry

    def __iter__(self) -> Iterator[QueryBatch]:
        return self._with_threads() if self._threads else self._without()

    def _without(self) -> Iterator[QueryBatch]:
        for block in self._blocks():
            yield from _handed_out(self._make(*block))

    def _with_threads(self) -> Iterator[QueryBatch]:
        threads, patience = Threads(self._threads), LEAVE_SECONDS
        made: deque[tuple[int, Future[deque[QueryBatch]]]] = deque()
        try:
            with quick_switching():
                for first, batches in self._blocks():
                    made.append((first, threads.submit(self._make, first, batches)))
                    if len(made) > self._threads + self._ahead:
                        yield from _handed_out(self._result(*made.popleft()))
                while made:
                    yield from _handed_out(self._result(*made.popleft()))
        except _LateError:
            patience = 0.5
            raise
        finally:
            # Also reached when the consumer leaves in mid-epoch: nothing outlives the pass.
            threads.end(patience)

    def _result(self, first: int, future: "Future[deque[QueryBatch]]") -> deque[QueryBatch]:
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
                    f"the loader's threads have not made {self._describe(first)} in {self._timeout:g} s: see whether "
                    "the storage answers, or give a longer timeout="
                )

    def _blocks(self) -> Iterator[tuple[int, list[np.ndarray]]]:
        """The first batch of a block, and the numbers of the samples of each of its batches."""
        at = self._first
        for size in _sizes(len(self._plan) - at, self._batches, max(1, self._threads), hurry=self._hurry):
            yield at, [self._plan[batch] for batch in range(at, at + size)]
            at += size

    def _make(self, first: int, batches: list[np.ndarray]) -> deque[QueryBatch]:
        """The batches of a block, batch by batch where a sample of it is damaged and may be left out."""
        if self._damaged is None:
            return self._made(first, batches)
        try:
            return self._made(first, batches)
        except UpsDataError:
            if len(batches) == 1:
                return self._made_of_intact(first, batches[0])
        return deque(batch for place, b in enumerate(batches) for batch in self._make(first + place, [b]))

    def _made_of_intact(self, place: int, numbers: np.ndarray) -> deque[QueryBatch]:
        """A batch in which the first intact sample, of the batch or else of the split, fills the place of each damaged
        one: with weight 0, and not valid.

        Whether a sample is damaged is found by making it alone, which reads the same bytes whatever else is made: the
        samples that are left are the same for every number of ranks, processes and threads.
        """
        assert self._damaged is not None
        intact = np.array([self._is_intact(place, number) for number in numbers])
        self._stats.add(damaged_samples=int(np.sum(~intact)))
        candidates = numbers[intact] if intact.any() else np.arange(self._samples)
        filler = next((n for n in candidates.tolist() if intact.any() or self._is_intact(place, n)), None)
        if filler is None:
            raise UpsDataError("every sample of the split is damaged: copy or make the dataset again")
        valid = intact if self._valid is None else intact & self._valid(place)
        return self._made(place, [np.where(intact, numbers, filler)], valid)

    def _is_intact(self, place: int, number: int) -> bool:
        assert self._damaged is not None
        try:
            self._made(place, [np.array([number])], np.ones(1, bool))
        except UpsDataError as error:
            self._damaged.add(int(number), str(error))
            return False
        return True

    def _made(self, first: int, batches: list[np.ndarray], valid: np.ndarray | None = None) -> deque[QueryBatch]:
        """The batches of a block: one large batch, in slices."""
        pool, numbers = self._readers[0].pool, np.concatenate(batches)
        blocks = [reader.block(numbers, self._epoch, self._moment(first)) for reader in self._readers]
        if valid is None and self._valid is not None:
            valid = np.concatenate([self._valid(first + place) for place in range(len(batches))])
        if valid is not None:
            for block in blocks:
                block.valid = valid
        begun = time.perf_counter()
        draws = [draw_block(block) for block in blocks]
        drawn, reading = time.perf_counter(), pool.seconds_of_thread()
        made = [collate_block(*pair) for pair in zip(blocks, draws, strict=True)]
        large = made[0]
        if len(made) > 1:
            names = [str(reader.set_name) for reader in self._readers]
            large = replace(large, set_name=names[0], others=dict(zip(names[1:], made[1:], strict=True)))
        slices = deque(large.split([len(b) for b in batches]) if len(batches) > 1 else [large])
        reading = pool.seconds_of_thread() - reading
        self._stats.add(draw_seconds=drawn - begun, assemble_seconds=max(0.0, time.perf_counter() - drawn - reading))
        return slices


class _LateError(UpsDataError):
    """A thread is in a read that may never return."""


def _sizes(batches: int, most: int, threads: int, *, hurry: bool) -> Iterator[int]:
    """The numbers of batches of blocks: as few blocks of at most so many as give all threads as many, two at least.

    In a hurry the first blocks are short, so that the first batch is there soon.
    """
    size = 1
    while hurry and batches > 0 and size < most:
        yield min(size, batches)
        batches, size = batches - size, 2 * size
    count = -(-max(0, batches) // most)
    count = min(max(2 * threads, -(-count // threads) * threads), max(0, batches))
    for number in range(count):
        yield -(-(batches - number) // count)


def _handed_out(batches: deque[QueryBatch]) -> Iterator[QueryBatch]:
    """The batches in order, none of them held once it is handed out."""
    while batches:
        yield batches.popleft()
