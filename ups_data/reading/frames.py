"""Frames in shards: which rows they are, until a batch reads them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ups_data.batch import Frames, Pieces, Stored
from ups_data.points.blocks import Blocks
from ups_data.reading.pool import Located, Pool
from ups_data.sampling import Draw
from ups_data.store.arrays.direct import DirectArray
from ups_data.store.arrays.stored import StoredArray

SCRATCH_BYTES = 4 * 1024**2  # of a thread, for what is decoded to be copied at once; at least a frame


class StoredFrames(Frames):
    """Rows of stored arrays, one array for each shard that the samples come from.

    Args:
        arrays: of one field.
        array: `(n,)`, the number of each frame's array.
        row: `(n,)`, its row there.
        stored: see `Frames`.
        alone: whether each is read whole by one sample of an epoch.
    """

    def __init__(
        self,
        pool: Pool,
        arrays: Sequence[StoredArray],
        array: NDArray[np.int64],
        row: NDArray[np.int64],
        stored: Sequence[Stored],
        *,
        alone: bool = False,
    ) -> None:
        self._alone = alone
        self._pool, self._arrays, self._array, self._row = pool, arrays, array, row
        self.stored = stored
        self.channels = 1 if len(arrays[0].shape) == 2 else arrays[0].shape[-1]
        self.dtype = arrays[0].dtype
        self._piece_points = arrays[0].block_points

    def __len__(self) -> int:
        return len(self._row)

    def part(self, start: int, stop: int, step: int = 1) -> "StoredFrames":
        rows = slice(start, stop, step)
        stored = self.stored[rows] if len(self.stored) > 1 else self.stored
        return StoredFrames(self._pool, self._arrays, self._array[rows], self._row[rows], stored, alone=self._alone)

    def read(self, blocks: NDArray[np.int64] | None = None) -> Pieces:
        if blocks is None and len(self._arrays) == 1 and len(self.stored) == 1 and self.stored[0] is None:
            (located,) = self._locate([(self._arrays[0], self._row[:, None], 0)])
            return self._pieces(*located)
        if blocks is None:
            blocks = self._every_block()
        buffers: list[Any] = []
        buffer, offset = np.full((2, *blocks.shape), -1, np.int64)
        places, wanted = [], []
        for number, array in enumerate(self._arrays):
            here = (self._array == number)[:, None] & (blocks >= 0)
            row = np.broadcast_to(self._row[:, None], blocks.shape)[here]
            if len(row):
                places.append(here)
                wanted.append((array, row, blocks[here]))
        for here, (found, which, where) in zip(places, self._locate(wanted), strict=True):
            buffer[here], offset[here] = which + len(buffers), where
            buffers += found
        return self._pieces(buffers, buffer, offset)

    def check_unchanged(self) -> None:
        for number, array in enumerate(self._arrays):
            if isinstance(array, DirectArray) and array.mapped:
                array.check_unchanged(self._row if len(self._arrays) == 1 else self._row[self._array == number])

    def copy_to(self, out: np.ndarray) -> None:
        (stored, *others) = self.stored
        if not self._alone or others or not isinstance(stored, Blocks) or not self._pool.passes_by(self._arrays):
            super().copy_to(out)
            return
        blocks = np.broadcast_to(np.arange(len(stored)), (len(self), len(stored)))
        for rows, pieces in self._decoded(blocks):
            pieces.restore(stored, out[rows])

    def take_to(self, out: np.ndarray, draw: Draw) -> None:
        blocks, slots = draw.blocks, draw.slots
        past = blocks is not None and not draw.whole_blocks and self._pool.passes_by(self._arrays)
        if blocks is None or slots is None or not past or (blocks < 0).any():
            super().take_to(out, draw)
            return
        for rows, pieces in self._decoded(blocks):
            pieces.take(slots[rows], out[rows])

    def stack_to(self, blocks: NDArray[np.int64], out: np.ndarray) -> None:
        if self._pool.passes_by(self._arrays):
            self._decode_to(blocks, out, past=True)
        else:
            super().stack_to(blocks, out)

    def stack_numbers_to(self, blocks: NDArray[np.int64], out: NDArray[np.int64]) -> None:
        if self._pool.passes_by(self._arrays):
            numbers = np.empty(out.shape, self.dtype)
            self._decode_to(blocks, numbers, past=False)
            np.copyto(out, numbers)
        else:
            super().stack_numbers_to(blocks, out)

    def _decode_to(self, blocks: NDArray[np.int64], out: np.ndarray, *, past: bool) -> None:
        """Decode those blocks one after another into `out`, past the pool: few of many are drawn, so hardly one twice
        before the pool would have dropped it."""
        array_of, row = (np.repeat(a, blocks.shape[1]) for a in (self._array, self._row))
        places, wanted = [], []
        for number, array in enumerate(self._arrays):
            here = np.flatnonzero(array_of == number)
            if len(here):
                places.append(here)
                wanted.append((array, row[here] * array.blocks + blocks.ravel()[here]))
        self._pool.decode_into(wanted, np.concatenate(places), out, past=past)

    def _locate(
        self, wanted: Sequence[tuple[StoredArray, NDArray[np.int64], NDArray[np.int64] | int]]
    ) -> list[Located]:
        """Of each array buffers that hold those blocks of those rows, the buffer of each, its offset there in bytes."""
        numbers = [
            (array, np.ravel((row // array.chunk_rows if array.chunk_rows > 1 else row) * array.blocks + block))
            for array, row, block in wanted
        ]
        found = []
        for (array, row, _), (buffers, buffer, offset) in zip(wanted, self._pool.locate(numbers), strict=True):
            offset = offset.reshape(row.shape)
            if array.chunk_rows > 1:
                offset = offset + row % array.chunk_rows * (self._piece_points * self.channels * self.dtype.itemsize)
            found.append((buffers, buffer.reshape(row.shape), offset))
        return found

    def _pieces(self, buffers: list[Any], buffer: NDArray[np.int64], offset: NDArray[np.int64]) -> Pieces:
        return Pieces(buffers, buffer, offset, self._piece_points, self.channels, self.dtype)

    def _decoded(self, blocks: NDArray[np.int64]) -> Iterator[tuple[slice, Pieces]]:
        """Those blocks, decoded past the pool, of a few frames at a time: still in the caches when they are copied."""
        points = blocks.shape[1] * self._piece_points
        size = points * self.channels * self.dtype.itemsize
        few = max(1, SCRATCH_BYTES // size)
        for start in range(0, len(blocks), few):
            rows = slice(start, min(start + few, len(blocks)))
            memory = self._pool.scratch((rows.stop - start, points, self.channels), self.dtype)
            self.part(start, rows.stop)._decode_to(blocks[rows], memory, past=False)
            offset = np.arange(blocks[rows].size).reshape(-1, blocks.shape[1]) * (size // blocks.shape[1])
            yield rows, self._pieces([memory], np.zeros_like(offset), offset)

    def _every_block(self) -> NDArray[np.int64]:
        """The blocks of each frame, `(n, m)`, -1 behind where a frame has fewer than others."""
        if len(self.stored) == 1:
            count = 1 if self.stored[0] is None else len(self.stored[0])
            return np.broadcast_to(np.arange(count), (len(self), count))
        counts = [1 if s is None else len(s) for s in self.stored]
        numbers = np.arange(max(counts))
        return np.broadcast_to(np.where(numbers < np.array(counts)[:, None], numbers, -1), (len(self), len(numbers)))
