"""Ranges chunks that are decoded as they are copied to a batch, past the pool."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ups_data.batch import Pieces
from ups_data.points.blocks import Blocks
from ups_data.reading.pool import Pool
from ups_data.store.arrays.codecs import joined
from ups_data.store.object_store import Ranges

SCRATCH_BYTES = 4 * 1024**2  # of a thread, for what is decoded to be copied at once; at least a frame


class PastPieces:
    """n frames of one field, m stored blocks of each, not decoded yet: makes the copies that `Pieces` makes.

    Args:
        chunks: of each array.
        stored: the same chunks, frame by frame, block by block.
        shape: (n, m).
    """

    def __init__(
        self,
        pool: Pool,
        chunks: Sequence[tuple[Any, NDArray[np.int64]]],
        stored: Ranges,
        shape: tuple[int, ...],
        piece_points: int,
        channels: int,
        dtype: np.dtype,
    ) -> None:
        self._pool, self._chunks, self._stored = pool, chunks, stored
        self._frames, self._blocks = shape
        self.piece_points, self._channels, self._dtype = piece_points, channels, dtype

    def stack(self, out: np.ndarray) -> None:
        """Decode the blocks one after another into `out`, `(n, m P, C)`."""
        self._pool.decode_past(self._chunks, self._stored, out, past=True)
        self._check_unchanged()

    def stack_widened(self, out: NDArray[np.int64]) -> None:
        """The same of one int32 number for each point, into `out`, `(n, m P)` int64."""
        numbers = np.empty(out.shape, self._dtype)
        self._pool.decode_past(self._chunks, self._stored, numbers, past=False)
        self._check_unchanged()
        np.copyto(out, numbers)

    def take(self, index: NDArray[np.int64], out: np.ndarray) -> None:
        """Copy points `index[i]` of frame i, counted through its blocks, into `out[i]`; `out` is `(n, Q, C)`."""
        for rows, pieces in self._decoded():
            pieces.take(index[rows], out[rows])

    def restore(self, blocks: Blocks, out: np.ndarray) -> None:
        """Copy whole frames that are stored in those blocks into `out`, `(n, N, C)`, in row-major order."""
        for rows, pieces in self._decoded():
            pieces.restore(blocks, out[rows])

    def frame(self, number: int, pieces: int) -> "PastPieces":
        """One frame, its first so many blocks."""
        start = number * self._blocks
        stored = self._stored.part(slice(start, start + pieces))
        shape = 1, pieces
        return PastPieces(self._pool, self._chunks, stored, shape, self.piece_points, self._channels, self._dtype)

    def _decoded(self) -> Iterator[tuple[slice, Pieces]]:
        """The blocks of a few frames at a time: still in the caches when they are copied."""
        points = self._blocks * self.piece_points
        size = points * self._channels * self._dtype.itemsize
        few = max(1, SCRATCH_BYTES // size)
        for start in range(0, self._frames, few):
            rows = slice(start, min(start + few, self._frames))
            stored = self._stored.part(slice(rows.start * self._blocks, rows.stop * self._blocks))
            memory = self._pool.scratch((rows.stop - start, points, self._channels), self._dtype)
            self._pool.decode_past(self._chunks, stored, memory, past=False)
            offset = np.arange(len(stored)).reshape(-1, self._blocks) * (size // self._blocks)
            pieces = Pieces([memory], np.zeros_like(offset), offset, self.piece_points, self._channels, self._dtype)
            yield rows, pieces
        self._check_unchanged()

    def _check_unchanged(self) -> None:
        for array, numbers in self._chunks:
            array.check_unchanged(array.rows_of(numbers))


def in_order(found: Sequence[Ranges], order: NDArray[np.int64] | None) -> Ranges:
    """The chunks of several arrays, those of one after another, in that order; None: as they are."""
    stored = joined(found)
    return stored if order is None else stored.part(order)


def is_raw(chunks: Sequence[tuple[Any, NDArray[np.int64]]], stored: Ranges) -> bool:
    """Whether all of these stored chunks are their points, as they are: those that are not compressed or absent.

    Raises:
        UpsDataError: an object has been changed since it was opened.
    """
    if any(array.codec != "none" for array, _ in chunks) or stored.length.min(initial=0) < 0:
        return False
    for array, numbers in chunks:
        array.check_unchanged(array.rows_of(numbers))
    return True
