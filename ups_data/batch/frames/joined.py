"""The frames of several sequences as one: of the samples that a pipeline of one's own hands to `query_collate`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ups_data.batch.frames.base import Frames, Positions
from ups_data.batch.frames.in_memory import ArrayFrames
from ups_data.batch.frames.pieces import Apart, Copyable, Pieces, pieces_joined
from ups_data.batch.frames.reads import Read
from ups_data.errors import UpsDataError
from ups_data.sampling import Draw


class JoinedFrames(Frames):
    """The frames of several sequences, one after another.

    One call copies all of them, unless some are arrays in memory, whose points are not stored as the others are: then
    each sequence copies its own.
    """

    def __init__(self, sequences: Sequence[Frames]) -> None:
        self._sequences = sequences
        self._alike = not any(isinstance(s, ArrayFrames) for s in sequences)
        self.channels, self.dtype = sequences[0].channels, sequences[0].dtype
        self.number_dtype = sequences[0].number_dtype
        stored = [s.stored[i % len(s.stored)] for s in sequences for i in range(len(s))]
        self.stored = stored if any(s is not stored[0] for s in stored) else stored[:1]

    def __len__(self) -> int:
        return sum(map(len, self._sequences))

    def part(self, start: int, stop: int, step: int = 1) -> "JoinedFrames":
        """See `Frames.part`."""
        one_by_one = [s.part(i, i + 1) for s in self._sequences for i in range(len(s))]
        return JoinedFrames(one_by_one[start:stop:step])

    def check_unchanged(self) -> None:
        """See `Frames.check_unchanged`."""
        for sequence in self._sequences:
            sequence.check_unchanged()

    def read(self) -> Pieces:
        """See `Frames.read`."""
        return pieces_joined([sequence.read() for sequence in self._sequences])

    def wants_blocks(self, blocks: NDArray[np.int64] | None = None) -> Read:
        """See `Frames.wants_blocks`."""
        reads = [s.wants_blocks(None if blocks is None else blocks[rows]) for s, rows in self._rows()]

        def assemble(found: Sequence[Any]) -> Pieces:
            parts: list[Any] = list(_assembled(reads, found))
            return pieces_joined(parts)

        return Read([chunks for read in reads for chunks in read.chunks], assemble)

    def wants(self, draw: Draw | None = None) -> Read:
        """See `Frames.wants`."""
        if self._alike:
            return super().wants(draw)
        reads = [
            s.wants(None if draw is None else _part(draw, rows))
            if isinstance(s, ArrayFrames)
            else s.wants_blocks(None if draw is None or draw.blocks is None else draw.blocks[rows])
            for s, rows in self._rows()
        ]
        return Read(
            [chunks for read in reads for chunks in read.chunks], lambda found: Apart(list(_assembled(reads, found)))
        )

    def copy_to(self, out: np.ndarray, source: Copyable) -> None:
        """See `Frames.copy_to`."""
        if not isinstance(source, Apart):
            super().copy_to(out, source)
            return
        for (sequence, rows), part in zip(self._rows(), source.parts, strict=True):
            sequence.copy_to(out[rows], part)

    def take_to(self, out: np.ndarray, draw: Draw, source: Copyable) -> None:
        """See `Frames.take_to`."""
        if not isinstance(source, Apart):
            super().take_to(out, draw, source)
            return
        for (sequence, rows), part in zip(self._rows(), source.parts, strict=True):
            sequence.take_to(out[rows], _part(draw, rows), part)

    def _rows(self) -> Iterator[tuple[Frames, slice]]:
        """The sequences, and which of all frames each has."""
        start = 0
        for sequence in self._sequences:
            yield sequence, slice(start, start + len(sequence))
            start += len(sequence)


def _assembled(reads: Sequence[Read], found: Sequence[Any]) -> Iterator[Any]:
    """What each of those reads makes of its share of what was fetched."""
    start = 0
    for read in reads:
        yield read.assemble(found[start : start + len(read.chunks)])
        start += len(read.chunks)


def _part(draw: Draw, rows: slice) -> Draw:
    """What tells the points of some rows of a draw."""
    index, blocks, slots = (None if a is None else a[rows] for a in (draw.index, draw.blocks, draw.slots))
    return replace(draw, index=index, blocks=blocks, slots=slots)


def joined(sequences: Sequence[Sequence[np.ndarray]], points: Sequence[int] = (), field: str = "") -> Frames:
    """All frames in one sequence; a stage of one's own may have replaced them by arrays.

    Args:
        points: of each sequence's frames.
        field: that they are of, for messages.

    Raises:
        UpsDataError: the arrays are none of such frames.
    """
    frames = [f if isinstance(f, Frames) else ArrayFrames(f) for f in sequences]
    for of_sample, num_points in zip(frames, points, strict=False):
        if isinstance(of_sample, ArrayFrames):
            of_sample.check(num_points, field)
    if len({(f.channels, f.dtype) for f in frames}) > 1:
        kinds = sorted({f"{f.dtype} with {f.channels} channels" for f in frames})
        raise UpsDataError(
            f"the samples' frames of {field!r} are {' and '.join(kinds)}: make them alike in all samples"
        )
    return JoinedFrames(frames)


def joined_positions(positions: Sequence[Positions | None]) -> Positions | None:
    """The same of positions; None for grids."""
    given = [p for p in positions if p is not None]
    if not given:
        return None
    index = [p.index for p in given if p.index is not None]
    return Positions(joined([p.coords for p in given]), joined(index) if index else None)
