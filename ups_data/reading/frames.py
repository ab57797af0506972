"""Frames in shards: which rows they are, until a batch reads them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ups_data.batch import Frames, PackedPieces, Pieces, Read, Stored
from ups_data.points.blocks import Blocks
from ups_data.reading.past import PastPieces, in_order, is_raw
from ups_data.reading.pool import Located, Pool
from ups_data.sampling import Draw
from ups_data.store.arrays.channels import ChannelArray, whole_of
from ups_data.store.arrays.direct import DirectArray
from ups_data.store.arrays.stored import StoredArray


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
        # What is read: of a pack the whole array, of which these are some channels.
        self._whole = [whole_of(array) for array in arrays]
        packed = arrays[0] if isinstance(arrays[0], ChannelArray) else None
        self._first, self._packed = (0, False) if packed is None else (packed.first, True)
        self._stored_dtype = self._whole[0].dtype
        self.number_dtype = self._stored_dtype if self._packed else self.number_dtype
        self._stored_channels = self._whole[0].shape[-1] if packed is not None else self.channels

    def __len__(self) -> int:
        return len(self._row)

    def part(self, start: int, stop: int, step: int = 1) -> "StoredFrames":
        """See `Frames.part`."""
        rows = slice(start, stop, step)
        stored = self.stored[rows] if len(self.stored) > 1 else self.stored
        return StoredFrames(self._pool, self._arrays, self._array[rows], self._row[rows], stored, alone=self._alone)

    def wants(self, draw: Draw | None = None) -> Read:
        """See `Frames.wants`."""
        blocks = self._past_blocks(draw)
        # Chunks of packs are kept: they are read for several fields.
        if blocks is None or self._packed or not self._pool.passes_by(self._arrays):
            return self.wants_blocks(None if draw is None else draw.blocks)
        places, chunks = self._chunks(blocks)
        numbers = np.arange(blocks.size).reshape(blocks.shape)
        order = None if len(chunks) == 1 else np.argsort(np.concatenate([numbers[here] for here in places]))

        def assemble(found: Sequence[Any]) -> Pieces | PastPieces:
            stored = in_order(found, order)
            if is_raw(chunks, stored):  # what came is what is wanted
                where = stored.buffer.reshape(blocks.shape), stored.offset.reshape(blocks.shape)
                return Pieces(stored.buffers, *where, self._piece_points, self.channels, self.dtype)
            return PastPieces(self._pool, chunks, stored, blocks.shape, self._piece_points, self.channels, self.dtype)

        return Read(chunks, assemble, past=True)

    def wants_blocks(self, blocks: NDArray[np.int64] | None = None) -> Read:
        """See `Frames.wants_blocks`."""
        if blocks is None and len(self._arrays) == 1 and len(self.stored) == 1 and self.stored[0] is None:
            array, row = self._whole[0], self._row[:, None]
            chunks = [(array, _numbers(array, self._row, 0))]
            return Read(chunks, lambda found: self._pieces(*self._at(array, found[0], row)))
        if blocks is None:
            blocks = self._every_block()
        places, chunks = self._chunks(blocks)
        shape = blocks.shape

        def assemble(found: Sequence[Located]) -> Pieces:
            buffers: list[Any] = []
            buffer, offset = np.full((2, *shape), -1, np.int64)
            rows = np.broadcast_to(self._row[:, None], shape)
            for here, (array, _), located in zip(places, chunks, found, strict=True):
                of_array, which, where = self._at(array, located, rows[here])
                buffer[here], offset[here] = which + len(buffers), where
                buffers += of_array
            return self._pieces(buffers, buffer, offset)

        return Read(chunks, assemble)

    def read(self) -> Pieces:
        """See `Frames.read`."""
        read = self.wants_blocks()
        pieces: Pieces = read.assemble(self._pool.locate(read.chunks))
        return pieces

    def check_unchanged(self) -> None:
        """See `Frames.check_unchanged`."""
        for number, array in enumerate(self._whole):
            if isinstance(array, DirectArray) and array.mapped:
                array.check_unchanged(self._row if len(self._arrays) == 1 else self._row[self._array == number])

    def _past_blocks(self, draw: Draw | None) -> NDArray[np.int64] | None:
        """The blocks that may be decoded past the pool: few of many are drawn, so hardly one comes twice before the
        pool would have dropped it; or all blocks of frames that no other sample reads whole."""
        if draw is None:
            (stored, *others) = self.stored
            if not self._alone or others or not isinstance(stored, Blocks):
                return None
            return np.broadcast_to(np.arange(len(stored)), (len(self), len(stored)))
        if draw.blocks is None or draw.slots is None or (not draw.whole_blocks and (draw.blocks < 0).any()):
            return None
        return draw.blocks

    def _chunks(
        self, blocks: NDArray[np.int64]
    ) -> tuple[list[NDArray[np.bool_]], list[tuple[StoredArray, NDArray[np.int64]]]]:
        """Of each array, which of those blocks `(n, m)` it has, and the numbers of their chunks, frame by frame."""
        places, chunks = [], []
        for number, array in enumerate(self._whole):
            here = (self._array == number)[:, None] & (blocks >= 0)
            row = np.broadcast_to(self._row[:, None], blocks.shape)[here]
            if len(row):
                places.append(here)
                chunks.append((array, _numbers(array, row, blocks[here])))
        return places, chunks

    def _at(self, array: StoredArray, located: Located, row: NDArray[np.int64]) -> Located:
        """Where the rows lie in the chunks located, in the shape of `row`: a chunk may have several rows."""
        buffers, buffer, offset = located
        offset = offset.reshape(row.shape)
        if array.chunk_rows > 1:
            offset = offset + row % array.chunk_rows * (
                self._piece_points * self._stored_channels * self._stored_dtype.itemsize
            )
        return buffers, buffer.reshape(row.shape), offset

    def _pieces(self, buffers: list[Any], buffer: NDArray[np.int64], offset: NDArray[np.int64]) -> Pieces:
        if not self._packed:
            return Pieces(buffers, buffer, offset, self._piece_points, self.channels, self.dtype)
        channels = self._first, self._stored_channels
        kind = self._piece_points, self.channels, self._stored_dtype
        return PackedPieces(buffers, buffer, offset, *kind, *channels)

    def _every_block(self) -> NDArray[np.int64]:
        """The blocks of each frame, `(n, m)`, -1 behind where a frame has fewer than others."""
        if len(self.stored) == 1:
            count = 1 if self.stored[0] is None else len(self.stored[0])
            return np.broadcast_to(np.arange(count), (len(self), count))
        counts = [1 if s is None else len(s) for s in self.stored]
        numbers = np.arange(max(counts))
        return np.broadcast_to(np.where(numbers < np.array(counts)[:, None], numbers, -1), (len(self), len(numbers)))


def _numbers(array: StoredArray, row: NDArray[np.int64], block: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """The chunks that hold those blocks of those rows."""
    return (row // array.chunk_rows if array.chunk_rows > 1 else row) * array.blocks + block
