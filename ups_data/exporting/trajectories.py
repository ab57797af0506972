"""A dataset's trajectories as those of a source: frames are read when they are asked for."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from ups_data.schema import FieldSpec, Manifest
from ups_data.store.masks.counted import with_holes
from ups_data.store.object_store import ObjectStore
from ups_data.store.shard import Shard
from ups_data.trajectory import ArrayLike, Axis, PointSet, Trajectory


class Rows:
    """An array of which a row is read at a time.

    Args:
        read: number → that row.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, read: Callable[[int], np.ndarray]) -> None:
        self.shape, self.dtype, self._read = shape, dtype, read

    def __getitem__(self, key: Any, /) -> np.ndarray:
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if isinstance(first, slice):
            return np.stack([self._read(n) for n in range(self.shape[0])[first]])[(slice(None), *rest)]
        return self._read(range(self.shape[0])[first])[rest]


def trajectories_of(store: ObjectStore, manifest: Manifest, split: str) -> Iterator[Trajectory]:
    """All of a split, in order. Their keys are their numbers.

    Raises:
        UpsDataError: a shard is damaged, now, or later where its frames are read.
    """
    number = 0
    for spec in manifest.split(split).shards:
        shard = Shard(store, manifest, spec)
        for row in range(len(spec.steps)):
            yield _trajectory(shard, manifest, split, row, f"{number:06d}", str(store))
            number += 1


def axes_of(manifest: Manifest) -> tuple[Axis, ...] | None:
    """A grid's axes in the order of the array, in physical units."""
    if manifest.grid is None:
        return None
    return tuple(Axis(a.name, np.asarray(a.physical), a.units, a.periodic) for a in manifest.grid.axes)


def _trajectory(shard: Shard, manifest: Manifest, split: str, row: int, key: str, source: str) -> Trajectory:
    first = shard.first_row(row)
    common: dict[str, Any] = {
        "key": key,
        "source": source,
        "split": split,
        "time": shard.time[first : first + shard.steps[row]],
        "params": dict(zip(manifest.params, shard.params[row].tolist(), strict=True)),
        "time_units": manifest.time_units,
    }
    if manifest.sets is None:
        coords = None if manifest.grid is not None else _coords(shard, manifest, None, row)
        fields, static = _fields(shard, manifest, None, row)
        units = _units(manifest.fields)
        return Trajectory(fields=fields, static=static, coords=coords, axes=axes_of(manifest), units=units, **common)
    sets = {}
    for name in manifest.sets:
        fields, static = _fields(shard, manifest, name, row)
        units = _units([spec for spec in manifest.fields if spec.point_set == name])
        sets[name] = PointSet(_coords(shard, manifest, name, row), fields, static, units)
    return Trajectory(fields={}, sets=sets, **common)


def _fields(
    shard: Shard, manifest: Manifest, set_name: str | None, row: int
) -> tuple[Mapping[str, ArrayLike], Mapping[str, ArrayLike]]:
    """Those in time, and those without."""
    fields: dict[str, ArrayLike] = {}
    static: dict[str, ArrayLike] = {}
    shape = manifest.grid.shape if manifest.grid is not None else (shard.num_points(set_name, row),)
    for spec in manifest.fields:
        if spec.point_set != set_name:
            continue
        whole = (*shape, spec.channels)
        if spec.static:
            static[spec.name] = _frame(shard, spec, row, whole, 0)
        else:
            read = partial(_frame, shard, spec, row, whole)
            fields[spec.name] = Rows((shard.steps[row], *whole), np.dtype(spec.dtype), read)
    return fields, static


def _frame(shard: Shard, spec: FieldSpec, row: int, shape: tuple[int, ...], step: int) -> np.ndarray:
    return with_holes(shard, spec, row, step).reshape(shape)


def _coords(shard: Shard, manifest: Manifest, set_name: str | None, row: int) -> ArrayLike:
    spec = manifest.point_set(set_name)
    read = partial(_positions, shard, set_name, row, spec.origin)
    if not spec.moving:
        return read(0)
    dtype = np.dtype(np.float32 if spec.origin is None else np.float64)
    return Rows((shard.steps[row], shard.num_points(set_name, row), spec.dim), dtype, read)


def _positions(shard: Shard, set_name: str | None, row: int, origin: list[float] | None, step: int) -> np.ndarray:
    at = shard.positions(set_name, row, step)
    return at if origin is None else at + np.asarray(origin)


def _units(fields: list[FieldSpec]) -> dict[str, str]:
    return {spec.name: spec.units for spec in fields if spec.units is not None}
