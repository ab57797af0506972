"""Trajectories of a source as runs: whatever its reader raises is an error of the trajectory."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.schema import LeftOut
from ups_data.sources import Source
from ups_data.trajectory import ArrayLike, PointSet, Trajectory
from ups_data.writing.run import Run

# What differs each time that h5py says that a read failed.
_UNSTEADY = re.compile(r"0x[0-9a-f]+|(?<=time = )[^,]*|(?<=descriptor = )\d+")


def open_run(source: Source, number: int, path: Path) -> Run:
    """One trajectory of the source at `path`; its fields are read later.

    Raises:
        UpsDataError: it cannot be opened, now, or read, later.
    """
    run = open_trajectory(source, number, path)
    where = f"{run.source}: trajectory {run.key!r}"
    sets = {
        n: PointSet(
            _one(s.coords, where),
            _all(s.fields, where),
            _all(s.static, where),
            s.units,
            None if s.mask is None else _one(s.mask, where),
        )
        for n, s in run.sets.items()
    }
    coords = None if run.coords is None else _one(run.coords, where)
    fields, static = _all(run.fields, where), _all(run.static, where)
    times = (run.time_units, run.start)
    mask = None if run.mask is None else _one(run.mask, where)
    given = fields, static, run.time, dict(run.params), coords, sets, run.axes, run.key, run.source, run.units
    opened = Run(*given, *times, mask=mask, missing=run.missing)
    opened.left_out = run.left_out
    return opened


def open_trajectory(source: Source, number: int, path: Path) -> Trajectory:
    """One trajectory as the source has it.

    Raises:
        UpsDataError: it cannot be opened.
    """
    try:
        return source[number]
    except (UpsDataError, MemoryError):
        raise
    except Exception as error:  # what readers raise on damage that they do not know
        raise unreadable(f"{path}: trajectory number {number}", error) from error


def left_out(run: Run | None, number: int, path: Path, error: UpsDataError) -> LeftOut:
    """The entry of a trajectory that could not be stored; `run` is None where it could not be opened."""
    reason = _UNSTEADY.sub("…", str(error))
    if run is None:
        return LeftOut(key=f"number {number}", source=str(path), reason=reason)
    return LeftOut(key=run.key, source=run.source, reason=reason)


class Outline:
    """Shape and dtype of an array, without it."""

    def __init__(self, array: ArrayLike) -> None:
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, key: Any, /) -> np.ndarray:
        raise TypeError("an outline has no values")


def outline(run: Run) -> Run:
    """The run with outlines for its arrays, which may be large."""
    run.fields = {name: Outline(a) for name, a in run.fields.items()}
    run.static = {name: Outline(a) for name, a in run.static.items()}
    run.coords = {name: Outline(a) for name, a in run.coords.items()}
    run.masks = {}
    return run


class _Guarded:
    """An array that lies in a file; whatever reading it raises becomes an UpsDataError."""

    def __init__(self, array: ArrayLike, where: str) -> None:
        self._array, self._where = array, where
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, key: Any, /) -> np.ndarray:
        try:
            return self._array[key]
        except (UpsDataError, MemoryError):
            raise
        except Exception as error:
            raise unreadable(self._where, error) from error


def _one(array: ArrayLike, where: str) -> ArrayLike:
    return array if isinstance(array, np.ndarray) else _Guarded(array, where)


def _all(arrays: Mapping[str, ArrayLike], where: str) -> dict[str, ArrayLike]:
    return {name: _one(array, where) for name, array in arrays.items()}


def unreadable(where: str, error: Exception) -> UpsDataError:
    """The error of a trajectory or an array on which a reader failed."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return UpsDataError(f"{where} cannot be read ({reason}): repair it, or leave it out with --on-error skip")
