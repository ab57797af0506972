"""VTK's legacy files and VTU (XML of unstructured grids), read by meshio."""

import importlib
import mmap
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.sources.content import Content, look_inside
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.positions import finite, own_field
from ups_data.trajectory import PointSet, Trajectory

KINDS = ("vtk", "vtu")
_NAME = re.compile(rb"""\sName=["']([^"']*)["']""")


class VtkSource(Source):
    """One mesh, one trajectory of one frame; its key is the file's name. It is read when it is reached.

    - Point data, (N,), (N, C) or (N, A, B), are fields (1, N, C) on the mesh's points.
    - Cell data are fields at the cells' centres, the means of their corners.
    - Where a file has both, the trajectory has the sets `points` and `cells`; cell data that are called like point
      data (OpenFOAM's `p`) get `cells_` before their name. Where it has neither, the points carry their positions.

    VTU's `TimeValue` is the time. Coordinates have the three components of the file, flat meshes too.

    Raises:
        UpsDataError: meshio is not installed, the file is damaged or of another kind of VTK, or positions are NaN.
    """

    format = "vtk"

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        content = look_inside(self.path, options)
        if content.kind not in KINDS:
            raise UpsDataError(f"{path}: {content}, a legacy VTK file or a VTU file is expected: name another format")
        self._kind = content.kind
        _reader(self.path, self._kind)

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind in KINDS

    def __len__(self) -> int:
        return 1

    def __getitem__(self, number: int, /) -> Trajectory:
        mesh = _read(self.path, self._kind)
        sets = self._sets(mesh)
        whole = next(iter(sets.values())) if len(sets) == 1 else PointSet(np.empty((0, 0)), {})
        time = np.asarray(mesh.field_data.get("TimeValue", ()), np.float64).reshape(-1)
        return Trajectory(
            key=self.path.stem,
            source=str(self.path),
            fields=whole.fields,
            time=time if time.size == 1 else None,
            coords=whole.coords if len(sets) == 1 else None,
            sets=sets if len(sets) > 1 else {},
        )

    def _sets(self, mesh: Any) -> dict[str, PointSet]:
        points = finite(str(self.path), _native(mesh.points))
        sets = {}
        if mesh.point_data or not mesh.cell_data:
            fields = {name: self._frame(name, values, len(points)) for name, values in mesh.point_data.items()}
            sets["points"] = PointSet(points, fields or own_field("position", points))
        if mesh.cell_data:
            centres = cell_centres(points, [block.data for block in mesh.cells])
            sets["cells"] = PointSet(
                centres,
                {
                    f"cells_{name}" if name in mesh.point_data else name: self._frame(
                        name, np.concatenate([np.asarray(block) for block in blocks]), len(centres)
                    )
                    for name, blocks in mesh.cell_data.items()
                },
            )
        return sets

    def _frame(self, name: str, values: Any, points: int) -> np.ndarray:
        values = _native(np.asarray(values))
        if values.dtype.kind not in "biuf" or values.shape[:1] != (points,):
            raise UpsDataError(
                f"{self.path}: {name} holds {values.dtype} of shape {values.shape} for {points} points or cells, "
                "numbers for each are expected: remove or correct it"
            )
        return values.reshape(1, points, -1)


def cell_centres(points: np.ndarray, blocks: Sequence[Any]) -> np.ndarray:
    """The mean of each cell's corners, `(cells, d)`.

    Args:
        points: `(N, d)`.
        blocks: for each block of cells of one type, `(cells, corners)` numbers of points, or for each polyhedron a list
            of faces, each a list of numbers.
    """
    centres = [np.empty((0, points.shape[1]), points.dtype)]
    for cells in blocks:
        if isinstance(cells, np.ndarray) and cells.ndim == 2:
            centres.append(points[cells].mean(axis=1, dtype=np.float64).astype(points.dtype))
        else:
            for faces in cells:
                corners = np.unique(np.concatenate([np.ravel(face) for face in faces]))
                centres.append(points[corners].mean(axis=0, dtype=np.float64).astype(points.dtype)[None])
    return np.concatenate(centres)


def _native(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, array.dtype.newbyteorder("="))


def _reader(path: Path, kind: str) -> Any:
    try:
        meshio = importlib.import_module("meshio")  # an optional extra, without types
    except ImportError as error:
        raise UpsDataError(
            f"{path}: reading VTK files needs meshio, which is not installed: pip install 'ups_data[mesh]'"
        ) from error
    return {"vtk": meshio.vtk.read, "vtu": meshio.vtu.read}[kind]


def _read(path: Path, kind: str) -> Any:
    read = _reader(path, kind)
    try:
        mesh = read(str(path))
        missing = _named_point_data(path) - set(mesh.point_data) if kind == "vtu" else set()
    except Exception as error:  # meshio raises whatever the damage leads to, from AssertionError to zlib.error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UpsDataError(
            f"{path}: cannot be read by meshio, it is truncated, damaged or of a kind of VTK other than "
            f"unstructured grids: save it as VTU or copy it again ({reason[:200]})"
        ) from error
    if missing:
        raise UpsDataError(f"{path}: the data {', '.join(sorted(missing))} do not fit the points: save the file again")
    return mesh


def _named_point_data(path: Path) -> set[str]:
    """The names of a VTU file's point data: meshio leaves damaged ones out with no more than a warning."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        names = set()
        start = data.find(b"<PointData")
        while start >= 0:
            section = data[start : data.find(b"</PointData>", start)]
            names |= {n.decode() for tag in re.findall(rb"<DataArray[^>]*>", section) for n in _NAME.findall(tag)}
            start = data.find(b"<PointData", start + 1)
    return names
