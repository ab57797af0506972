"""How the points of a domain are dealt into blocks, each of which is a stratified sample of it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Blocks:
    """The stored order of N points: B blocks of P slots. A block's points come first, its empty slots last.

    Attributes:
        index: `(B * P,)` int32, the row-major number of the point in each slot, -1 where the slot is empty.
        counts: `(B,)` int64, points of each block; they differ by one at most.
    """

    index: NDArray[np.int32]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def block_points(self) -> int:
        """P, slots of a block."""
        return len(self.index) // len(self.counts)

    @cached_property
    def num_points(self) -> int:
        """N."""
        return int(self.counts.sum())

    @cached_property
    def slots(self) -> NDArray[np.int64]:
        """`(N,)`, the slot that holds each point: the inverse of `index`."""
        slots = np.empty(self.num_points, np.int64)
        filled = np.flatnonzero(self.index >= 0)
        slots[self.index[filled]] = filled
        return slots
