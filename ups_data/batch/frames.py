"""Frames of one field that are read when a batch is made of them, whole or only the blocks that were drawn."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from ups_data.batch.pieces import Pieces, pieces_of
from ups_data.points.blocks import Blocks, BlockSizes
from ups_data.sampling import Draw

# How a frame's points are stored. None: all of them in row-major order, in one piece. `BlockSizes`: in blocks whose
# points nobody asked for yet, or in one block with empty slots behind.
Stored = Blocks | BlockSizes | None


class Frames(Sequence[np.ndarray]):
    """n frames of one field, `(N, C)` each.

    Indexing reads a frame and gives its points in row-major order: a view where it is stored so.

    Attributes:
        channels, dtype: of a point.
        stored: one entry for all frames, or one for each.
    """

    channels: int
    dtype: np.dtype
    stored: Sequence[Stored]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def part(self, start: int, stop: int, step: int = 1) -> "Frames":
        """Frames start, start + step, … below stop."""

    @abstractmethod
    def read(self, blocks: NDArray[np.int64] | None = None) -> Pieces:
        """All frames, or of frame i only the stored blocks `blocks[i]`, `(n, m)`; what is -1 is left out.

        Raises:
            UpsDataError: the stored bytes are damaged, or not there.
        """

    def copy_to(self, out: np.ndarray) -> None:
        """Copy whole frames into `out`, `(n, N, C)`, in row-major order; zeros behind frames of fewer points."""
        if len(self.stored) > 1:
            for i, row in enumerate(out):
                self.part(i, i + 1).copy_to(row[None])
            return
        (stored,), pieces = self.stored, self.read()
        points = pieces.piece_points if stored is None else stored.num_points
        out[:, points:] = 0
        if isinstance(stored, Blocks):
            pieces.restore(stored, out)
        elif points == pieces.piece_points == out.shape[1]:
            pieces.stack(out)
        else:
            everything = np.arange(points)[None]
            for i, row in enumerate(out):
                self.part(i, i + 1).read().take(_slots(stored, everything), row[None, :points])
        self.check_unchanged()

    def stack_to(self, blocks: NDArray[np.int64], out: np.ndarray) -> None:
        """Copy blocks `blocks[i]` of frame i one after another into `out`, `(n, m P, C)`; all are full."""
        self.read(blocks).stack(out)

    def take_to(self, out: np.ndarray, draw: Draw) -> None:
        """Copy the points drawn, one row of the draw for each frame, into `out`, `(n, Q, C)`."""
        if draw.blocks is not None and draw.whole_blocks:
            self.stack_to(draw.blocks, out)
        elif draw.blocks is not None and draw.slots is not None:
            self.read(draw.blocks).take(draw.slots, out)
        else:
            self.read().take(self._slots(draw.points), out)
        self.check_unchanged()

    def stack_numbers_to(self, blocks: NDArray[np.int64], out: NDArray[np.int64]) -> None:
        """The same of frames of one int32 number for each point, into `out`, `(n, m P)` int64."""
        self.read(blocks).stack_widened(out)

    def take_numbers_to(self, out: NDArray[np.int64], draw: Draw) -> None:
        """Copy the numbers of the points drawn, of frames of one int32 number for each point, into `out`, `(n, Q)`."""
        if draw.blocks is not None and draw.whole_blocks:
            self.stack_numbers_to(draw.blocks, out)
            self.check_unchanged()
        else:
            numbers = np.empty((*out.shape, 1), np.int32)
            self.take_to(numbers, draw)
            np.copyto(out, numbers[..., 0])

    def check_unchanged(self) -> None:
        """Called after frames were copied from where they lie. Raises UpsDataError where files changed meanwhile."""

    def _slots(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where those points are stored."""
        if len(self.stored) == 1:
            return _slots(self.stored[0], index)
        return np.stack([_slots(s, i) for s, i in zip(self.stored, index, strict=True)])

    @overload
    def __getitem__(self, number: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, number: slice) -> "Frames": ...

    def __getitem__(self, number: "int | slice") -> "np.ndarray | Frames":
        if isinstance(number, slice):
            return self.part(*number.indices(len(self)))
        number = range(len(self))[number]
        stored = self.stored[number % len(self.stored)]
        frame = self.part(number, number + 1).read().array(0)
        return frame if stored is None else frame[_slots(stored, np.arange(stored.num_points))]


class ArrayFrames(Frames):
    """Frames that are arrays `(N, C)` in memory: what a user's own stage of a pipeline made."""

    def __init__(self, arrays: Iterable[np.ndarray]) -> None:
        self._arrays = list(arrays)
        self.channels, self.dtype = self._arrays[0].shape[-1], self._arrays[0].dtype
        self.stored = (None,)

    def __len__(self) -> int:
        return len(self._arrays)

    def part(self, start: int, stop: int, step: int = 1) -> "ArrayFrames":
        return ArrayFrames(self._arrays[start:stop:step])

    def read(self, blocks: NDArray[np.int64] | None = None) -> Pieces:
        if blocks is not None:
            raise ValueError("arrays in memory have no stored blocks")
        return pieces_of(self._arrays)


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
        return RepeatedFrame(self._array, len(range(start, stop, step)), self._block_points)

    def read(self, blocks: NDArray[np.int64] | None = None) -> Pieces:
        points = self._block_points
        if blocks is None:
            points, blocks = len(self._array), np.zeros((self._count, 1), np.int64)
        elif points is None:
            raise ValueError("this array in memory has no blocks")
        there = np.minimum(blocks, 0)  # -1: left out
        offset = np.maximum(blocks, 0) * (points * self.channels * self.dtype.itemsize)
        return Pieces([self._array], there, offset, points, self.channels, self.dtype)


class JoinedFrames(Frames):
    """The frames of several sequences, one after another."""

    def __init__(self, sequences: Sequence[Frames]) -> None:
        self._sequences = sequences
        self.channels, self.dtype = sequences[0].channels, sequences[0].dtype
        stored = [s.stored[i % len(s.stored)] for s in sequences for i in range(len(s))]
        self.stored = stored if any(s is not stored[0] for s in stored) else stored[:1]

    def __len__(self) -> int:
        return sum(map(len, self._sequences))

    def part(self, start: int, stop: int, step: int = 1) -> "JoinedFrames":
        one_by_one = [s.part(i, i + 1) for s in self._sequences for i in range(len(s))]
        return JoinedFrames(one_by_one[start:stop:step])

    def check_unchanged(self) -> None:
        for sequence in self._sequences:
            sequence.check_unchanged()

    def read(self, blocks: NDArray[np.int64] | None = None) -> Pieces:
        parts, start = [], 0
        for sequence in self._sequences:
            parts.append(sequence.read(None if blocks is None else blocks[start : start + len(sequence)]))
            start += len(sequence)
        width = max(p.buffer.shape[1] for p in parts)
        first = np.cumsum([0, *(len(p.buffers) for p in parts[:-1])])
        numbers = [np.where(p.buffer < 0, -1, p.buffer + f) for p, f in zip(parts, first, strict=True)]
        return Pieces(
            buffers=[b for p in parts for b in p.buffers],
            buffer=np.concatenate([_widened(n, width) for n in numbers]),
            offset=np.concatenate([_widened(p.offset, width) for p in parts]),
            piece_points=parts[0].piece_points,
            channels=self.channels,
            dtype=self.dtype,
        )


def _widened(rows: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """The same rows with -1 behind them."""
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1])), constant_values=-1)


def _slots(stored: Stored, index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where points of one frame are stored."""
    if stored is None or (len(stored) == 1 and not isinstance(stored, Blocks)):
        return index
    if not isinstance(stored, Blocks):
        raise ValueError("which points these blocks hold is not known")
    return stored.slots[index]


@dataclass(frozen=True)
class Positions:
    """Where the points of a set are, frame by frame, and which they are.

    Attributes:
        coords: `(N, d)` each.
        index: `(N, 1)` each, the row-major numbers of the points in stored order; None where that is the order itself.
    """

    coords: Frames
    index: Frames | None

    def part(self, start: int, stop: int) -> "Positions":
        return Positions(self.coords.part(start, stop), None if self.index is None else self.index.part(start, stop))


def joined(sequences: Sequence[Sequence[np.ndarray]]) -> Frames:
    """All frames in one sequence; a user's stage may have replaced them by arrays."""
    return JoinedFrames([f if isinstance(f, Frames) else ArrayFrames(f) for f in sequences])


def joined_positions(positions: Sequence[Positions | None]) -> Positions | None:
    """The same of positions; None for grids."""
    given = [p for p in positions if p is not None]
    if not given:
        return None
    index = [p.index for p in given if p.index is not None]
    return Positions(joined([p.coords for p in given]), joined(index) if index else None)
