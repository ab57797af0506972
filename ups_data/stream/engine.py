"""Batches of one pass, made by threads of this process.

One thread copies; the others work ahead of it: they decode chunks and draw points, for several batches at once. The
interpreter lock decides this shape. Copying a batch is many short calls that release it, and two threads that do so
spend their time handing it over (measured on two cores: slower than one); decoding and drawing are few long calls,
which run beside the copying thread undisturbed.
"""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from ups_data.batch import QueryBatch, SampleBlock, collate_block, draw_block, part_of_draws
from ups_data.batch.collate import Draws
from ups_data.plan import EpochPlan
from ups_data.stream.reader import SampleReader
from ups_data.stream.stats import LoaderStats

# Samples and points that are drawn at once: long calls, but arrays that stay in a core's cache.
BLOCK_SAMPLES = 64
BLOCK_POINTS = 128 * 1024


class Engine:
    """Makes the batches of one pass.

    Args:
        plan: this rank's batches.
        first: the first of them to make.
        points: points that a sample draws, over all its query sets.
        threads: 0 makes each batch when it is asked for.
        ahead: batches that are ready, or being made, beyond the one handed out.
        stats: where times are added.
    """

    def __init__(
        self,
        reader: SampleReader,
        plan: EpochPlan,
        epoch: int,
        first: int,
        *,
        points: int,
        threads: int,
        ahead: int,
        stats: LoaderStats,
    ) -> None:
        self._reader, self._plan, self._epoch, self._first = reader, plan, epoch, first
        self._threads, self._ahead, self._stats = threads, ahead, stats
        samples = max(1, len(plan[first])) if first < len(plan) else 1
        self._batches = max(1, min(BLOCK_SAMPLES, BLOCK_POINTS // max(points, 1)) // samples)  # of a block

    def __iter__(self) -> Iterator[QueryBatch]:
        return self._with_threads() if self._threads else self._without()

    def _without(self) -> Iterator[QueryBatch]:
        for start in self._starts():
            block, draws = self._prepare(start)
            for place in self._places(start):
                yield self._assemble(block, draws, *place)

    def _with_threads(self) -> Iterator[QueryBatch]:
        copier = ThreadPoolExecutor(1, thread_name_prefix="ups_data-copy")
        others = ThreadPoolExecutor(self._threads - 1, thread_name_prefix="ups_data") if self._threads > 1 else copier
        blocks_ahead = self._threads + self._ahead // self._batches
        blocks: deque[Future[tuple[SampleBlock, Draws]]] = deque()
        batches: deque[Future[QueryBatch]] = deque()
        starts = self._starts()
        try:
            for start in starts[:blocks_ahead]:
                blocks.append(others.submit(self._prepare, start))
            for number, start in enumerate(starts):
                block = blocks.popleft()
                for place in self._places(start):
                    batches.append(copier.submit(self._assemble_when_ready, block, *place))
                    while len(batches) > self._ahead:
                        yield batches.popleft().result()
                if number + blocks_ahead < len(starts):
                    blocks.append(others.submit(self._prepare, starts[number + blocks_ahead]))
            while batches:
                yield batches.popleft().result()
        finally:
            # Also reached when the consumer leaves in mid-epoch: nothing outlives the pass.
            others.shutdown(wait=True, cancel_futures=True)
            copier.shutdown(wait=True, cancel_futures=True)

    def _starts(self) -> list[int]:
        """The first batch of each block."""
        return list(range(self._first, len(self._plan), self._batches))

    def _places(self, start: int) -> list[tuple[int, int]]:
        """The samples of each batch of the block that starts with batch `start`."""
        places, begin = [], 0
        for batch in range(start, min(start + self._batches, len(self._plan))):
            size = len(self._plan[batch])
            places.append((begin, begin + size))
            begin += size
        return places

    def _prepare(self, start: int) -> tuple[SampleBlock, Draws]:
        """Decode what a block of batches needs and draw its points."""
        stop = min(start + self._batches, len(self._plan))
        numbers = [number for batch in range(start, stop) for number in self._plan[batch].tolist()]
        block = self._reader.block(numbers, self._epoch)
        begun = time.perf_counter()
        draws = draw_block(block)
        self._stats.draw_seconds += time.perf_counter() - begun
        return block, draws

    def _assemble_when_ready(self, prepared: "Future[tuple[SampleBlock, Draws]]", begin: int, end: int) -> QueryBatch:
        return self._assemble(*prepared.result(), begin, end)

    def _assemble(self, block: SampleBlock, draws: Draws, begin: int, end: int) -> QueryBatch:
        begun = time.perf_counter()
        batch = collate_block(block.part(begin, end), part_of_draws(draws, len(block), begin, end))
        self._stats.assemble_seconds += time.perf_counter() - begun
        return batch
