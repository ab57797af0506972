"""Coordinates that are scaled while they are copied: a pass of their own over a batch of points costs a tenth of it."""

import numpy as np
from numpy.typing import NDArray

from ups_data.batch.frames.pieces import Apart, Copyable, Pieces
from ups_data.points.blocks import Blocks
from ups_data.points.unit import UnitScale


class Scaled:
    """What coordinates are copied from, with each scaled as it is copied; see `Pieces` for the methods."""

    def __init__(self, source: Copyable, scale: UnitScale) -> None:
        self._source, self._scale = source, scale

    @property
    def piece_points(self) -> int:
        """P, points of a piece."""
        return self._source.piece_points

    def stack(self, out: np.ndarray) -> None:
        """See `Pieces.stack`."""
        if type(self._source) is Pieces:  # packed ones copy in a way of their own
            self._source.stack_scaled(self._scale, out)
            return
        self._source.stack(out)
        self._scale.apply(out)

    def stack_widened(self, out: NDArray[np.int64]) -> None:
        """Numbers of points are no coordinates."""
        raise TypeError("numbers of points are not scaled")

    def take(self, index: NDArray[np.int64], out: np.ndarray) -> None:
        """See `Pieces.take`."""
        self._source.take(index, out)
        self._scale.apply(out)

    def restore(self, blocks: Blocks, out: np.ndarray) -> None:
        """See `Pieces.restore`; the zeros behind the points stay zeros."""
        self._source.restore(blocks, out)
        for frame in out:
            self._scale.apply(frame[: blocks.num_points])

    def frame(self, number: int, pieces: int) -> "Scaled":
        """See `Pieces.frame`."""
        return Scaled(self._source.frame(number, pieces), self._scale)


def scaled(source: Copyable | Apart, scale: UnitScale) -> Scaled | Apart:
    """The same source of coordinates, scaled."""
    if isinstance(source, Apart):
        return Apart([scaled(part, scale) for part in source.parts])
    return Scaled(source, scale)
