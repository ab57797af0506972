"""A run in many files: their frames one after another, after a check that none is missing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from os.path import realpath
from pathlib import Path

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source, number_key
from ups_data.sources.joined.aligned import same_values, turned_like
from ups_data.sources.lazy import LazyArray
from ups_data.sources.netcdf.times import SECONDS, seconds_between
from ups_data.trajectory import ArrayLike, PointSet, Trajectory

# A step between two files may be as many times the longest step within them: months differ, a missing file does not.
GAP = 1.5


class ConcatSource(Source):
    """The files of a folder as one run, or as many runs as each file holds trajectories.

    Files are put in order of their first times; what has no time, parameters and axes must be the same in all of them.

    Raises:
        UpsDataError: when a trajectory is opened, a file has no times, frames overlap or are missing between two files,
            or two files differ in more than time.
    """

    def __init__(self, path: Path, files: Sequence[Path], open_file: Callable[[Path], Source]) -> None:
        super().__init__(path)
        self._files, self._open_file = list(files), open_file
        sources = [open_file(file) for file in self._files]
        self.format = sources[0].format
        self._count = len(sources[0])
        for file, source in zip(self._files, sources, strict=True):
            if (source.format, len(source)) != (self.format, self._count):
                raise UpsDataError(
                    f"{file}: has {len(source)} trajectories as {source.format}, {self._files[0].name} has "
                    f"{self._count} as {self.format}: files of one run hold the same trajectories, each for a time"
                )
        self._sources = sources

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int, /) -> Trajectory:
        parts = [(file, source[number]) for file, source in zip(self._files, self._sources, strict=True)]
        for file, part in parts:
            if part.time is None:
                raise UpsDataError(f"{file}: has no times: files are joined by their times, add a coordinate of time")
        first = parts[0][1]
        moved = [self._moved(file, part, first) for file, part in parts]
        order = sorted(range(len(parts)), key=lambda n: float(moved[n][0]))
        files = [parts[n][0] for n in order]
        runs = [turned_like(parts[order[0]][1], parts[n][1]) for n in order]
        zero = 0.0 if runs[0].start is None else moved[order[0]][0] - _times(runs[0])[0] * _factor(runs[0], first)
        times = [moved[n] - zero for n in order]
        _check_seams(files, times, first.time_units)
        for file, run in zip(files[1:], runs[1:], strict=True):
            _check_alike(files[0], runs[0], file, run)
        key = Path(realpath(self.path)).name
        return replace(
            runs[0],
            key=key if self._count == 1 else f"{key}.{number_key(number, self._count)}",
            source=str(self.path),
            time=np.concatenate(times),
            time_units=first.time_units,
            fields=_joined([run.fields for run in runs]),
            coords=_joined_coords([run.coords for run in runs]),
            sets=_joined_sets([run.sets for run in runs]),
            missing=sorted({name for run in runs for name in run.missing}),
            left_out={name: reason for run in runs for name, reason in run.left_out.items()},
        )

    def _moved(self, file: Path, part: Trajectory, first: Trajectory) -> np.ndarray:
        """A file's times, in the first file's unit and from its time zero on."""
        units = (part.time_units, first.time_units)
        known = units[0] == units[1] or all(unit in SECONDS for unit in units)
        if not known or (part.start is None, part.calendar) != (first.start is None, first.calendar):
            raise UpsDataError(
                f"{self._files[0]}: counts time in {_unit(first)}, {file.name} in {_unit(part)}: give all files times "
                "of one kind"
            )
        times = _times(part) * _factor(part, first)
        if part.start is None or first.start is None:
            return times
        seconds = seconds_between(first.start, part.start, part.calendar or "standard")
        return times + seconds / SECONDS[first.time_units or "seconds"]


def _factor(part: Trajectory, first: Trajectory) -> float:
    if part.time_units == first.time_units or part.time_units is None or first.time_units is None:
        return 1.0
    return SECONDS[part.time_units] / SECONDS[first.time_units]


def _unit(run: Trajectory) -> str:
    since = "" if run.start is None else f" since a date, calendar {run.calendar}"
    return f"{run.time_units or 'no unit'}{since}"


def _times(run: Trajectory) -> np.ndarray:
    return np.asarray(run.time, np.float64)


def _check_seams(files: Sequence[Path], times: Sequence[np.ndarray], unit: str | None) -> None:
    within = [step for values in times for step in np.diff(values).tolist()]
    seams = [float(b[0] - a[-1]) for a, b in pairwise(times)]
    usual = max(within) if within else float(np.median(seams)) if seams else 0.0
    for place, step in enumerate(seams):
        between = f"{files[place].name} and {files[place + 1].name}"
        if step <= 0:
            raise UpsDataError(
                f"{files[place + 1].parent}: {between} overlap in time, {times[place + 1][0]:.10g} follows "
                f"{times[place][-1]:.10g}: keep each frame once"
            )
        if step > GAP * usual:
            raise UpsDataError(
                f"{files[place + 1].parent}: a gap of {step:.10g} {unit or ''} between {between}, frames are "
                f"{usual:.10g} apart: add the missing files, or convert what lies before and after it apart"
            )


def _check_alike(first_file: Path, first: Trajectory, file: Path, run: Trajectory) -> None:
    kinds = [{n: (a.shape[1:], n in r.fields) for n, a in _all_fields(r).items()} for r in (first, run)]
    if kinds[0] != kinds[1]:
        raise UpsDataError(
            f"{file}: has the fields {_listed(kinds[1])}, {first_file.name} has {_listed(kinds[0])}: files of one run "
            "have the same"
        )
    if dict(first.params) != dict(run.params):
        raise UpsDataError(f"{file}: has the parameters {dict(run.params)}, {first_file.name} {dict(first.params)}")
    if (first.axes is None) != (run.axes is None) or any(
        a.name != b.name or not same_values(a.coordinates, b.coordinates)
        for a, b in zip(first.axes or (), run.axes or (), strict=False)
    ):
        raise UpsDataError(f"{file}: has another grid than {first_file.name}: files of one run have the same")
    for name, array in _static(first).items():
        if name.startswith("coordinates") and _may_move(first, run):
            continue
        if not np.array_equal(array[:], _static(run)[name][:], equal_nan=True):
            raise UpsDataError(f"{file}: {name} has no time and differs from {first_file.name}: leave it out")


def _listed(kinds: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in kinds.items())


def _all_fields(run: Trajectory) -> dict[str, ArrayLike]:
    return {**run.fields, **{n: a for points in run.sets.values() for n, a in points.fields.items()}}


def _static(run: Trajectory) -> dict[str, ArrayLike]:
    found = {**run.static, **{n: a for points in run.sets.values() for n, a in points.static.items()}}
    still = {"coordinates": run.coords} | {f"coordinates of {n}": points.coords for n, points in run.sets.items()}
    return found | {name: coords for name, coords in still.items() if coords is not None and len(coords.shape) == 2}


def _joined(parts: Sequence[Mapping[str, ArrayLike]]) -> dict[str, ArrayLike]:
    return {name: joined([part[name] for part in parts]) for name in parts[0]}


def _may_move(first: Trajectory, run: Trajectory) -> bool:
    """Whether both are one frame of as many points, so that points of a series may move."""
    shapes = [{n: a.shape for n, a in _static(r).items() if n.startswith("coordinates")} for r in (first, run)]
    return shapes[0] == shapes[1] and all(a.shape[0] == 1 for r in (first, run) for a in _all_fields(r).values())


def _joined_coords(parts: Sequence[ArrayLike | None]) -> ArrayLike | None:
    given = [part for part in parts if part is not None]
    if not given:
        return None
    if len(given[0].shape) == 3:
        return joined(given)
    still = all(np.array_equal(part[:], given[0][:]) for part in given[1:])
    return given[0] if still else joined([np.asarray(part[:])[None] for part in given])


def _joined_sets(parts: Sequence[Mapping[str, PointSet]]) -> dict[str, PointSet]:
    found = {}
    for name, points in parts[0].items():
        coords = _joined_coords([part[name].coords for part in parts])
        assert coords is not None
        found[name] = replace(points, coords=coords, fields=_joined([part[name].fields for part in parts]))
    return found


def joined(arrays: Sequence[ArrayLike]) -> LazyArray:
    """Arrays (T, …) one after another, each read when it is reached; types that differ become their common one."""
    ends = np.cumsum([0, *(array.shape[0] for array in arrays)])
    dtype = np.result_type(*(array.dtype for array in arrays))
    return LazyArray((int(ends[-1]), *arrays[0].shape[1:]), dtype, partial(_read, tuple(arrays), ends))


def _read(arrays: Sequence[ArrayLike], ends: np.ndarray, start: int, stop: int) -> np.ndarray:
    pieces = []
    for array, low, high in zip(arrays, ends, ends[1:], strict=False):
        a, b = max(start, int(low)), min(stop, int(high))
        if a < b:
            pieces.append(array[a - int(low) : b - int(low)])
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
