"""`Measure`: how large the cells of a query set's points are, so that weights estimate integrals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ups_data.batch.frames.base import Frames
from ups_data.batch.frames.joined import joined
from ups_data.points.cells import GridCells
from ups_data.sampling import Draw


@dataclass(frozen=True, eq=False)
class Measure:
    """The cells of the frames that a draw has rows for: stored sizes, or a grid's, which follow from its axes.

    A weight w with mean w f → mean of f over the points becomes w v / v̄, with v the cell's size and v̄ its mean over
    the frame: its mean w v f / v̄ → Σ v f / Σ v, in every mode, as w undoes the preferences of the draw.

    Attributes:
        frames: `(N, 1)` sizes, one frame for each row; None: the grid's.
        mean: `(n,)` float64, v̄ of each frame; of a grid's cells, 1.
        cells: those of the grid.
    """

    frames: Frames | None
    mean: NDArray[np.float64]
    cells: GridCells | None = None

    def __len__(self) -> int:
        return len(self.mean)

    def part(self, start: int, stop: int) -> "Measure":
        """Frames start to stop - 1."""
        frames = None if self.frames is None else self.frames.part(start, stop)
        return Measure(frames, self.mean[start:stop], self.cells)

    def weigh(self, out: NDArray[np.float32], draw: Draw, sizes: NDArray[np.floating] | None) -> None:
        """Write the weights `(n, Q)` of a draw.

        Args:
            sizes: `(n, Q)` of the points drawn; None: the grid's.
        """
        if sizes is None:
            assert self.cells is not None
            sizes = self.cells.at(draw.points, draw.offset)
        np.divide(sizes, self.mean[:, None], out=out, casting="unsafe")
        if draw.weight is not None:
            out *= draw.weight


def joined_measures(measures: Sequence[Measure]) -> Measure:
    """Those of several samples as one."""
    frames = [m.frames for m in measures if m.frames is not None]
    return Measure(joined(frames) if frames else None, np.concatenate([m.mean for m in measures]), measures[0].cells)
