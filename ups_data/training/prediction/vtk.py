"""Predictions for ParaView: a `.vtu` file for every frame, and a `.pvd` file that lists them with their times.

The files are written here byte by byte (VTK's XML format, inline base64), so that no library is needed. A grid becomes
lines, quadrilaterals or hexahedra; points without a grid become vertices. Components that are missing to three are 0.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from ups_data.trajectory import ArrayLike, Axis, Trajectory

VERTEX, LINE, QUAD, HEXAHEDRON = 1, 3, 9, 12  # VTK's numbers of cell types
# The corners of a cell in VTK's order, as steps along the array axes (the last one is x).
CORNERS = {
    1: ((0,), (1,)),
    2: ((0, 0), (0, 1), (1, 1), (1, 0)),
    3: ((0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 0)),
}
TYPES = {"float32": "Float32", "float64": "Float64", "int64": "Int64", "uint8": "UInt8"}


def write_vtk(folder: Path, trajectory: Trajectory) -> None:
    """`KEY[-SET]/frame-000000.vtu`, …, and `KEY[-SET].pvd`, in a folder that is there."""
    whole = {"": (trajectory.coords, trajectory.fields)}
    parts: dict[str, Any] = {name: (s.coords, s.fields) for name, s in trajectory.sets.items()} or whole
    for set_name, (coords, fields) in parts.items():
        name = f"{trajectory.key}-{set_name}" if set_name else trajectory.key
        (folder / name).mkdir()
        times = np.asarray(trajectory.time, np.float64)
        for number, _ in enumerate(times):
            points, corners, kind = _geometry(coords, trajectory.axes, number)
            arrays = {field: np.asarray(values[number]) for field, values in fields.items()}
            flat = {field: np.ascontiguousarray(a.reshape(len(points), -1)) for field, a in arrays.items()}
            write_vtu(folder / name / f"frame-{number:06d}.vtu", points, corners, kind, flat)
        lines = [
            f'<DataSet timestep="{time:.17g}" file={quoteattr(f"{name}/frame-{number:06d}.vtu")}/>'
            for number, time in enumerate(times)
        ]
        text = (
            '<?xml version="1.0"?>\n<VTKFile type="Collection" version="1.0" byte_order="LittleEndian">\n<Collection>\n'
        )
        (folder / f"{name}.pvd").write_text(text + "\n".join(lines) + "\n</Collection>\n</VTKFile>\n")


def write_vtu(path: Path, points: np.ndarray, cells: np.ndarray, kind: int, fields: Mapping[str, np.ndarray]) -> None:
    """One unstructured grid.

    Args:
        points: `(N, d)`.
        cells: `(cells, corners)`, numbers of points.
        kind: VTK's number of the cells' type.
        fields: name → `(N, C)`.
    """
    at = np.zeros((len(points), 3), points.dtype)
    at[:, : points.shape[1]] = points
    offsets = np.arange(1, len(cells) + 1, dtype=np.int64) * cells.shape[1]
    with open(path, "w") as file:
        file.write('<?xml version="1.0"?>\n<VTKFile type="UnstructuredGrid" version="1.0" ')
        file.write('byte_order="LittleEndian" header_type="UInt64">\n<UnstructuredGrid>\n')
        file.write(f'<Piece NumberOfPoints="{len(points)}" NumberOfCells="{len(cells)}">\n<PointData>\n')
        for name, values in fields.items():
            file.write(_array(name, values))
        file.write(f"</PointData>\n<Points>\n{_array('Points', at)}</Points>\n<Cells>\n")
        file.write(_array("connectivity", cells.reshape(-1, 1).astype(np.int64)))
        file.write(_array("offsets", offsets[:, None]))
        file.write(_array("types", np.full((len(cells), 1), kind, np.uint8)))
        file.write("</Cells>\n</Piece>\n</UnstructuredGrid>\n</VTKFile>\n")


def _array(name: str, values: np.ndarray) -> str:
    data = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    text = base64.b64encode(np.uint64(len(data)).astype("<u8").tobytes() + data).decode()
    about = f'type="{TYPES[values.dtype.name]}" Name={quoteattr(name)} NumberOfComponents="{values.shape[1]}"'
    return f'<DataArray {about} format="binary">\n{text}\n</DataArray>\n'


def _geometry(
    coords: ArrayLike | None, axes: tuple[Axis, ...] | None, frame: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Points of a frame, cells and their type."""
    if coords is not None:
        points = np.asarray(coords[frame] if len(coords.shape) == 3 else coords[:])
        return points, np.arange(len(points))[:, None], VERTEX
    assert axes is not None
    lines = [np.asarray(axis.coordinates, np.float64) for axis in axes]
    mesh = np.meshgrid(*lines, indexing="ij")
    points = np.stack([m.ravel() for m in reversed(mesh)], axis=-1)
    number = np.arange(len(points)).reshape([len(line) for line in lines])
    if min(number.shape) < 2:
        return points, np.arange(len(points))[:, None], VERTEX
    corners = [
        number[tuple(slice(s, n - 1 + s) for s, n in zip(step, number.shape, strict=True))].ravel()
        for step in CORNERS[len(lines)]
    ]
    return points, np.stack(corners, axis=-1), {1: LINE, 2: QUAD, 3: HEXAHEDRON}[len(lines)]
