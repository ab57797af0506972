"""One file of VTK, legacy or XML of any kind, read by vtk: points, centres of cells, and what lies on both."""

import importlib
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import units_of
from ups_data.sources.meshes.claims import check_claims
from ups_data.sources.meshes.library import damaged, require_vtk
from ups_data.sources.meshes.measures import measures_of, shares_of
from ups_data.sources.options import SourceOptions

# what VTK keeps for itself
BOOKKEEPING = ("vtkGhostType", "vtkGhostLevels", "vtkValidPointMask", "vtkOriginalPointIds", "vtkOriginalCellIds")
# the bits of vtkGhostType that make a ghost: duplicate, refined, hidden; others say where a cell lies. Of the earlier
# vtkGhostLevels, all do.
GHOSTS = {"point": {"vtkGhostType": 1 | 2, "vtkGhostLevels": 255}, "cell": {"vtkGhostType": 41, "vtkGhostLevels": 255}}
CLOCKS = ("CYCLE", "TIME")  # VisIt's, of a file in a series
_PREFIX = re.compile(r"ERROR: In \S+, line [0-9]+ \S+ \(0x[0-9a-f]+\): ")
# types as meshio writes them, which vtk has under other names only
_MESHIO = re.compile(rb"(?<= )vtktype(u?int)(8|16|32)(?=\n)")
_TYPES = {b"8": b"char", b"16": b"short", b"32": b"int"}
_ASCII = re.compile(rb"[^\n]*\n[^\n]*\n\s*ASCII\b", re.IGNORECASE)


@dataclass
class Mesh:
    """`points`: (N, 3). `centres`: (M, 3). `point_data`, `cell_data`: name → (N or M, C). `measures`: of cells that
    carry data, see `measures_of`. `shares`: those of the points when called, see `shares_of`."""

    points: np.ndarray
    centres: np.ndarray
    point_data: dict[str, np.ndarray]
    cell_data: dict[str, np.ndarray]
    time: float | None = None
    units: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    measures: dict[str, np.ndarray] = field(default_factory=dict)
    params: dict[str, float] = field(default_factory=dict)
    shares: Callable[[], dict[str, np.ndarray]] = dict


def read_mesh(path: Path, kind: str, options: SourceOptions) -> Mesh:
    """A file's mesh, ghosts left out.

    Raises:
        UpsDataError: vtk is not installed or cannot read it, it claims more than it holds, or a cell has corners that
            are no points.
    """
    vtk = require_vtk(path)
    claimed = check_claims(path, kind, options)
    reader = vtk.vtkGenericDataObjectReader() if kind == "vtk" else vtk.vtkXMLGenericDataObjectReader()
    if kind == "vtk":
        for every in ("Scalars", "Vectors", "Normals", "Tensors", "TCoords", "Fields", "ColorScalars"):
            getattr(reader, f"ReadAll{every}On")()
    reader.SetFileName(str(path))
    if kind == "vtk":
        text = path.read_bytes()
        _check_end(path, vtk, text)
        if text != (known := _MESHIO.sub(_known_type, text)):
            reader.ReadFromInputStringOn()
            reader.SetBinaryInputString(known, len(known))
    said = update(vtk, reader)
    data = reader.GetOutputDataObject(0)
    if "ERR" in said.upper() or reader.GetErrorCode() or data is None:
        raise damaged(path, said or "nothing could be read")
    if not data.IsA("vtkDataSet"):
        raise UpsDataError(f"{path}: holds a {data.GetClassName()}, one mesh is expected: save its blocks as files")
    if data.GetNumberOfPoints() == 0 and claimed:
        raise damaged(path, said or "an array has not the length that it should have")
    if data.GetNumberOfPoints() == 0:
        raise UpsDataError(f"{path}: a mesh that has no points: save it again")
    return mesh_of(path, vtk, data)


def update(vtk: Any, reader: Any, time: float | None = None, *, information: bool = False) -> str:
    """Read (the frame at `time`; or only what there is to read, the `information`), and return what vtk says is wrong:
    it raises nothing, and would write to the terminal."""
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
    before, window = vtk.vtkOutputWindow.GetInstance(), vtk.vtkStringOutputWindow()
    vtk.vtkOutputWindow.SetInstance(window)
    try:
        if information:
            reader.UpdateInformation()
        elif time is None:
            reader.Update()
        else:
            reader.UpdateTimeStep(time)
    finally:
        vtk.vtkOutputWindow.SetInstance(before)
    return _PREFIX.sub("error: ", " ".join(window.GetOutput().split()))[:200]


def _check_end(path: Path, vtk: Any, text: bytes) -> None:
    """Whether a legacy file of text ends in the middle of an array, of which vtk serves the rest as the memory had it.

    With a word behind the end, vtk says which it is: an array that it cannot read, or a word that it does not know.

    Raises:
        UpsDataError: it does.
    """
    if _ASCII.match(text) is None:
        return
    reader = vtk.vtkGenericDataObjectReader()
    marked = text + b"\nend_of_file\n"
    reader.ReadFromInputStringOn()
    reader.SetBinaryInputString(marked, len(marked))
    said = update(vtk, reader)
    if "reading ascii" in said.lower():
        raise damaged(path, "it ends in the middle of an array")


def _known_type(match: re.Match[bytes]) -> bytes:
    return (b"unsigned_" if match[1] == b"uint" else b"") + _TYPES[match[2]]


def mesh_of(path: Path, vtk: Any, data: Any) -> Mesh:
    """A mesh of vtk's, ghosts left out.

    Raises:
        UpsDataError: an array has another length than the mesh, or a cell has corners that are no points.
    """
    to_numpy = importlib.import_module("vtkmodules.util.numpy_support").vtk_to_numpy
    if data.IsA("vtkPointSet"):
        held = data.GetPoints()
        points = np.zeros((0, 3), np.float32) if held is None else to_numpy(held.GetData())
    else:
        points = np.array([data.GetPoint(n) for n in range(data.GetNumberOfPoints())], np.float64).reshape(-1, 3)
    connectivity, offsets = _topology(path, vtk, data, to_numpy, len(points))
    arrays = {
        "point": _arrays(path, data.GetPointData(), len(points), to_numpy),
        "cell": _arrays(path, data.GetCellData(), len(offsets) - 1, to_numpy),
    }
    numbers = {"point": _identifiers(data.GetPointData()), "cell": _identifiers(data.GetCellData())}
    mesh = Mesh(points, np.empty((0, points.shape[1]), points.dtype), {}, {})
    ghosts: dict[str, Any] = {}
    for kind, found in arrays.items():
        for name, (values, units) in found.items():
            if name in BOOKKEEPING:
                mesh.left_out[name] = "bookkeeping of VTK"
                if name in GHOSTS[kind] and values is not None:
                    ghosts[kind] = (values[:, 0].astype(np.int64) & GHOSTS[kind][name] != 0) | ghosts.get(kind, False)
            elif name in numbers[kind]:
                mesh.left_out[name] = f"numbers of the {kind}s"
            elif values is None:
                mesh.left_out[name] = "holds no numbers"
            else:
                (mesh.point_data if kind == "point" else mesh.cell_data)[name] = values
                if units is not None:
                    mesh.units[name] = units
    if mesh.cell_data:
        mesh.centres = _centres(path, points, connectivity, offsets)
        mesh.measures = measures_of(vtk, data, points, connectivity, offsets)
        mesh.measures = {n: v for n, v in mesh.measures.items() if n not in (*mesh.cell_data, *mesh.point_data)}
    real = ~ghosts["cell"] if "cell" in ghosts else None
    if real is not None:
        mesh.centres = mesh.centres[real] if len(mesh.centres) else mesh.centres
        mesh.cell_data = {name: values[real] for name, values in mesh.cell_data.items()}
        mesh.measures = {name: values[real] for name, values in mesh.measures.items()}
        corners = np.repeat(real, np.diff(offsets))  # points that only ghost cells have go with them
        ghosts.setdefault("point", ~np.isin(np.arange(len(points)), connectivity[corners]))
    if "point" in ghosts:
        mesh.points = mesh.points[~ghosts["point"]]
        mesh.point_data = {name: values[~ghosts["point"]] for name, values in mesh.point_data.items()}
    kept = ~ghosts["point"] if "point" in ghosts else None
    mesh.shares = partial(shares_of, vtk, data, connectivity, offsets, (real, kept), tuple(mesh.point_data))
    single = {
        name: float(array.GetTuple1(0))
        for name, array in _named(data.GetFieldData())
        if array is not None and array.IsA("vtkDataArray") and array.GetNumberOfValues() == 1
    }
    mesh.time = single.pop("TimeValue", None)
    mesh.params = {name: value for name, value in single.items() if name not in CLOCKS and math.isfinite(value)}
    whole = (name for name, _ in _named(data.GetFieldData()) if name != "TimeValue" and name not in mesh.params)
    mesh.left_out |= {name: "data of the whole mesh" for name in whole if name not in mesh.left_out}
    return mesh


def _topology(path: Path, vtk: Any, data: Any, to_numpy: Any, points: int) -> tuple[np.ndarray, np.ndarray]:
    """The corners of all cells in the order of the cell data, and where each cell's begin."""
    if data.IsA("vtkUnstructuredGrid"):
        cells = [data.GetCells()]
    elif data.IsA("vtkPolyData"):
        cells = [data.GetVerts(), data.GetLines(), data.GetPolys(), data.GetStrips()]
    else:  # a lattice: vtk knows its cells
        if data.GetNumberOfCells() and points != math.prod(_dimensions(data)):
            raise damaged(path, f"{points} points for a lattice of {_dimensions(data)}")
        corners = vtk.vtkIdList()
        found = []
        for number in range(data.GetNumberOfCells()):
            data.GetCellPoints(number, corners)
            found.append([corners.GetId(i) for i in range(corners.GetNumberOfIds())])
        ends = np.cumsum([0, *map(len, found)])
        return np.array([i for cell in found for i in cell], np.int64), ends
    connectivity, offsets = [], [np.zeros(1, np.int64)]
    for array in cells:
        if array is None or array.GetNumberOfCells() == 0:
            continue
        ids = to_numpy(array.GetConnectivityArray()).astype(np.int64)
        begins = to_numpy(array.GetOffsetsArray()).astype(np.int64)
        if (np.diff(begins) < 1).any() or begins[0] != 0 or begins[-1] > len(ids):
            raise damaged(path, "cells without corners")
        connectivity.append(ids[: begins[-1]])
        offsets.append(begins[1:] + offsets[-1][-1])
    corners_of_all = np.concatenate(connectivity) if connectivity else np.empty(0, np.int64)
    if len(corners_of_all) and not (corners_of_all.min() >= 0 and corners_of_all.max() < points):
        raise UpsDataError(f"{path}: a cell has a corner outside of its {points:,} points: save the mesh again")
    return corners_of_all, np.concatenate(offsets)


def _dimensions(data: Any) -> tuple[int, ...]:
    extent = data.GetExtent()
    return tuple(b - a + 1 for a, b in zip(extent[::2], extent[1::2], strict=True))


def _centres(path: Path, points: np.ndarray, connectivity: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The mean of each cell's corners, `(cells, 3)`."""
    if not len(connectivity):
        raise UpsDataError(f"{path}: has cell data but no cells: save the mesh again")
    sums = np.add.reduceat(points[connectivity].astype(np.float64), offsets[:-1], axis=0)
    return (sums / np.diff(offsets)[:, None]).astype(points.dtype)


def _arrays(path: Path, data: Any, count: int, to_numpy: Any) -> dict[str, tuple[Any, str | None]]:
    """name → values `(count, C)`, None where they are no numbers, and units."""
    found: dict[str, tuple[Any, str | None]] = {}
    for name, array in _named(data):
        if array is None or not array.IsA("vtkDataArray") or array.IsA("vtkBitArray"):
            found[name] = (None, None)
            continue
        values = to_numpy(array)
        if len(values) != count:
            raise UpsDataError(
                f"{path}: {name} has {len(values):,} values for {count:,} points or cells: save it again"
            )
        key = array.UNITS_LABEL()
        units = array.GetInformation().Get(key) if array.GetInformation().Has(key) else None
        found[name] = (values.reshape(count, -1), units_of(units))
    return found


def _identifiers(data: Any) -> list[str]:
    """Names of the arrays that the file marks as identifiers."""
    return [array.GetName() for array in (data.GetGlobalIds(), data.GetPedigreeIds()) if array is not None]


def _named(data: Any) -> Iterator[tuple[str, Any]]:
    for number in range(data.GetNumberOfArrays()):
        name = data.GetArrayName(number) or f"array_{number}"  # bytes, if they are no text
        yield name.decode(errors="replace") if isinstance(name, bytes) else name, data.GetAbstractArray(number)
