"""Frames in memory: there is nothing to read."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ups_data.batch.frames.base import Frames
from ups_data.batch.frames.pieces import Copyable, Pieces, pieces_of
from ups_data.batch.frames.reads import Read, unread
from ups_data.sampling import Draw


class ArrayFrames(Frames):
    """Frames that are arrays `(N, C)` in memory: what a user's own stage of a pipeline made."""

    def __init__(self, arrays: Iterable[np.ndarray]) -> None:
        self._arrays = list(arrays)
        self.channels, self.dtype = self._arrays[0].shape[-1], self._arrays[0].dtype
        self.stored = (None,)

    def __len__(self) -> int:
        return len(self._arrays)

    def part(self, start: int, stop: int, step: int = 1) -> "ArrayFrames":
        """See `Frames.part`."""
        return ArrayFrames(self._arrays[start:stop:step])

    def read(self) -> Pieces:
        """See `Frames.read`."""
        return pieces_of(self._arrays)

    def wants_blocks(self, blocks: NDArray[np.int64] | None = None) -> Read:
        """See `Frames.wants_blocks`."""
        if blocks is not None:
            raise ValueError("arrays in memory have no stored blocks")
        return unread(self.read())

    def wants(self, draw: Draw | None = None) -> Read:
        """See `Frames.wants`."""
        return self.wants_blocks()  # whole, wherever the points were drawn

    def take_to(self, out: np.ndarray, draw: Draw, source: Copyable) -> None:
        """See `Frames.take_to`."""
        source.take(draw.points, out)


class RepeatedFrame(Frames):
    """One array `(N, C)` in memory as every one of n frames.

    Args:
        block_points: P, where the array is blocks of P slots, one after another.
    """

    def __init__(self, array: np.ndarray, count: int, block_points: int | None = None) -> None:
        self._array, self._count, self._block_points = np.ascontiguousarray(array), count, block_points
        self.channels, self.dtype = array.shape[-1], array.dtype
        self.stored = (None,)

    def __len__(self) -> int:
        return self._count

    def part(self, start: int, stop: int, step: int = 1) -> "RepeatedFrame":
        """See `Frames.part`."""
        return RepeatedFrame(self._array, len(range(start, stop, step)), self._block_points)

    def read(self) -> Pieces:
        """See `Frames.read`."""
        return self._pieces(len(self._array), np.zeros((self._count, 1), np.int64))

    def wants_blocks(self, blocks: NDArray[np.int64] | None = None) -> Read:
        """See `Frames.wants_blocks`."""
        if blocks is None:
            return unread(self.read())
        if self._block_points is None:
            raise ValueError("this array in memory has no blocks")
        return unread(self._pieces(self._block_points, blocks))

    def _pieces(self, points: int, blocks: NDArray[np.int64]) -> Pieces:
        there = np.minimum(blocks, 0)  # -1: left out
        offset = np.maximum(blocks, 0) * (points * self.channels * self.dtype.itemsize)
        return Pieces([self._array], there, offset, points, self.channels, self.dtype)
