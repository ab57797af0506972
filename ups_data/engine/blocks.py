"""The blocks of one pass: a block is a few batches, drawn, read and copied at once and handed out as slices.

So the calls that release the interpreter lock are few and long, and threads meet at the lock as rarely as can be.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Event

import numpy as np

from ups_data.batch import QueryBatch, SampleBlock, Wanted, draw, gather, wanted
from ups_data.batch.listing import Draws
from ups_data.engine.ahead import Ahead, Prepared
from ups_data.engine.stats import StatsInMaking
from ups_data.errors import UnreachableError, UpsDataError
from ups_data.plan import EpochPlan, SomeBatches
from ups_data.reading.ahead import ranges_of
from ups_data.reading.damage import DamagedSamples
from ups_data.reading.reader import SampleReader
from ups_data.store.kernel.counts import thread_reads
from ups_data.store.object_store import ObjectStore


@dataclass(frozen=True, eq=False)
class Drawn:
    """A block before its frames are read: of each set of points the samples, what was drawn, and what is read."""

    blocks: Sequence[SampleBlock]
    draws: Sequence[Draws]
    reads: Sequence[Wanted]


@dataclass(frozen=True, eq=False)
class Pass:
    """One pass over an epoch, or over what is left of it: which batches there are, and how a block of them is made.

    Attributes:
        readers: one for each set of points.
        plan: the numbers of the samples of each batch.
        epoch: of the pass.
        first: the first batch to make.
        moment: of a batch of the plan, for schedules; what a block draws is as of its first batch.
        valid: of a batch of the plan, which of its samples do not only fill it; None: all.
        block_samples: a block is as many batches as have no more samples, at least one.
        hurry: the first blocks are short, and so is the wait for the first batch.
        stats: where times are added.
        describe: a batch of the epoch, for errors.
        damaged: where damaged samples are noted and left out; None: they are errors.
        samples: of the split.
        ahead: what fetches the bytes of coming blocks; None: they are read as they are needed.
    """

    readers: Sequence[SampleReader]
    plan: EpochPlan | SomeBatches
    epoch: int
    first: int
    moment: Callable[[int], float]
    valid: Callable[[int], np.ndarray] | None
    block_samples: int
    hurry: bool
    stats: StatsInMaking
    describe: Callable[[int], str]
    damaged: DamagedSamples | None
    samples: int
    ahead: Ahead | None = None

    @cached_property
    def _left_out(self) -> dict[int, int]:
        """Batch → damaged samples that were left out of it, until it is handed out."""
        return {}

    def hand_out(self, batch: int) -> None:
        """A batch is about to be handed out: what was left out of it counts from now on."""
        if self._left_out and (count := self._left_out.pop(batch, 0)):
            self.stats.add(damaged_samples=count)

    @cached_property
    def _batches(self) -> int:
        """Of a block, at most."""
        return max(1, self.block_samples // len(self.plan[self.first])) if self.first < len(self.plan) else 1

    def blocks(self, threads: int, *, early: bool = False) -> Iterator[tuple[int, list[np.ndarray]]]:
        """The first batch of a block, and the numbers of the samples of each of its batches.

        Args:
            early: nobody waits for the first one yet, so there may be fewer.
        """
        at, threads = self.first, max(1, threads)
        least = 1 if early else 2 * threads
        for size in _sizes(len(self.plan) - at, self._batches, threads, least, hurry=self.hurry):
            yield at, [self.plan[batch] for batch in range(at, at + size)]
            at += size

    @property
    def looks_ahead(self) -> bool:
        """Whether it pays now to `prepare` a block long before it is made."""
        return self._store.looks_ahead

    def is_waited_for(self, first: int) -> bool:
        """Whether the block that begins so is the first one that a loader makes: nothing else is done before it."""
        return self.hurry and first == self.first

    def prepare(self, first: int, batches: list[np.ndarray]) -> Drawn | None:
        """Draw the points of a block that is going to be made, and tell the store which ranges that takes.

        None where something is wrong with it: `make` meets it again.
        """
        with self._counted():
            try:
                drawn = self._drawn(first, batches)
                pool = self.readers[0].pool
                self._store.ahead([part for reads in drawn.reads for part in ranges_of(reads, pool)])
            except UpsDataError:
                return None
        return drawn

    def fetch(
        self, first: int, batches: list[np.ndarray], cancelled: Event, is_early: Callable[[], bool]
    ) -> Prepared[Drawn] | None:
        """Have a block drawn and what it reads fetched, if `ahead` does that, unless nobody wants it any more."""
        if self.ahead is None:
            return None
        return self.ahead.prepare(lambda: self._drawn(first, batches), cancelled, is_early)

    def make_fetched(self, first: int, batches: list[np.ndarray], prepared: Prepared[Drawn]) -> deque[QueryBatch]:
        """The batches of a block that was prepared by `fetch`; see `make`."""
        try:
            try:
                drawn = prepared.wait()
            except UpsDataError:
                drawn = None  # `make` meets it again
            if prepared.cancelled.is_set():
                return deque()
            with prepared:
                return self.make(first, batches, drawn)
        finally:
            prepared.release()

    def make(self, first: int, batches: list[np.ndarray], drawn: Drawn | None = None) -> deque[QueryBatch]:
        """The batches of a block, batch by batch where a sample of it is damaged and may be left out.

        Args:
            drawn: what `prepare` made of the same block.
        """
        with self._counted():
            return self._intact(first, batches, drawn)

    @property
    def _store(self) -> ObjectStore:
        return self.readers[0].store

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """What the kernel reads from disks meanwhile is counted, and the store hears of it."""
        begun = thread_reads()
        try:
            yield
        finally:
            size = thread_reads() - begun
            self._store.delivered(size)
            if size:
                self.stats.add(fetched_bytes=size)

    def _intact(self, first: int, batches: list[np.ndarray], drawn: Drawn | None = None) -> deque[QueryBatch]:
        if self.damaged is None:
            return self._made(first, batches, drawn=drawn)
        try:
            return self._made(first, batches, drawn=drawn)
        except UnreachableError:
            raise  # no sample is damaged
        except UpsDataError:
            if len(batches) == 1:
                return self._made_of_intact(first, batches[0])
        return deque(batch for place, b in enumerate(batches) for batch in self._intact(first + place, [b]))

    def _made_of_intact(self, place: int, numbers: np.ndarray) -> deque[QueryBatch]:
        """A batch in which the first intact sample, of the batch or else of the split, fills the place of each damaged
        one: with weight 0, and not valid.

        Whether a sample is damaged is found by making it alone, which reads the same bytes whatever else is made: the
        samples that are left are the same for every number of ranks, processes and threads.
        """
        assert self.damaged is not None
        intact = np.array([self._is_intact(place, number) for number in numbers])
        self._left_out[place] = int(np.sum(~intact))
        candidates = numbers[intact] if intact.any() else np.arange(self.samples)
        filler = next((n for n in candidates.tolist() if intact.any() or self._is_intact(place, n)), None)
        if filler is None:
            raise UpsDataError("every sample of the split is damaged: copy or make the dataset again")
        valid = intact if self.valid is None else intact & self.valid(place)
        return self._made(place, [np.where(intact, numbers, filler)], valid)

    def _is_intact(self, place: int, number: int) -> bool:
        assert self.damaged is not None
        try:
            self._made(place, [np.array([number])], np.ones(1, bool))
        except UnreachableError:
            raise
        except UpsDataError as error:
            self.damaged.add(int(number), str(error))
            return False
        return True

    def _made(
        self,
        first: int,
        batches: list[np.ndarray],
        valid: np.ndarray | None = None,
        drawn: Drawn | None = None,
    ) -> deque[QueryBatch]:
        """The batches of a block: one large batch, in slices."""
        drawn = self._drawn(first, batches, valid) if drawn is None else drawn
        pool = self.readers[0].pool
        begun, reading = time.perf_counter(), pool.seconds_of_thread()
        reads = drawn.reads
        with self._store.reading(lambda: [part for of_set in reads for part in ranges_of(of_set, pool)]):
            fetched = [pool.fetch(of_set) for of_set in reads]
            made = [gather(*of_set) for of_set in zip(drawn.blocks, drawn.draws, fetched, strict=True)]
            del fetched
        large = made[0]
        if len(made) > 1:
            names = [str(reader.set_name) for reader in self.readers]
            large = replace(large, set_name=names[0], others=dict(zip(names[1:], made[1:], strict=True)))
        slices = deque(large.split([len(b) for b in batches]) if len(batches) > 1 else [large])
        reading = pool.seconds_of_thread() - reading
        self.stats.add(assemble_seconds=max(0.0, time.perf_counter() - begun - reading))
        return slices

    def _drawn(self, first: int, batches: list[np.ndarray], valid: np.ndarray | None = None) -> Drawn:
        """The samples of a block, their points, and what is read of them; nothing of that is read yet."""
        numbers = np.concatenate(batches)
        blocks = [reader.block(numbers, self.epoch, self.moment(first)) for reader in self.readers]
        if valid is None and self.valid is not None:
            valid = np.concatenate([self.valid(first + place) for place in range(len(batches))])
        for block in blocks:
            block.valid, block.batch_sizes = valid, [len(batch) for batch in batches]
        begun = time.perf_counter()
        draws = [draw(block) for block in blocks]
        self.stats.add(draw_seconds=time.perf_counter() - begun)
        return Drawn(blocks, draws, [wanted(*pair) for pair in zip(blocks, draws, strict=True)])


def _sizes(batches: int, most: int, threads: int, least: int, *, hurry: bool) -> Iterator[int]:
    """The numbers of batches of blocks: as few blocks of at most so many as give all threads as many, `least` at least.

    In a hurry the first blocks are short, so that the first batch is there soon.
    """
    size = 1
    while hurry and batches > 0 and size < most:
        yield min(size, batches)
        batches, size = batches - size, 2 * size
    count = -(-max(0, batches) // most)
    count = min(max(least, -(-count // threads) * threads if count > 1 else count), max(0, batches))
    for number in range(count):
        yield -(-(batches - number) // count)
