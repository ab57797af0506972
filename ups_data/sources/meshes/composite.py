"""Files of VTK that hold several meshes: composites (.vtm, .vtpc), and collections in time of them or of parts."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.content import look_inside
from ups_data.sources.meshes.blocks import Blocks, agreed, leaves_of
from ups_data.sources.meshes.claims import check_claims
from ups_data.sources.meshes.collection import Frames
from ups_data.sources.meshes.library import damaged, require_vtk
from ups_data.sources.meshes.vtk_file import Mesh, mesh_of, read_mesh, update
from ups_data.sources.options import SourceOptions

_OTHERS = re.compile(rb"""type\s*=\s*["'](?:P[A-Z]|vtk)""")
_COMPOSITE = re.compile(rb"""type\s*=\s*["']vtk(?:MultiBlock|Partitioned)""")
# types that vtk's generic reader does not know → their readers
_READERS = {
    rb"vtkPartitionedDataSetCollection": "vtkXMLPartitionedDataSetCollectionReader",
    rb"vtkPartitionedDataSet": "vtkXMLPartitionedDataSetReader",
}


def is_composite(head: bytes) -> bool:
    """Whether a file in XML names the files of its blocks."""
    return bool(_COMPOSITE.search(head))


def names_others(head: bytes) -> bool:
    """Whether a file in XML has its data in others, by its type: then they are looked at as it is opened.

    Whatever it says, they are looked at before they are read, see `check_claims`.
    """
    return bool(_OTHERS.search(head))


class Composite(Blocks):
    """A file whose blocks lie in other files (.vtm, .vtpc)."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, None)

    def read(self, frame: int) -> dict[str, Mesh]:
        """See `Blocks.read`."""
        return read_blocks(self._path)


class Series(Blocks):
    """A collection in time: of composites, of meshes in parts, or of meshes with data on points and on cells."""

    def __init__(self, path: Path, frames: Frames, options: SourceOptions) -> None:
        super().__init__(path, np.array([time for time, _ in frames]))
        self._files, self._options = [files for _, files in frames], options

    @staticmethod
    def needed(frames: Frames, options: SourceOptions) -> bool:
        """Whether a frame has more than one mesh with data in one place."""
        first = frames[0][1][0]
        content = look_inside(first, options)
        if any(len(files) > 1 for _, files in frames) or is_composite(content.head):
            return True
        mesh = read_mesh(first, content.kind, options)
        return bool(mesh.point_data and mesh.cell_data)

    def read(self, frame: int) -> dict[str, Mesh]:
        """See `Blocks.read`."""
        parts: list[Mesh] = []
        for file in self._files[frame]:
            content = look_inside(file, self._options)
            if not is_composite(content.head):
                parts.append(read_mesh(file, content.kind, self._options))
                continue
            if len(self._files[frame]) > 1:
                raise UpsDataError(f"{file}: has blocks and is one part of several: save it as one mesh")
            check_claims(file, "vtu", self._options)
            return read_blocks(file)
        return {"": parts[0] if len(parts) == 1 else _joined(self._path, parts)}


def read_blocks(path: Path) -> dict[str, Mesh]:
    """The meshes of a composite by the names of its blocks.

    Raises:
        UpsDataError: vtk cannot read it.
    """
    vtk = require_vtk(path)
    with open(path, "rb") as file:
        head = file.read(4096)
    known = next((reader for kind, reader in _READERS.items() if kind in head), "vtkXMLGenericDataObjectReader")
    reader = getattr(vtk, known)()
    reader.SetFileName(str(path))
    said = update(vtk, reader)
    data = reader.GetOutputDataObject(0)
    if "ERR" in said.upper() or data is None or not data.IsA("vtkCompositeDataSet"):
        raise damaged(path, said or "nothing could be read")
    return {name: mesh_of(path, vtk, leaf) for name, leaf in leaves_of(vtk, data)}


def _joined(path: Path, parts: Sequence[Mesh]) -> Mesh:
    """Parts of one mesh as one, point after point and cell after cell.

    Raises:
        UpsDataError: they have other fields.
    """
    first = parts[0]
    names = (set(first.point_data), set(first.cell_data))
    if any((set(part.point_data), set(part.cell_data)) != names for part in parts):
        raise UpsDataError(f"{path}: parts of one time have different fields: give all parts the same")
    params, left_out = agreed([part.params for part in parts])
    for part in parts:
        left_out |= part.left_out
    measures = [name for name in first.measures if all(name in part.measures for part in parts)]
    return Mesh(
        points=np.concatenate([part.points for part in parts]),
        centres=np.concatenate([part.centres for part in parts]),
        point_data={name: np.concatenate([part.point_data[name] for part in parts]) for name in first.point_data},
        cell_data={name: np.concatenate([part.cell_data[name] for part in parts]) for name in first.cell_data},
        units=first.units,
        left_out=left_out,
        params=params,
        measures={name: np.concatenate([part.measures[name] for part in parts]) for name in measures},
        shares=partial(_joined_shares, parts),
    )


def _joined_shares(parts: Sequence[Mesh]) -> dict[str, Any]:
    found = [part.shares() for part in parts]
    names = [name for name in found[0] if all(name in shares for shares in found)]
    return {name: np.concatenate([shares[name] for shares in found]) for name in names}
