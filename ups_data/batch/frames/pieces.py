"""Frames in memory as pieces of buffers, and the three copies that make batches of them.

One call copies for a whole batch, natively and outside the interpreter lock, or with numpy frame by frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ups_data import _native as built
from ups_data.points.blocks import Blocks
from ups_data.points.unit import UnitScale


class Copyable(Protocol):
    """What n frames of one field are copied from; see `Pieces` for the methods."""

    @property
    def piece_points(self) -> int:
        """P, points of a piece."""

    def stack(self, out: np.ndarray) -> None:
        """See `Pieces.stack`."""

    def stack_widened(self, out: NDArray[np.int64]) -> None:
        """See `Pieces.stack_widened`."""

    def take(self, index: NDArray[np.int64], out: np.ndarray) -> None:
        """See `Pieces.take`."""

    def restore(self, blocks: Blocks, out: np.ndarray) -> None:
        """See `Pieces.restore`."""

    def frame(self, number: int, pieces: int) -> "Copyable":
        """One frame, its first so many pieces."""


@dataclass(slots=True, eq=False)
class Pieces:
    """n frames of one field, each m runs of P points in memory.

    Piece j of frame i begins at byte `offset[i, j]` of `buffers[buffer[i, j]]`. A frame that lies in memory as it is
    has one piece of all its points.

    Attributes:
        buffers: contiguous arrays, kept alive by this.
        buffer, offset: `(n, m)` int64; a piece that is left out has buffer -1.
        piece_points: P.
        channels, dtype: of a point.
    """

    buffers: list[Any]
    buffer: NDArray[np.int64]
    offset: NDArray[np.int64]
    piece_points: int
    channels: int
    dtype: np.dtype

    def __len__(self) -> int:
        return len(self.buffer)

    @property
    def point_bytes(self) -> int:
        """Bytes of one point: all its channels."""
        return self.channels * self.dtype.itemsize

    def frame(self, number: int, pieces: int) -> "Pieces":
        """One frame, its first so many pieces."""
        rows = slice(number, number + 1), slice(pieces)
        return Pieces(self.buffers, self.buffer[rows], self.offset[rows], self.piece_points, self.channels, self.dtype)

    def array(self, frame: int) -> np.ndarray:
        """The points of one frame, piece after piece, `(m P, C)`; a view where there is one piece. Zeros for pieces
        that were left out."""
        size = self.piece_points * self.channels
        pieces = [
            np.frombuffer(self.buffers[b], self.dtype, size, o) if b >= 0 else np.zeros(size, self.dtype)
            for b, o in zip(self.buffer[frame].tolist(), self.offset[frame].tolist(), strict=True)
        ]
        return (pieces[0] if len(pieces) == 1 else np.concatenate(pieces)).reshape(-1, self.channels)

    def stack(self, out: np.ndarray) -> None:
        """Copy whole frames, piece after piece, into `out`, `(n, m P, C)`, contiguous."""
        if built.native is not None:
            size = self.piece_points * self.point_bytes
            built.native.stack(self.buffers, self.buffer.ravel(), self.offset.ravel(), size, bytes_of(out))
            return
        for i, row in enumerate(out):
            np.copyto(row, self.array(i))

    def stack_scaled(self, scale: UnitScale, out: NDArray[np.float32]) -> None:
        """`stack` of coordinates, each scaled as it is copied."""
        if built.native is not None:
            runs = self.buffers, self.buffer.ravel(), self.offset.ravel(), self.piece_points
            built.native.stack_scaled(*runs, *scale.factors, out.reshape(-1))
            return
        self.stack(out)
        scale.apply(out)

    def stack_widened(self, out: NDArray[np.int64]) -> None:
        """Copy whole frames of one int32 number for each point into `out`, `(n, m P)` int64, contiguous."""
        if built.native is not None:
            points = self.piece_points
            built.native.stack_widened(self.buffers, self.buffer.ravel(), self.offset.ravel(), points, out.reshape(-1))
            return
        for i, row in enumerate(out):
            np.copyto(row, self.array(i)[:, 0])

    def take(self, index: NDArray[np.int64], out: np.ndarray) -> None:
        """Copy points `index[i]` of frame i, counted through its pieces, into `out[i]`; `out` is `(n, Q, C)`.

        Raises:
            IndexError: a point is not in its frame.
        """
        if built.native is not None:
            index = np.ascontiguousarray(index)
            built.native.take(
                self.buffers, self.buffer, self.offset, self.piece_points, index, self.point_bytes, bytes_of(out)
            )
            return
        for i, row in enumerate(out):
            self.array(i).take(index[i], 0, row)

    def restore(self, blocks: Blocks, out: np.ndarray) -> None:
        """Copy frames that are stored in those blocks into `out`, `(n, N, C)`, in row-major order."""
        if built.native is not None:
            bursts = blocks.bursts
            order = bursts.rank, bursts.runs, bursts.place, bursts.length
            size, memory = self.point_bytes, bytes_of(out)
            built.native.restore(self.buffers, self.buffer, self.offset, self.piece_points, *order, size, memory)
            return
        filled = np.flatnonzero(blocks.index >= 0)
        for i, row in enumerate(out):
            row[blocks.index[filled]] = self.array(i)[filled]


@dataclass(frozen=True, slots=True)
class Apart:
    """What each of several sequences of frames, which are not stored alike, is copied from."""

    parts: list[Any]


def pieces_of(arrays: Sequence[np.ndarray]) -> Pieces:
    """Frames `(N, C)` of one shape and dtype."""
    points, channels = arrays[0].shape
    buffers = [np.ascontiguousarray(a) for a in arrays]
    buffer = np.arange(len(arrays), dtype=np.int64)[:, None]
    return Pieces(buffers, buffer, np.zeros_like(buffer), points, channels, arrays[0].dtype)


def pieces_joined(parts: Sequence[Pieces]) -> Pieces:
    """The frames of one after another; pieces that a frame lacks are left out."""
    width = max(p.buffer.shape[1] for p in parts)
    first = np.cumsum([0, *(len(p.buffers) for p in parts[:-1])])
    numbers = [np.where(p.buffer < 0, -1, p.buffer + f) for p, f in zip(parts, first, strict=True)]
    return replace(  # packed ones stay so
        parts[0],
        buffers=[b for p in parts for b in p.buffers],
        buffer=np.concatenate([_widened(n, width) for n in numbers]),
        offset=np.concatenate([_widened(p.offset, width) for p in parts]),
    )


def _widened(rows: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """The same rows with -1 behind them."""
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1])), constant_values=-1)


def bytes_of(array: np.ndarray) -> NDArray[np.uint8]:
    """The memory of a contiguous array."""
    return array.reshape(-1).view(np.uint8)
