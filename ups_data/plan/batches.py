"""From an order to the batches of every rank."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.plan.order import EpochOrder

CANONICAL_RANKS = 8


@dataclass(frozen=True)
class EpochPlan:
    """One rank's batches of one epoch: `len(plan)` of them, `plan[i]` the numbers of batch i's samples.

    Attributes:
        samples: the epoch's order; None: the order of the samples' numbers.
        bounds: (global batches + 1,) where each begins in the order.
        size: of a full global batch.
        parts: batches are filled to `size` by repetition, in so many parts: see `fill`; None: they are not.
    """

    samples: EpochOrder | None
    bounds: np.ndarray
    rank: int
    world_size: int
    size: int
    parts: int | None = None

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, batch: int) -> np.ndarray:
        batch = range(len(self))[batch]
        start, stop = self._mine(batch)
        low, high = int(self.bounds[batch]), int(self.bounds[batch + 1])
        if high - low == self.size or self.parts is None:
            return self._part(low + start, low + stop)
        chosen, _ = fill(self.bounds[batch : batch + 2], self.size, self.parts)
        return self._part(low, high)[chosen[start:stop] - low]

    @property
    def order(self) -> np.ndarray:
        """The samples of all global batches, one after another; for tests and tools, and as large as the epoch."""
        whole = (
            np.arange(self.bounds[-1])
            if self.samples is None
            else self.samples.whole(all_ranks=True)[: self.bounds[-1]]
        )
        return whole if self.parts is None else whole[fill(self.bounds, self.size, self.parts)[0]]

    def valid(self, batch: int) -> np.ndarray:
        """(B,) bool, false for the samples that are there only to fill batch `batch`."""
        batch = range(len(self))[batch]
        start, stop = self._mine(batch)
        if self.parts is None:
            return np.ones(stop - start, bool)
        return fill(self.bounds[batch : batch + 2], self.size, self.parts)[1][start:stop]

    def _mine(self, batch: int) -> tuple[int, int]:
        """From where to where in the (filled) batch."""
        size = self.size if self.parts is not None else int(self.bounds[batch + 1] - self.bounds[batch])
        return size * self.rank // self.world_size, size * (self.rank + 1) // self.world_size

    def _part(self, start: int, stop: int) -> np.ndarray:
        return np.arange(start, stop) if self.samples is None else self.samples.part(start, stop)


@dataclass(frozen=True)
class SomeBatches:
    """Batches of a plan: `numbers` says which, in order."""

    plan: EpochPlan
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> np.ndarray:
        return self.plan[self.numbers[place]]


@lru_cache(maxsize=2)  # every epoch of a loader has the same
def batch_bounds(
    samples: int,
    *,
    batch_size: int,
    world_size: int,
    drop_last: bool,
    pad: bool = False,
    canonical_ranks: int = CANONICAL_RANKS,
) -> np.ndarray:
    """Where each global batch of `batch_size * world_size` samples begins: (batches + 1,) int64, read-only.

    Without `drop_last` the last global batch is smaller. Where it would hold fewer samples than there can be ranks, it
    shares with the one before, so that no rank is left without a sample.

    Raises:
        UpsDataError: there is not one batch for every rank; with `pad`, there is not one sample.
    """
    if pad and drop_last:
        raise UpsDataError("pad fills the last batch, drop_last leaves it out: give one of them")
    if canonical_ranks < 1:
        raise UpsDataError(f"canonical_ranks is {canonical_ranks}: give at least 1")
    size = batch_size * world_size
    # Not the number of ranks itself, so that the batches are the same for every number that divides canonical_ranks.
    least = max(world_size, math.gcd(canonical_ranks, size))
    count = samples // size if drop_last else math.ceil(samples / size)
    bounds = np.minimum(np.arange(count + 1) * size, samples)
    if count > 1 and 0 < bounds[-1] - bounds[-2] < least:
        bounds[-2] = (bounds[-3] + bounds[-1] + 1) // 2
    if count == 0 or (not pad and (np.diff(bounds) < world_size).any()):
        batch = f"a batch of {batch_size}" if drop_last else "its part of the last batch"
        remedy = "lower batch_size, or set drop_last=False, or pad=True" if drop_last else "set pad=True"
        if drop_last and samples < world_size:
            remedy = f"start at most {samples} ranks, or set pad=True"
        raise UpsDataError(f"{samples} samples do not give each of {world_size} rank(s) {batch}: {remedy}")
    bounds.flags.writeable = False
    return bounds


def canonical_rank_of_positions(bounds: np.ndarray, stop: int, ranks: int, start: int = 0) -> np.ndarray:
    """The canonical rank that positions `start` to `stop` of the order belong to, (stop - start,); 0 for those that are
    dropped.

    Rank c of C has places `[m c // C, m (c + 1) // C)` of a batch of m, as `EpochPlan` deals them.
    """
    position = np.arange(start, min(stop, int(bounds[-1])))
    batch = np.searchsorted(bounds, position, "right") - 1
    begin = bounds[batch]
    canonical = np.zeros(stop - start, np.int64)
    canonical[: len(position)] = -(-(position - begin + 1) * ranks // (bounds[batch + 1] - begin)) - 1
    return canonical


def canonical_ranks_of(bounds: np.ndarray, rank: int, world_size: int, ranks: int) -> list[int]:
    """The canonical ranks that have samples of a real one, in increasing order: few of all, if there are many ranks."""
    found: set[int] = set()
    for size in np.unique(np.diff(bounds)).tolist():
        low, high = (size * r // world_size for r in (rank, rank + 1))
        found.update(range(-(-(low + 1) * ranks // size) - 1, -(-high * ranks // size)))
    return sorted(found)


def fill(bounds: np.ndarray, size: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions `(batches * size,)` in the order that fill every batch, and the mask of those that are no repetition.

    A batch is filled in `parts` equal parts, each of which repeats its own samples: they are at hand where it is read.
    """
    starts, counts = bounds[:-1, None], np.diff(bounds)[:, None]
    part, place = np.divmod(np.arange(size), size // parts)
    low, high = counts * part // parts, counts * (part + 1) // parts
    chosen = starts + np.minimum(low + place % np.maximum(high - low, 1), counts - 1)
    return chosen.reshape(-1), (place < high - low).reshape(-1)
