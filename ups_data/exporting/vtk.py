"""Trajectories for ParaView: a file for every frame, and a `.pvd` file that lists them with their times.

The files are written here byte by byte (VTK's XML format, inline base64), so that no library is needed. A grid becomes
lines, quadrilaterals or hexahedra (`.vtu`), or a lattice without cells of its own (`.vti`, `.vtr`), which is a fraction
of the size; points without a grid become vertices. Coordinates that are missing to three are 0.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from ups_data.exporting.lattice import lattice_of
from ups_data.exporting.vtk_mesh import Mesh, mesh_of
from ups_data.exporting.vtk_xml import HEAD, array, field_data, point_data
from ups_data.trajectory import ArrayLike, Trajectory


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
            text = unstructured(mesh_of(part.coords, trajectory.axes, number), flat, part.units, numbers)
        files.append(f"{name}/frame-{number:06d}.{suffix}")
        with open(folder / files[-1], "w", encoding="utf-8") as file:
            file.writelines(text)
    lines = [
        f'<DataSet timestep="{time:.17g}" file={quoteattr(file)}/>' for time, file in zip(times, files, strict=True)
    ]
    head = '<?xml version="1.0"?>\n<VTKFile type="Collection" version="1.0" byte_order="LittleEndian">\n<Collection>\n'
    (folder / f"{name}.pvd").write_text(head + "\n".join(lines) + "\n</Collection>\n</VTKFile>\n")


def unstructured(
    mesh: Mesh, fields: Mapping[str, ArrayLike], units: Mapping[str, str], numbers: Mapping[str, float]
) -> Iterator[str]:
    """The text of a `.vtu` file, in pieces.

    Args:
        fields: name → `(N, C)`.
        units: name of a field → units.
        numbers: of the whole file.
    """
    yield f"{HEAD.format('UnstructuredGrid')}<UnstructuredGrid>\n"
    yield from field_data(numbers)
    yield f'<Piece NumberOfPoints="{mesh.points.shape[0]}" NumberOfCells="{mesh.cells.shape[0]}">\n'
    yield from point_data(fields, units)
    yield "<Points>\n"
    yield from array("Points", mesh.points)
    yield "</Points>\n<Cells>\n"
    yield from array("connectivity", mesh.cells, flat=True)
    yield from array("offsets", mesh.offsets())
    yield from array("types", mesh.types())
    yield "</Cells>\n</Piece>\n</UnstructuredGrid>\n</VTKFile>\n"
