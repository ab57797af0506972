"""Frames that are some of the channels of what lies in memory: a field of a pack."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ups_data import _native as built
from ups_data.batch.frames.pieces import Pieces, bytes_of
from ups_data.points.blocks import Blocks

WIDE = {8: np.complex64, 16: np.complex128}  # numbers of so many bytes: they are moved, not looked at
FEW = 8  # channels


@dataclass(slots=True, eq=False)
class PackedPieces(Pieces):
    """Pieces of points with `total` channels, of which channels `first` to `first + channels` are copied."""

    first: int
    total: int

    def frame(self, number: int, pieces: int) -> "PackedPieces":
        """See `Pieces.frame`."""
        rows = slice(number, number + 1), slice(pieces)
        kind = self.piece_points, self.channels, self.dtype, self.first, self.total
        return PackedPieces(self.buffers, self.buffer[rows], self.offset[rows], *kind)

    def array(self, frame: int) -> np.ndarray:
        """See `Pieces.array`: the channels of this field."""
        out = np.empty((1, self.buffer.shape[1] * self.piece_points, self.channels), self.dtype)
        self.frame(frame, self.buffer.shape[1]).stack(out)
        return out[0]

    def stack(self, out: np.ndarray) -> None:
        """See `Pieces.stack`."""
        places = out.reshape(-1, self.piece_points, self.channels)
        size, last = self.piece_points * self.total, self.first + self.channels
        for place, buffer, offset in zip(
            places, self.buffer.ravel().tolist(), self.offset.ravel().tolist(), strict=True
        ):
            if buffer < 0:
                place[...] = 0
            else:
                points = np.frombuffer(self.buffers[buffer], self.dtype, size, offset).reshape(-1, self.total)
                _copy_channels(place, points[:, self.first : last])

    def stack_widened(self, out: NDArray[np.int64]) -> None:
        """See `Pieces.stack_widened`. The numbers are stored as floating-point numbers."""
        for i, row in enumerate(out):
            np.copyto(row, self.array(i)[:, 0], casting="unsafe")

    def take(self, index: NDArray[np.int64], out: np.ndarray) -> None:
        """See `Pieces.take`: one value is taken as one point."""
        if built.native is None:
            for i, row in enumerate(out):
                self.array(i).take(index[i], 0, row)
            return
        channels = np.arange(self.first, self.first + self.channels)
        values = (index[..., None] * self.total + channels).reshape(len(index), -1)
        size = self.piece_points * self.total
        kind = size, values, self.dtype.itemsize
        built.native.take(self.buffers, self.buffer, self.offset, *kind, bytes_of(out))

    def restore(self, blocks: Blocks, out: np.ndarray) -> None:
        """See `Pieces.restore`."""
        for i, row in enumerate(out):
            offset = np.arange(self.buffer.shape[1])[None] * (self.piece_points * self.point_bytes)
            kind = self.piece_points, self.channels, self.dtype
            Pieces([self.array(i)], np.zeros_like(offset), offset, *kind).restore(blocks, row[None])


def _copy_channels(out: np.ndarray, points: np.ndarray) -> None:
    """Copy `(P, C)` of more channels. numpy works point by point if it is told nothing: for three or four channels,
    three times as slow as channel by channel, or twenty times as slow as numbers of all channels' size."""
    channels = out.shape[1]
    wide = WIDE.get(channels * out.itemsize) if out.dtype == points.dtype else None
    if wide is not None:
        np.copyto(out.view(wide), points.view(wide))
    elif channels <= FEW:
        for channel in range(channels):
            np.copyto(out[:, channel], points[:, channel])
    else:
        np.copyto(out, points)
