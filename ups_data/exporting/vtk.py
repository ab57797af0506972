"""Trajectories for ParaView: a file for every frame, and a `.pvd` file that lists them with their times.

The files are written here byte by byte (VTK's XML format, inline base64), so that no library is needed. A grid becomes
lines, quadrilaterals or hexahedra (`.vtu`), or a lattice without cells of its own (`.vti`, `.vtr`), which is a fraction
of the size; points without a grid become vertices. Coordinates that are missing to three are 0.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from ups_data.exporting.lattice import lattice_of
from ups_data.exporting.vtk_xml import HEAD, array, field_data, point_data
from ups_data.trajectory import ArrayLike, Axis, Trajectory

VERTEX, LINE, QUAD, HEXAHEDRON = 1, 3, 9, 12  # VTK's numbers of cell types
# The corners of a cell in VTK's order, as steps along the array axes (the last one is x).
CORNERS = {
    1: ((0,), (1,)),
    2: ((0, 0), (0, 1), (1, 1), (1, 0)),
    3: ((0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 0)),
}


def write_vtk(folder: Path, trajectory: Trajectory, *, lattice: bool = False) -> None:
    """`KEY/frame-000000.vtu`, …, and `KEY.pvd`, in a folder that is there; of several sets of points
    `KEY-SET/…` and `KEY-SET.pvd`.

    Args:
        lattice: grids become `.vti`, or `.vtr` where an axis is uneven, and the sets of a run have a folder of their
            own, `run_KEY/SET_KEY.pvd`, which is how conversions know that they are one run.
    """
    if trajectory.sets and lattice:
        run = folder / f"run_{trajectory.key}"
        run.mkdir()
        for name, part in trajectory.sets.items():
            _write_part(run, f"{name}_{trajectory.key}", trajectory, part, lattice)
        return
    parts: dict[str, Any] = dict(trajectory.sets) or {"": trajectory}
    for name, part in parts.items():
        _write_part(folder, f"{trajectory.key}-{name}" if name else trajectory.key, trajectory, part, lattice)


def _write_part(folder: Path, name: str, trajectory: Trajectory, part: Any, lattice: bool) -> None:
    """The frames of the trajectory, or of one of its sets of points."""
    (folder / name).mkdir()
    times, files = np.asarray(trajectory.time, np.float64), []
    for number, time in enumerate(times):
        arrays = {field: np.asarray(values[number]) for field, values in part.fields.items()}
        arrays |= {field: np.asarray(values[:]) for field, values in part.static.items()}
        flat = {field: a.reshape(-1, a.shape[-1]) for field, a in arrays.items()}
        numbers = {"TimeValue": float(time), **trajectory.params}
        suffix = "vtu"
        if lattice and trajectory.axes is not None:
            suffix, text = lattice_of(trajectory.axes, flat, part.units, numbers)
        else:
            points, corners, kind = _geometry(part.coords, trajectory.axes, number)
            text = unstructured(points, corners, kind, flat, part.units, numbers)
        files.append(f"{name}/frame-{number:06d}.{suffix}")
        (folder / files[-1]).write_text(text)
    lines = [
        f'<DataSet timestep="{time:.17g}" file={quoteattr(file)}/>' for time, file in zip(times, files, strict=True)
    ]
    head = '<?xml version="1.0"?>\n<VTKFile type="Collection" version="1.0" byte_order="LittleEndian">\n<Collection>\n'
    (folder / f"{name}.pvd").write_text(head + "\n".join(lines) + "\n</Collection>\n</VTKFile>\n")


def unstructured(
    points: np.ndarray,
    cells: np.ndarray,
    kind: int,
    fields: Mapping[str, np.ndarray],
    units: Mapping[str, str],
    numbers: Mapping[str, float],
) -> str:
    """The text of a `.vtu` file.

    Args:
        points: `(N, d)`.
        cells: `(cells, corners)`, numbers of points.
        kind: VTK's number of the cells' type.
        fields: name → `(N, C)`.
        units: name of a field → units.
        numbers: of the whole file.
    """
    at = np.zeros((len(points), 3), points.dtype)
    at[:, : points.shape[1]] = points
    offsets = np.arange(1, len(cells) + 1, dtype=np.int64) * cells.shape[1]
    parts = [
        HEAD.format("UnstructuredGrid"),
        f"<UnstructuredGrid>\n{field_data(numbers)}",
        f'<Piece NumberOfPoints="{len(points)}" NumberOfCells="{len(cells)}">\n',
        f"{point_data(fields, units)}<Points>\n{array('Points', at)}</Points>\n<Cells>\n",
        array("connectivity", cells.reshape(-1, 1).astype(np.int64)),
        array("offsets", offsets[:, None]),
        array("types", np.full((len(cells), 1), kind, np.uint8)),
        "</Cells>\n</Piece>\n</UnstructuredGrid>\n</VTKFile>\n",
    ]
    return "".join(parts)


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
