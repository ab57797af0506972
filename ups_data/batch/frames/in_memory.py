"""Frames in memory: there is nothing to read."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ups_data.batch.frames.base import Frames
from ups_data.batch.frames.pieces import Copyable, Pieces, pieces_of
from ups_data.batch.frames.reads import Read, unread
from ups_data.errors import UpsDataError
from ups_data.sampling import Draw


class ArrayFrames(Frames):
    """Frames that are arrays `(N, C)` in memory, of one N: what a stage of a pipeline of one's own made."""

    def __init__(self, arrays: Iterable[np.ndarray]) -> None:
        self._arrays = [np.asarray(array) for array in arrays]
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
        if draw.index is None:
            raise UpsDataError(
                "frames that a stage of the pipeline made cannot be queried by stored blocks alone, whose points are "
                "not known: draw them in another mode, or leave inputs= out"
            )
        source.take(draw.index, out)

    def check(self, num_points: int, field: str) -> None:
        """See that the arrays can stand for frames of so many points.

        Raises:
            UpsDataError: they cannot.
        """
        for array in self._arrays:
            if array.shape[:-1] != (num_points,) or array.dtype not in (np.float32, np.float16):
                raise UpsDataError(
                    f"a stage of the pipeline made {array.dtype} {array.shape} of a frame of {field!r}: give float32 "
                    f"or float16 ({num_points}, C), the points in the order that they had"
                )


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
