"""Batches of one pass, made by threads of this process.

The unit of work is a block of a few batches: a thread draws all its points at once, then reads and copies one batch
after another. So the calls that release the interpreter lock are few and long, and threads meet
at the lock as rarely as can be.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ups_data.batch import QueryBatch, SampleBlock, collate_block, draw_block, part_of_draws
from ups_data.batch.collate import Draws
from ups_data.plan import EpochPlan
from ups_data.stream.reader import SampleReader
from ups_data.stream.stats import StatsInMaking
from ups_data.stream.switching import quick_switching

# A block is as many batches as stay within these, at least one: long calls, but points that stay in a core's cache
# and frames that are few against the pool.
BLOCK_SAMPLES = 64
BLOCK_POINTS = 128 * 1024
BLOCK_BYTES = 32 * 1024**2


class Engine:
    """Makes the batches of one pass.

    Args:
        readers: one for each set of points.
        plan: the numbers of the samples of each batch.
        first: the first of them to make.
        points: points that a sample draws, over all its query sets.
        frame_bytes: decoded bytes of all the frames of a sample.
        threads: 0 makes each batch when it is asked for.
        ahead: blocks that are ready beyond those that the threads are at.
        one_by_one: a block is one batch, whose points are drawn apart from those of others.
        stats: where times are added.
    """

    def __init__(
        self,
        readers: Sequence[SampleReader],
        plan: Sequence[np.ndarray] | EpochPlan,
        epoch: int,
        first: int,
        *,
        points: int,
        frame_bytes: int,
        threads: int,
        ahead: int,
        one_by_one: bool,
        stats: StatsInMaking,
    ) -> None:
        self._readers, self._plan, self._epoch, self._first = readers, plan, epoch, first
        self._threads, self._ahead, self._stats = threads, ahead, stats
        self._left = False  # the consumer is gone
        samples = min(BLOCK_SAMPLES, BLOCK_POINTS // points, BLOCK_BYTES // frame_bytes)
        several = first < len(plan) and not one_by_one
        self._batches = max(1, samples // len(plan[first])) if several else 1  # of a block

    def __iter__(self) -> Iterator[QueryBatch]:
        return self._with_threads() if self._threads else self._without()

    def _without(self) -> Iterator[QueryBatch]:
        for batches in self._blocks():
            drawn = self._prepare(batches)
            for place in _places(batches):
                yield self._assemble(drawn, *place)

    def _with_threads(self) -> Iterator[QueryBatch]:
        executor = ThreadPoolExecutor(self._threads, thread_name_prefix="ups_data")
        made: deque[deque[Future[QueryBatch]]] = deque()
        try:
            with quick_switching():
                for batches in self._blocks():
                    made.append(deque(Future() for _ in batches))
                    executor.submit(self._make_block, batches, tuple(made[-1]))
                    if len(made) > self._threads + self._ahead:
                        yield from _results(made.popleft())
                while made:
                    yield from _results(made.popleft())
        finally:
            # Also reached when the consumer leaves in mid-epoch: nothing outlives the pass.
            self._left = True
            executor.shutdown(wait=True, cancel_futures=True)

    def _make_block(self, batches: list[np.ndarray], futures: "tuple[Future[QueryBatch], ...]") -> None:
        try:
            drawn = self._prepare(batches)
            for future, place in zip(futures, _places(batches), strict=True):
                if self._left:
                    return
                future.set_result(self._assemble(drawn, *place))
        except BaseException as error:
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    def _blocks(self) -> Iterator[list[np.ndarray]]:
        """The numbers of the samples of each batch of a block. The first blocks are short: so is the first wait."""
        at, size = self._first, 1
        while at < len(self._plan):
            end = min(at + size, len(self._plan))
            yield [self._plan[batch] for batch in range(at, end)]
            at, size = end, min(2 * size, self._batches)

    def _prepare(self, batches: list[np.ndarray]) -> list[tuple[SampleBlock, Draws]]:
        """Look up what a block of batches needs and draw its points."""
        blocks = [reader.block(np.concatenate(batches), self._epoch) for reader in self._readers]
        begun = time.perf_counter()
        drawn: list[tuple[SampleBlock, Draws]] = [(block, draw_block(block)) for block in blocks]
        self._stats.add(draw_seconds=time.perf_counter() - begun)
        return drawn

    def _assemble(self, drawn: list[tuple[SampleBlock, Draws]], begin: int, end: int) -> QueryBatch:
        """Read what a batch needs and copy it."""
        pool = self._readers[0].pool
        begun, reading = time.perf_counter(), pool.seconds_of_thread()
        made = [
            collate_block(block.part(begin, end), part_of_draws(draws, len(block), begin, end))
            for block, draws in drawn
        ]
        batch = made[0]
        if len(made) > 1:
            names = [str(reader.set_name) for reader in self._readers]
            batch = replace(batch, set_name=names[0], others=dict(zip(names[1:], made[1:], strict=True)))
        reading = pool.seconds_of_thread() - reading
        self._stats.add(assemble_seconds=time.perf_counter() - begun - reading)
        return batch


def _results(batches: "deque[Future[QueryBatch]]") -> Iterator[QueryBatch]:
    """The batches in order, none of them held once it is handed out."""
    while batches:
        yield batches.popleft().result()


def _places(batches: list[np.ndarray]) -> list[tuple[int, int]]:
    """Where in their block the samples of each batch begin and end."""
    return list(pairwise(np.cumsum([0, *map(len, batches)]).tolist()))
