"""What a mesh knows of its cells: volume, area or length, and the normals of a surface's."""

from typing import Any

import numpy as np

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
    to_numpy = _to_numpy()
    if data.GetNumberOfCells() == 0:
        return {}
    types = _types(data)
    cell = vtk.vtkGenericCell()
    dimensions = {}
    for kind in np.unique(types).tolist():
        cell.SetCellType(kind)
        dimensions[kind] = cell.GetCellDimension()
    if len(set(dimensions.values())) != 1 or (dimension := dimensions[int(types[0])]) not in SIZES:
        return {}
    sizes = vtk.vtkCellSizeFilter()
    bare = data.NewInstance()
    bare.CopyStructure(data)
    sizes.SetInputData(bare)
    sizes.Update()
    name, array = SIZES[dimension]
    held = sizes.GetOutput().GetCellData().GetArray(array)
    if held is None or held.GetNumberOfTuples() != len(types):
        return {}
    found: dict[str, Any] = {name: np.abs(to_numpy(held).astype(np.float64)).astype(np.float32)[:, None]}
    if dimension == 2 and set(dimensions) <= {*_AROUND, _PIXEL}:
        found[NORMAL] = _normals(points, connectivity, offsets, types)
    return found


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
