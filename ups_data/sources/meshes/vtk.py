"""VTK's files: one mesh, or a collection in time."""

from pathlib import Path

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.content import Content, look_inside
from ups_data.sources.meshes.apart.source import VtkRead
from ups_data.sources.meshes.claims import check_claims
from ups_data.sources.meshes.collection import Collection, frames_of
from ups_data.sources.meshes.composite import Composite, Series, is_composite, names_others
from ups_data.sources.meshes.library import check_vtk
from ups_data.sources.meshes.vtk_file import Mesh, read_mesh
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.positions import finite, own_field
from ups_data.trajectory import PointSet, Trajectory

KINDS = ("vtk", "vtu", "series")


class VtkSource(VtkRead):
    """A file of VTK, legacy or XML (.vtu, .vtp, .vti, .vts, .vtr, parallel ones), one trajectory of one frame.

    - Point data are fields (1, N, C) on the mesh's points; cell data are fields at the cells' centres, the means of
      their corners, for all kinds of cells. All pieces of a file are read; ghosts are left out.
    - Where a file has both, the trajectory has the sets `points` and `cells`; cell data that are called like point
      data (OpenFOAM's `p`) get `cells_` before their name. Where it has neither, the points carry their positions.
    - A collection (.pvd, .series) is one trajectory with a frame for each time; its points may move. Parts of one time
      are one mesh.
    - The blocks of a composite (.vtm, .vtpc) are sets of points, each by its name, in a collection too.
    - Beside cell data, the cells' sizes are the static field `cell_volume`, `cell_area` or `cell_length`, and a
      surface's unit normals are `normal`; a field of the file under that name comes before. Beside point data, each
      point's share of the cells is `point_volume`, `point_area` or `point_length`, unless the file has such a field.

    The key is the file's name. Of the field data, `TimeValue` is the time, and other single numbers are parameters; of
    a collection's, those that are the same in all frames.
    Coordinates have three components, flat meshes too.

    Raises:
        UpsDataError: vtk is not installed, the file is damaged, leads to others outside of its folder, or positions are
            NaN.
    """

    format = "vtk"

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        content = look_inside(self.path, options)
        if content.kind not in KINDS:
            raise UpsDataError(f"{path}: {content}, a file of VTK is expected: name another format")
        check_vtk(self.path)
        self._kind = content.kind
        self._frames = frames_of(self.path, content.head, options)
        self._leads_on = self._frames is not None or names_others(content.head)
        if self._frames is None:
            self._blocks = is_composite(content.head)
            if self._leads_on:
                check_claims(self.path, "vtu", options)

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind in KINDS

    @property
    def place(self) -> Path:
        """See `VtkRead.place`."""
        return self.path.parent if self._leads_on else self.path

    def read(self) -> Trajectory:
        """See `VtkRead.read`."""
        if self._frames is not None:
            if Series.needed(self._frames, self.options):
                return Series(self.path, self._frames, self.options).trajectory(self.path.stem)
            single = [(time, files[0]) for time, files in self._frames]
            return Collection(self.path, single, self.options).trajectory()
        if self._blocks:
            return Composite(self.path).trajectory(self.path.stem)
        mesh = read_mesh(self.path, self._kind, self.options)
        sets = sets_of(self.path, mesh)
        whole = next(iter(sets.values())) if len(sets) == 1 else PointSet(np.empty((0, 0)), {})
        return Trajectory(
            key=self.path.stem,
            source=str(self.path),
            fields=whole.fields,
            static=whole.static,
            time=None if mesh.time is None else np.array([mesh.time]),
            params=mesh.params,
            coords=whole.coords if len(sets) == 1 else None,
            sets=sets if len(sets) > 1 else {},
            units=whole.units,
            left_out=mesh.left_out,
        )


def sets_of(path: Path, mesh: Mesh) -> dict[str, PointSet]:
    """The mesh's points, its cells, or both, each with what lies on it."""
    sets = {}
    points = finite(str(path), mesh.points)
    if mesh.point_data or not mesh.cell_data:
        fields = {name: values[None] for name, values in mesh.point_data.items()}
        units = _units(mesh, fields)
        sets["points"] = PointSet(points, fields or own_field("position", points), dict(mesh.shares()), units)
    if mesh.cell_data:
        cells = {cell_name(mesh, name): values[None] for name, values in mesh.cell_data.items()}
        units = {cell_name(mesh, name): unit for name, unit in _units(mesh, mesh.cell_data).items()}
        sets["cells"] = PointSet(finite(str(path), mesh.centres), cells, dict(mesh.measures), units)
    return sets


def cell_name(mesh: Mesh, name: str) -> str:
    """What cell data are called."""
    return f"cells_{name}" if name in mesh.point_data else name


def _units(mesh: Mesh, fields: object) -> dict[str, str]:
    names = list(fields)  # type: ignore[call-overload]
    return {name: mesh.units[name] for name in names if name in mesh.units}
