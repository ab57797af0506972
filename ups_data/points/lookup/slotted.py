"""Blocks of which only the slots of points are kept."""

from collections.abc import Iterable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.points.blocks import Blocks, block_counts


class SlottedBlocks(Blocks):
    """The stored order of N points that are looked up by their numbers: 4 bytes a point. Which point a slot holds is
    made of it when it is asked for.

    Args:
        slots: `(N,)`, the slot that holds each point.
        counts: `(B,)`, points of each block.
        block_points: P, slots of a block.
    """

    def __init__(self, slots: NDArray[np.int32], counts: NDArray[np.int64], block_points: int) -> None:
        self.__dict__.update(slots=slots, counts=counts, _block_points=block_points)  # a frozen record's

    @property
    def block_points(self) -> int:
        """P, slots of a block."""
        size: int = self.__dict__["_block_points"]
        return size

    @cached_property
    def index(self) -> NDArray[np.int32]:
        """`(B * P,)`, the number of the point in each slot, -1 if the slot is empty."""
        index = np.full(len(self) * self.block_points, -1, np.int32)
        index[self.slots] = np.arange(self.num_points, dtype=np.int32)
        return index


def slotted_blocks(parts: Iterable[NDArray[np.int32]], points: int, blocks: int, where: str) -> SlottedBlocks:
    """The order of points that was stored as their numbers, block by block.

    Args:
        parts: of each block, `(P,)`, -1 in its empty slots.
        where: for errors.

    Raises:
        UpsDataError: it is not a permutation of the points.
    """
    counts, slots, first, size = block_counts(points, blocks), np.full(points, -1, np.int32), 0, 0
    for held, part in zip(counts.tolist(), parts, strict=True):
        numbers, size = part[:held], len(part)
        if not (numbers.min(initial=0) >= 0 and numbers.max(initial=0) < points and (part[held:] == -1).all()):
            break
        slots[numbers] = np.arange(first, first + held)
        first += size
    if slots.min() < 0:
        raise UpsDataError(f"{where} is no permutation of {points} points; copy or make the dataset again")
    return SlottedBlocks(slots, counts, size)
