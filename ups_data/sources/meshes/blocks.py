"""Meshes of several blocks, in time: each block's points and cells are sets of points of one trajectory."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.lazy import LazyArray
from ups_data.sources.meshes.runs import apart
from ups_data.sources.meshes.vtk_file import Mesh
from ups_data.sources.positions import finite, own_field
from ups_data.trajectory import ArrayLike, PointSet, Trajectory

Place = tuple[str, bool]  # a block, and whether its cells are meant
PARTLY = "not in all frames"  # why a field is left out


class Blocks(ABC):
    """Frames of meshes by block; a reader gives them one at a time.

    Fields that only some frames have (OpenFOAM's at time 0) are left out by name.
    """

    def __init__(self, path: Path, times: np.ndarray | None) -> None:
        self._path, self._times = path, times
        self._last: tuple[int, dict[str, Mesh]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}

    @abstractmethod
    def read(self, frame: int) -> dict[str, Mesh]:
        """name of a block → its mesh, those that have points."""

    @property
    def frames(self) -> int:
        """How many."""
        return 1 if self._times is None else len(self._times)

    def trajectory(self, key: str) -> Trajectory:
        """All frames as one run.

        Raises:
            UpsDataError: frames have other blocks or other numbers of points than the first one.
        """
        first = self._at(0)
        if not first:
            raise UpsDataError(f"{self._path}: no block of it has points: save it again")
        names = {(b, cells): set(_data(mesh, cells)) for b, mesh in first.items() for cells in _carriers(mesh)}
        moves = dict.fromkeys(first, False)
        numbers = [mesh.params for mesh in first.values()]
        every = {place: set(found) for place, found in names.items()}
        for frame in range(1, self.frames):
            meshes = self._at(frame)
            numbers += [mesh.params for mesh in meshes.values()]
            for block, mesh in first.items():
                if block not in meshes or meshes[block].points.shape != mesh.points.shape:
                    raise UpsDataError(
                        f"{self._path}: {block or 'the mesh'} has another number of points in frame {frame} than in "
                        "the first: a run is one mesh in time"
                    )
                moves[block] = moves[block] or not np.array_equal(meshes[block].points, mesh.points)
            for block, cells in names:
                held = set(_data(meshes[block], cells)) if block in meshes else set()
                every[block, cells] |= held
                names[block, cells] &= held
        left_out = {name: PARTLY for place, found in every.items() for name in found if name not in names[place]}
        meshes = self._at(0)
        sets = {}
        for (block, cells), fields in names.items():
            several = sum(other == block for other, _ in names) > 1
            of_what = "cells" if cells else "points"
            label = (f"{block}_{of_what}" if block else of_what) if several else block
            sets[label] = self._set((block, cells), sorted(fields), moves[block])
        sets = apart(sets)
        params, differing = agreed(numbers)
        left_out |= differing
        for mesh in meshes.values():
            left_out |= mesh.left_out
        whole = next(iter(sets.values())) if len(sets) == 1 else PointSet(np.empty((0, 0)), {})
        return Trajectory(
            key=key,
            source=str(self._path),
            fields=whole.fields,
            static=whole.static,
            time=self._times,
            params=params,
            coords=whole.coords if len(sets) == 1 else None,
            sets=sets if len(sets) > 1 else {},
            units=whole.units,
            left_out=left_out,
        )

    def _set(self, place: Place, names: list[str], moves: bool) -> PointSet:
        mesh = self._at(0)[place[0]]
        positions = mesh.centres if place[1] else mesh.points
        coords: ArrayLike = finite(str(self._path), positions)
        if moves:
            shape = (self.frames, *positions.shape)
            coords = LazyArray(shape, positions.dtype, partial(self._frames, place, None))
        fields: dict[str, ArrayLike] = {}
        for name in names:
            values = _data(mesh, place[1])[name]
            read = partial(self._frames, place, name)
            fields[name] = LazyArray((self.frames, *values.shape), values.dtype, read)
        static = {} if moves else dict(mesh.measures if place[1] else mesh.shares())
        units = {name: mesh.units[name] for name in names if name in mesh.units}
        return PointSet(coords, fields or own_field("position", coords), static, units)

    def _frames(self, place: Place, name: str | None, start: int, stop: int) -> np.ndarray:
        meshes = (self._at(frame)[place[0]] for frame in range(start, stop))
        if name is None:
            where = str(self._path)
            return np.stack([finite(where, mesh.centres if place[1] else mesh.points) for mesh in meshes])
        return np.stack([_data(mesh, place[1])[name] for mesh in meshes])

    def _at(self, frame: int) -> dict[str, Mesh]:
        if self._last is None or self._last[0] != frame:
            self._last = frame, self.read(frame)
        return self._last[1]


def _carriers(mesh: Mesh) -> list[bool]:
    """Whether points (False) and cells (True) carry something; points do if nothing else does."""
    return [cells for cells in (False, True) if _data(mesh, cells)] or [False]


def _data(mesh: Mesh, cells: bool) -> Mapping[str, np.ndarray]:
    return mesh.cell_data if cells else mesh.point_data


def agreed(numbers: Sequence[Mapping[str, float]]) -> tuple[dict[str, float], dict[str, str]]:
    """Numbers of the whole mesh that all blocks and times which have them agree on, and why the others are left out."""
    found: dict[str, set[float]] = {}
    for some in numbers:
        for name, value in some.items():
            found.setdefault(name, set()).add(value)
    params = {name: values.pop() for name, values in found.items() if len(values) == 1}
    return params, {name: "another number in each block or frame" for name in found if name not in params}


def leaves_of(vtk: Any, data: Any) -> Iterator[tuple[str, Any]]:
    """The meshes of a composite that have points, each with a name that no other has."""
    taken: dict[str, int] = {}
    for name, leaf in _named_leaves(vtk, data):
        if leaf is None or not leaf.IsA("vtkDataSet") or not leaf.GetNumberOfPoints():
            continue
        name = re.sub(r"[^A-Za-z0-9_.+-]", "_", name or "block").lstrip(".+-") or "block"
        taken[name] = taken.get(name, 0) + 1
        yield name if taken[name] == 1 else f"{name}_{taken[name]}", leaf


def _named_leaves(vtk: Any, data: Any) -> Iterator[tuple[str, Any]]:
    key = vtk.vtkCompositeDataSet.NAME()
    if data.IsA("vtkPartitionedDataSetCollection"):  # whose partitions have their set's name
        for number in range(data.GetNumberOfPartitionedDataSets()):
            held = data.GetMetaData(number) if data.HasMetaData(number) else None
            name = held.Get(key) if held is not None and held.Has(key) else ""
            for part in range(data.GetNumberOfPartitions(number)):
                yield name, data.GetPartition(number, part)
        return
    iterator = data.NewIterator()
    iterator.SkipEmptyNodesOn()
    iterator.InitTraversal()
    while not iterator.IsDoneWithTraversal():
        held = iterator.GetCurrentMetaData() if iterator.HasCurrentMetaData() else None
        yield held.Get(key) if held is not None and held.Has(key) else "", iterator.GetCurrentDataObject()
        iterator.GoToNextItem()
