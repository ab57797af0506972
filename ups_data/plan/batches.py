"""From an order to the batches of every rank."""

import math
from dataclasses import dataclass

import numpy as np

from ups_data.errors import UpsDataError

CANONICAL_RANKS = 8


@dataclass(frozen=True)
class EpochPlan:
    """One rank's batches of one epoch: `len(plan)` of them, `plan[i]` the numbers of batch i's samples."""

    order: np.ndarray
    bounds: np.ndarray  # (global batches + 1,), where each begins in the order
    rank: int
    world_size: int
    mask: np.ndarray | None = None  # like order, false where a sample only fills a batch; None: all true

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, batch: int) -> np.ndarray:
        return self.order[self._mine(batch)]

    def valid(self, batch: int) -> np.ndarray:
        """(B,) bool, false for the samples that are there only to fill batch `batch`."""
        mine = self._mine(batch)
        return np.ones(mine.stop - mine.start, bool) if self.mask is None else self.mask[mine]

    def _mine(self, batch: int) -> slice:
        start, size = int(self.bounds[batch]), int(self.bounds[batch + 1] - self.bounds[batch])
        low, high = (size * r // self.world_size for r in (self.rank, self.rank + 1))
        return slice(start + low, start + high)


def batch_bounds(
    samples: int,
    *,
    batch_size: int,
    world_size: int,
    drop_last: bool,
    pad: bool = False,
    canonical_ranks: int = CANONICAL_RANKS,
) -> np.ndarray:
    """Where each global batch of `batch_size * world_size` samples begins: (batches + 1,) int64.

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
        raise UpsDataError(f"{samples} samples do not give each of {world_size} rank(s) {batch}: {remedy}")
    return bounds


def canonical_rank_of_positions(bounds: np.ndarray, samples: int, ranks: int) -> np.ndarray:
    """The canonical rank that each position of the order belongs to, (samples,); 0 for those that are dropped.

    Rank c of C has places `[m c // C, m (c + 1) // C)` of a batch of m, as `EpochPlan` deals them.
    """
    sizes = np.diff(bounds)
    place = np.arange(bounds[-1]) - np.repeat(bounds[:-1], sizes)
    canonical = np.zeros(samples, np.int64)
    canonical[: bounds[-1]] = -(-(place + 1) * ranks // np.repeat(sizes, sizes)) - 1
    return canonical


def fill(bounds: np.ndarray, size: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions `(batches * size,)` in the order that fill every batch, and the mask of those that are no repetition.

    A batch is filled in `parts` equal parts, each of which repeats its own samples: they are at hand where it is read.
    """
    starts, counts = bounds[:-1, None], np.diff(bounds)[:, None]
    part, place = np.divmod(np.arange(size), size // parts)
    low, high = counts * part // parts, counts * (part + 1) // parts
    chosen = starts + np.minimum(low + place % np.maximum(high - low, 1), counts - 1)
    return chosen.reshape(-1), (place < high - low).reshape(-1)
