"""Files of VTK that name other files: collections in time (.pvd), and parallel ones in pieces."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.schema.texts.json_text import parse_json
from ups_data.sources.content import look_inside
from ups_data.sources.lazy import LazyArray
from ups_data.sources.limits import TEXT_BYTES
from ups_data.sources.meshes.blocks import agreed
from ups_data.sources.meshes.references.inside import inside
from ups_data.sources.meshes.vtk_file import Mesh, read_mesh
from ups_data.sources.options import SourceOptions
from ups_data.sources.positions import finite, own_field
from ups_data.trajectory import ArrayLike, Trajectory

Frame = tuple[float, Path]
Frames = list[tuple[float, list[Path]]]  # the files of each time, more than one where it has parts
SERIES = b'"file-series-version"'  # ParaView's JSON


def frames_of(path: Path, head: bytes, options: SourceOptions) -> Frames | None:
    """The time and the files of each frame of a collection; None: it is no collection.

    Raises:
        UpsDataError: it is no XML, a file is missing or lies outside of the folder, or a time has a part twice.
    """
    if SERIES in head:
        return _frames_of_series(path, options)
    if b"<VTKFile" not in head or not re.search(rb"""type\s*=\s*["']Collection["']""", head):
        return None
    if path.stat().st_size > TEXT_BYTES:
        raise UpsDataError(f"{path}: is longer than {TEXT_BYTES:,} bytes: split the collection")
    text = path.read_bytes()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise UpsDataError(f"{path}: defines entities, which a collection has no need of: remove them")
    try:
        entries = ElementTree.fromstring(text).iter("DataSet")
        found = [(float(e.attrib["timestep"]), _part(e), e.attrib["file"]) for e in entries]
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise UpsDataError(
            f"{path}: is no collection of VTK files, it is truncated or damaged: write it again ({error})"
        ) from error
    if not found:
        raise UpsDataError(f"{path}: names no file: write the collection again")
    frames: dict[float, dict[tuple[str, int], str]] = {}
    for time, part, name in sorted(found):
        if frames.setdefault(time, {}).setdefault(part, name) != name:
            raise UpsDataError(f"{path}: names two files for one part at the time {time:g}: leave one of them")
    return [(time, [inside(path, name, options) for name in parts.values()]) for time, parts in frames.items()]


def _part(entry: ElementTree.Element) -> tuple[str, int]:
    return entry.attrib.get("group", ""), int(entry.attrib.get("part") or 0)


def _frames_of_series(path: Path, options: SourceOptions) -> Frames:
    if path.stat().st_size > TEXT_BYTES:
        raise UpsDataError(f"{path}: is longer than {TEXT_BYTES:,} bytes: split the series")
    try:
        found = sorted((float(entry["time"]), str(entry["name"])) for entry in parse_json(path.read_bytes())["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise UpsDataError(
            f"{path}: is no series of files with a name and a time each, it is damaged: write it again ({error})"
        ) from error
    if not found or len({time for time, _ in found}) < len(found):
        raise UpsDataError(f"{path}: names no file, or two files of one time: write the series again")
    return [(time, [inside(path, name, options)]) for time, name in found]


class Collection:
    """One trajectory of meshes with as many points each."""

    def __init__(self, path: Path, frames: Sequence[Frame], options: SourceOptions) -> None:
        self._path, self._options = path, options
        self._frames = list(frames)
        self._last: tuple[int, Mesh] | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_last": None}

    def trajectory(self) -> Trajectory:
        """Raises UpsDataError if frames differ in their points or fields, or have point data and cell data."""
        first = self._mesh(0)
        if first.point_data and first.cell_data:
            raise UpsDataError(f"{self._path}: has data on points and on cells: write one of them")
        cells = bool(first.cell_data)
        data = first.cell_data if cells else first.point_data
        moves, numbers = self._compared(cells)
        count, dim = self._place(first, cells).shape
        steps = len(self._frames)
        coords: ArrayLike = finite(str(self._path), self._place(first, cells))
        if moves:
            coords = LazyArray((steps, count, dim), coords.dtype, partial(self._read, None, cells))
        fields = {
            name: LazyArray((steps, *values.shape), values.dtype, partial(self._read, name, cells))
            for name, values in data.items()
        }
        params, differing = agreed(numbers)
        return Trajectory(
            key=self._path.stem,
            source=str(self._path),
            fields=fields or own_field("position", coords),
            static={} if moves else dict(first.measures if cells else first.shares()),
            time=np.array([time for time, _ in self._frames]),
            params=params,
            coords=coords,
            units=first.units,
            left_out={**differing, **first.left_out},
        )

    def _place(self, mesh: Mesh, cells: bool) -> np.ndarray:
        return mesh.centres if cells else mesh.points

    def _compared(self, cells: bool) -> tuple[bool, list[dict[str, float]]]:
        """Whether the points move, and the numbers of the whole mesh, by frame."""
        first = self._mesh(0)
        names = set(first.point_data), set(first.cell_data)
        still, numbers = True, [first.params]
        for number in range(1, len(self._frames)):
            mesh = self._mesh(number)
            if (set(mesh.point_data), set(mesh.cell_data)) != names or mesh.points.shape != first.points.shape:
                raise UpsDataError(
                    f"{self._frames[number][1]}: has other fields or another number of points than "
                    f"{self._frames[0][1].name}: a series is one mesh in time, convert the others apart"
                )
            numbers.append(mesh.params)
            still = still and np.array_equal(self._place(mesh, cells), self._place(first, cells))
        return not still, numbers

    def _read(self, name: str | None, cells: bool, start: int, stop: int) -> np.ndarray:
        meshes = (self._mesh(number) for number in range(start, stop))
        if name is None:
            return np.stack([finite(str(self._path), self._place(mesh, cells)) for mesh in meshes])
        return np.stack([(mesh.cell_data if cells else mesh.point_data)[name] for mesh in meshes])

    def _mesh(self, number: int) -> Mesh:
        if self._last is None or self._last[0] != number:
            file = self._frames[number][1]
            self._last = number, read_mesh(file, look_inside(file, self._options).kind, self._options)
        return self._last[1]
