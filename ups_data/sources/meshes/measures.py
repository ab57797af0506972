"""What a mesh knows of its cells: volume, area or length, the normals of a surface's, and the share of points."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ups_data.schema.measures import SIZES as NAMES

# the dimension of cells → the reserved name of the field that says how large they are, and vtk's array
SIZES = {3: ("cell_volume", "Volume"), 2: ("cell_area", "Area"), 1: ("cell_length", "Length")}
NORMAL = "normal"
# Cells whose corners are given around them: triangle, polygon, quad. A pixel's last two are swapped.
_AROUND, _PIXEL = (5, 7, 9), 8


def measures_of(
    vtk: Any, data: Any, points: np.ndarray, connectivity: np.ndarray, offsets: np.ndarray
) -> dict[str, Any]:
    """name → `(cells, 1)` or `(cells, 3)` float32: the size of each cell, and unit normals of cells of a surface.

    Volumes are vtk's, which cuts cells into tetrahedra, and never negative. A normal is that of Newell's sum over the
    edges (Sutherland et al. 1974): corners counted anticlockwise as seen from outside give normals that point there.
    Nothing if cells differ in their dimension.
    """
    if data.GetNumberOfCells() == 0:
        return {}
    types = _types(data)
    dimensions = _dimensions(vtk, types)
    if len(set(dimensions.values())) != 1 or (dimension := dimensions[int(types[0])]) not in SIZES:
        return {}
    sizes = _sizes(vtk, data, len(types), dimension)
    if sizes is None:
        return {}
    found: dict[str, Any] = {SIZES[dimension][0]: sizes.astype(np.float32)[:, None]}
    if dimension == 2 and set(dimensions) <= {*_AROUND, _PIXEL}:
        found[NORMAL] = _normals(points, connectivity, offsets, types)
    return found


def shares_of(
    vtk: Any,
    data: Any,
    connectivity: np.ndarray,
    offsets: np.ndarray,
    real: tuple[np.ndarray | None, np.ndarray | None],
    fields: Sequence[str],
) -> dict[str, np.ndarray]:
    """name → `(points, 1)` float32: how much of the mesh belongs to each point, `point_volume`, `point_area` or
    `point_length`: the sizes of its cells, each in equal shares among the corners. So the sum of shares · values is the
    integral of what is linear in each line, triangle or tetrahedron.

    Of cells of several dimensions, those of the highest count. Nothing if they have no size, or one of the `fields` of
    the points says what it is.

    Args:
        real: `(cells,)` and `(points,)`, False for ghosts; None: there are none.
    """
    if data.GetNumberOfCells() == 0 or any(name.lower() in NAMES for name in fields):
        return {}
    types = _types(data)
    dimensions = _dimensions(vtk, types)
    highest = max(dimensions.values())
    sizes = _sizes(vtk, data, len(types), highest) if highest in SIZES else None
    if sizes is None:
        return {}
    counts = np.isin(types, [kind for kind, dimension in dimensions.items() if dimension == highest])
    sizes[~(counts if real[0] is None else counts & real[0])] = 0
    corners = np.diff(offsets)
    shares = np.bincount(connectivity, np.repeat(sizes / corners, corners), data.GetNumberOfPoints())
    shares = shares if real[1] is None else shares[real[1]]
    return {SIZES[highest][0].replace("cell", "point"): shares.astype(np.float32)[:, None]} if shares.any() else {}


def _dimensions(vtk: Any, types: np.ndarray) -> dict[int, int]:
    """Type of cell → its dimension."""
    cell, found = vtk.vtkGenericCell(), {}
    for kind in np.unique(types).tolist():
        cell.SetCellType(kind)
        found[kind] = cell.GetCellDimension()
    return found


def _sizes(vtk: Any, data: Any, count: int, dimension: int) -> np.ndarray | None:
    """`(cells,)` float64, of those of a dimension; None: vtk cannot tell."""
    sizes = vtk.vtkCellSizeFilter()
    bare = data.NewInstance()
    bare.CopyStructure(data)
    sizes.SetInputData(bare)
    sizes.Update()
    held = sizes.GetOutput().GetCellData().GetArray(SIZES[dimension][1])
    if held is None or held.GetNumberOfTuples() != count:
        return None
    values: np.ndarray = np.abs(_to_numpy()(held).astype(np.float64))
    return values


def _types(data: Any) -> np.ndarray:
    count = data.GetNumberOfCells()
    if not data.IsA("vtkPointSet") or data.IsA("vtkStructuredGrid"):  # a lattice: all cells are alike
        return np.full(count, data.GetCellType(0), np.int64)
    return np.array([data.GetCellType(n) for n in range(count)], np.int64)


def _normals(points: np.ndarray, connectivity: np.ndarray, offsets: np.ndarray, types: np.ndarray) -> np.ndarray:
    corners = connectivity.copy()
    for begin in offsets[:-1][types == _PIXEL]:
        corners[begin + 2], corners[begin + 3] = corners[begin + 3], corners[begin + 2]
    following = np.arange(1, len(corners) + 1)
    following[offsets[1:] - 1] = offsets[:-1]
    here = points[corners].astype(np.float64)
    middle = np.repeat(np.add.reduceat(here, offsets[:-1], 0) / np.diff(offsets)[:, None], np.diff(offsets), 0)
    here -= middle  # far from zero, products of positions would lose what differs
    sums = np.add.reduceat(np.cross(here, here[following]), offsets[:-1], axis=0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0).astype(np.float32)


def _to_numpy() -> Any:
    from vtkmodules.util.numpy_support import vtk_to_numpy  # an optional extra

    return vtk_to_numpy
