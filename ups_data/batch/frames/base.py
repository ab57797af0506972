"""`Frames`: frames of one field, of which a batch reads all points or only the stored blocks that were drawn."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from ups_data.batch.frames.pieces import Copyable, Pieces
from ups_data.batch.frames.reads import Read
from ups_data.errors import UpsDataError
from ups_data.points.blocks import Blocks, BlockSizes
from ups_data.sampling import Draw

# How a frame's points are stored. None: all of them in row-major order, in one piece. `BlockSizes`: in blocks whose
# points nobody asked for yet, or in one block with empty slots behind.
Stored = Blocks | BlockSizes | None


class Frames(Sequence[np.ndarray]):
    """n frames of one field, `(N, C)` each.

    A batch is made of them in three steps: `wants` lists what is read, somebody fetches it, `copy_to` and `take_to`
    copy from there. Indexing reads a frame and gives its points in row-major order: a view where it is stored so.

    Attributes:
        channels, dtype: of a point.
        stored: one entry for all frames, or one for each.
        number_dtype: as which numbers of points are stored, see `take_numbers_to`.
    """

    channels: int
    dtype: np.dtype
    stored: Sequence[Stored]
    number_dtype: np.dtype = np.dtype(np.int32)

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def part(self, start: int, stop: int, step: int = 1) -> "Frames":
        """Frames start, start + step, … below stop."""

    @abstractmethod
    def wants_blocks(self, blocks: NDArray[np.int64] | None = None) -> Read:
        """The read of all frames, or of frame i of the stored blocks `blocks[i]` only, `(n, m)`; -1 is left out.

        Nothing is read yet. `Read.assemble` gives `Pieces`.
        """

    def wants(self, draw: Draw | None = None) -> Read:
        """The read that `take_to` needs for a draw, one row of it for each frame, or `copy_to` for whole frames."""
        return self.wants_blocks(None if draw is None else draw.blocks)

    @abstractmethod
    def read(self) -> Pieces:
        """All frames, read at once.

        Raises:
            UpsDataError: the stored bytes are damaged, or not there.
        """

    def copy_to(self, out: np.ndarray, source: Copyable) -> None:
        """Copy whole frames into `out`, `(n, N, C)`, in row-major order; zeros behind frames of fewer points.

        Args:
            source: what `wants()` assembled.
        """
        if len(self.stored) > 1:
            for i, (stored, row) in enumerate(zip(self.stored, out, strict=True)):
                _copy(stored, source.frame(i, 1 if stored is None else len(stored)), row[None])
        else:
            _copy(self.stored[0], source, out)
        self.check_unchanged()

    def take_to(self, out: np.ndarray, draw: Draw, source: Copyable) -> None:
        """Copy the points drawn, one row of the draw for each frame, into `out`, `(n, Q, C)`.

        Args:
            source: what `wants(draw)` assembled.
        """
        if draw.blocks is not None and draw.whole_blocks:
            source.stack(out)
        elif draw.blocks is not None and draw.slots is not None:
            source.take(draw.slots, out)
        else:
            source.take(self._slots(draw.points), out)
        self.check_unchanged()

    def take_numbers_to(self, out: NDArray[np.int64], draw: Draw, source: Copyable) -> None:
        """Copy the numbers of the points drawn, of frames of one number for each point, into `out`, `(n, Q)`."""
        if draw.blocks is not None and draw.whole_blocks:
            source.stack_widened(out)
            self.check_unchanged()
        else:
            numbers = np.empty((*out.shape, 1), self.number_dtype)
            self.take_to(numbers, draw, source)
            np.copyto(out, numbers[..., 0], casting="unsafe")  # float32 holds them exactly

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


def _copy(stored: Stored, source: Copyable, out: np.ndarray) -> None:
    """Copy whole frames that are stored alike into `out`, `(n, N, C)`, in row-major order; zeros behind the points."""
    points = source.piece_points if stored is None else stored.num_points
    out[:, points:] = 0
    if isinstance(stored, Blocks):
        source.restore(stored, out)
    elif points == source.piece_points == out.shape[1]:
        source.stack(out)
    else:
        everything = _slots(stored, np.arange(points)[None])
        for i, row in enumerate(out):
            source.frame(i, 1).take(everything, row[None, :points])


def _slots(stored: Stored, index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where points of one frame are stored."""
    if stored is None or (len(stored) == 1 and not isinstance(stored, Blocks)):
        return index
    if not isinstance(stored, Blocks):
        raise UpsDataError(
            "only blocks are drawn of these frames, so which points they hold is not read, and a frame cannot be put "
            "into order: draw in another mode, or leave inputs= out"
        )
    return np.asarray(stored.slots[index], np.int64)


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
        """Frames start to stop - 1."""
        return Positions(self.coords.part(start, stop), None if self.index is None else self.index.part(start, stop))
