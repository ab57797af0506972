"""Frames in shards: which rows they are, until a batch reads them."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ups_data.batch import Frames, Pieces
from ups_data.blocks import Blocks
from ups_data.shards.reader import StoredArray
from ups_data.stream.pool import Pool


class StoredFrames(Frames):
    """Rows of stored arrays, one array for each shard that the samples come from.

    Args:
        arrays: of one field.
        array: `(n,)`, the number of each frame's array.
        row: `(n,)`, its row there.
        stored: see `Frames`.
    """

    def __init__(
        self,
        pool: Pool,
        arrays: Sequence[StoredArray],
        array: NDArray[np.int64],
        row: NDArray[np.int64],
        stored: Sequence[Blocks | None],
    ) -> None:
        self._pool, self._arrays, self._array, self._row = pool, arrays, array, row
        self.stored = stored
        self.channels, self.dtype = arrays[0].shape[-1], arrays[0].dtype

    def __len__(self) -> int:
        return len(self._row)

    def part(self, start: int, stop: int, step: int = 1) -> "StoredFrames":
        rows = slice(start, stop, step)
        stored = self.stored[rows] if len(self.stored) > 1 else self.stored
        return StoredFrames(self._pool, self._arrays, self._array[rows], self._row[rows], stored)

    def read(self, blocks: NDArray[np.int64] | None = None) -> Pieces:
        if blocks is None:
            blocks = self._every_block()
        buffers: list[np.ndarray] = []
        buffer = np.full(blocks.shape, -1, np.int64)
        offset = np.zeros(blocks.shape, np.int64)
        points = getattr(self._arrays[0], "block_points", math.prod(self._arrays[0].shape[1:-1]))
        for number in np.unique(self._array).tolist():
            array, here = self._arrays[number], self._array == number
            row, place = np.divmod(self._row[here, None], array.chunk_rows)
            wanted = blocks[here]
            chunk, needed = row * getattr(array, "blocks", 1) + wanted, wanted >= 0
            chunks, which = np.unique(chunk[needed], return_inverse=True)
            numbers = np.full(wanted.shape, -1)
            numbers[needed] = which + len(buffers)
            buffer[here] = numbers
            offset[here] = place * points * self.channels * self.dtype.itemsize
            buffers += self._pool.chunks(array, chunks.tolist())
        return Pieces(buffers, buffer, offset, points, self.channels, self.dtype)

    def _every_block(self) -> NDArray[np.int64]:
        """The blocks of each frame, `(n, m)`, -1 behind where a frame has fewer than others."""
        counts = [1 if s is None else len(s) for s in self.stored]
        numbers = np.arange(max(counts))
        return np.broadcast_to(np.where(numbers < np.array(counts)[:, None], numbers, -1), (len(self), len(numbers)))
