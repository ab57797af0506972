"""How large the cells of a grid are, where the spacing along its axes says so."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ups_data.points.coords import normalise_axis


@dataclass(frozen=True, eq=False)
class GridCells:
    """Sizes of a grid's cells ÷ their mean. Along an axis, a point's cell reaches half way to both neighbours: the
    midpoint rule, which inside of the grid is the trapezoid rule.

    Attributes:
        shape: of the grid, in array order.
        halves: of each axis `(n, 2)`, twice the halves of the cells below and above every point ÷ the mean cell; None:
            all cells are as long.
    """

    shape: tuple[int, ...]
    halves: tuple[NDArray[np.float64] | None, ...]

    def at(self, index: NDArray[np.int64], offset: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
        """The sizes at points by their row-major numbers, in the shape of `index`.

        Args:
            offset: `(*index.shape, d)` of off-grid queries, see `Draw.offset`. The half of the cell that a query lies
                in counts twice. So the mean of sizes · interpolated values over all queries is the integral of the
                interpolated field, which the trapezoid rule gives exactly: the sum of sizes · values over the points.
        """
        sizes = np.ones(index.shape)
        stride = math.prod(self.shape)
        for axis, (cells, halves) in enumerate(zip(self.shape, self.halves, strict=True)):
            stride //= cells
            if halves is None:
                continue
            place = index // stride % cells
            if offset is None:
                sizes *= halves.mean(axis=1)[place]
            else:
                sizes *= halves[place, (offset[..., axis] >= 0).astype(np.int64)]
        return sizes


def grid_cells(
    axes: Sequence[Sequence[float]], periodic: Sequence[bool] = (), latitude: Sequence[bool] = ()
) -> GridCells | None:
    """The cells of a grid; None where all are equal, as on even axes.

    A cell at an end that is not periodic is as wide outwards as it is inwards. Around a periodic axis, the gap between
    the last point and the first is the mean of its neighbours.

    Args:
        axes: coordinates along each axis, in array order.
        periodic: of each axis; by default none is.
        latitude: of each axis, whether it is one in degrees: cells shrink towards the poles, and their size is a
            difference of sines.
    """
    around, polar = tuple(periodic) or (False,) * len(axes), tuple(latitude) or (False,) * len(axes)
    halves = tuple(
        _halves(np.asarray(axis, np.float64), wraps, pole)
        for axis, wraps, pole in zip(axes, around, polar, strict=True)
    )
    return None if all(h is None for h in halves) else GridCells(tuple(len(a) for a in axes), halves)


def _halves(along: NDArray[np.float64], periodic: bool, latitude: bool) -> NDArray[np.float64] | None:
    points = len(along)
    even = np.array_equal(normalise_axis(along), np.linspace(0, 1, points, dtype=np.float32))
    if points < 2 or (even and not latitude):
        return None
    if latitude:
        along = np.sin(np.radians(along))
    gaps = np.abs(np.diff(along))
    ends = np.full(2, 0.5 * (gaps[0] + gaps[-1])) if periodic else gaps[[0, -1]]
    if latitude:  # nothing lies beyond a pole
        ends = np.minimum(ends, 2 * (1 - np.abs(along[[0, -1]])))
    halves = np.stack([np.concatenate([ends[:1], gaps]), np.concatenate([gaps, ends[1:]])], axis=1)
    return halves / halves.mean()
