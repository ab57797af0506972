"""Points and cells of VTK's meshes, worked out a few rows at a time when they are written.

A frame of millions of points has several times as many bytes of numbers of points, offsets and types of cells.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ups_data.trajectory import ArrayLike, Axis

VERTEX, LINE, QUAD, HEXAHEDRON = 1, 3, 9, 12  # VTK's numbers of cell types
# The corners of a cell in VTK's order, as steps along the array axes (the last one is x).
CORNERS = {
    1: ((0,), (1,)),
    2: ((0, 0), (0, 1), (1, 1), (1, 0)),
    3: ((0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 0)),
}


@dataclass(frozen=True)
class Rows:
    """An array whose rows are worked out when they are asked for.

    Attributes:
        of: numbers of rows, `(k,)` → those rows, `(k, …)`.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    of: Callable[[np.ndarray], np.ndarray]

    def __getitem__(self, key: Any, /) -> np.ndarray:
        """A slice of rows."""
        return self.of(np.arange(*key.indices(self.shape[0])))


@dataclass(frozen=True)
class Mesh:
    """Where a frame's points are, and how they are joined.

    Attributes:
        points: `(N, 3)`; coordinates that are missing to three are 0.
        cells: `(cells, corners)` int64, numbers of points.
        kind: VTK's number of the cells' type.
    """

    points: ArrayLike
    cells: ArrayLike
    kind: int

    def offsets(self) -> ArrayLike:
        """`(cells, 1)`, where each cell ends in the row of all corners."""
        count, corners = self.cells.shape
        return Rows((count, 1), np.dtype(np.int64), lambda rows: (rows[:, None] + 1) * corners)

    def types(self) -> ArrayLike:
        """`(cells, 1)`."""
        kind = np.uint8(self.kind)
        return Rows((self.cells.shape[0], 1), np.dtype(np.uint8), lambda rows: np.full((len(rows), 1), kind))


def mesh_of(coords: ArrayLike | None, axes: tuple[Axis, ...] | None, frame: int) -> Mesh:
    """The mesh of a frame: of points without a grid, `(N, d)` or `(T, N, d)`, or of a grid's axes."""
    if coords is not None:
        points = np.asarray(coords[frame] if len(coords.shape) == 3 else coords[:])
        return Mesh(_padded(points.shape[0], points.dtype, lambda rows: points[rows]), _vertices(len(points)), VERTEX)
    assert axes is not None
    lines = [np.asarray(axis.coordinates, np.float64) for axis in axes]
    shape = tuple(len(line) for line in lines)

    def at(rows: np.ndarray) -> np.ndarray:
        along = zip(lines, np.unravel_index(rows, shape), strict=True)
        return np.stack([line[number] for line, number in reversed(list(along))], axis=-1)

    points_of = _padded(int(np.prod(shape)), np.dtype(np.float64), at)
    if min(shape) < 2:
        return Mesh(points_of, _vertices(points_of.shape[0]), VERTEX)
    return Mesh(points_of, _cells(shape), {1: LINE, 2: QUAD, 3: HEXAHEDRON}[len(shape)])


def _padded(count: int, kind: np.dtype, at: Callable[[np.ndarray], np.ndarray]) -> ArrayLike:
    """`(count, 3)` of points with fewer coordinates."""

    def of(rows: np.ndarray) -> np.ndarray:
        found = at(rows)
        padded = np.zeros((len(rows), 3), kind)
        padded[:, : found.shape[1]] = found
        return padded

    return Rows((count, 3), kind, of)


def _vertices(points: int) -> ArrayLike:
    return Rows((points, 1), np.dtype(np.int64), lambda rows: rows[:, None])


def _cells(shape: tuple[int, ...]) -> ArrayLike:
    """Lines, quadrilaterals or hexahedra between the points of a grid."""
    between = tuple(n - 1 for n in shape)
    steps = np.array([np.ravel_multi_index(step, shape) for step in CORNERS[len(shape)]])

    def of(rows: np.ndarray) -> np.ndarray:
        first = np.ravel_multi_index(np.unravel_index(rows, between), shape)
        corners: np.ndarray = first[:, None] + steps
        return corners

    return Rows((int(np.prod(between)), len(steps)), np.dtype(np.int64), of)
