"""Parts of runs, each a trajectory of its split, and the source that they make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ups_data.conversion.splitting.cutting.regions import Region, cut_region
from ups_data.schema.trajectories import window_key
from ups_data.sources import LazyArray, Source
from ups_data.trajectory import ArrayLike, Trajectory


@dataclass(frozen=True)
class Part:
    """A trajectory of a split.

    Attributes:
        number: of the run in the source.
        frames: first, and one after the last; None: all.
        region: where its points lie; None: everywhere.
    """

    number: int
    split: str
    frames: tuple[int, int] | None = None
    region: Region | None = None

    def key(self, run: str) -> str:
        """What the part of a run of that key is called."""
        if self.frames is not None:
            return window_key(run, *self.frames)
        return run if self.region is None else f"{run}@{self.split}"


class PartsSource(Source):
    """Parts of another source's runs, read as they are asked for."""

    def __init__(self, source: Source, parts: Sequence[Part]) -> None:
        super().__init__(source.path, source.options)
        self.format, self._source, self._parts = source.format, source, parts
        self._opened: tuple[int, Trajectory] | None = None  # the last run: its parts follow one another

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, number: int, /) -> Trajectory:
        part = self._parts[number]
        if self._opened is None or self._opened[0] != part.number:
            self._opened = None
            self._opened = part.number, self._source[part.number]
        return cut(self._opened[1], part)

    def splits(self) -> list[str | None]:
        """See `Source.splits`: the parts' own."""
        return [part.split for part in self._parts]


def cut(run: Trajectory, part: Part) -> Trajectory:
    """The part of a run; its fields are read when they are sliced.

    Raises:
        UpsDataError: the region holds no points, or points move.
    """
    found = replace(run, key=part.key(run.key), split=part.split)
    if part.frames is not None:
        found = cut_frames(found, *part.frames)
    return found if part.region is None else cut_region(found, part.region)


def cut_frames(run: Trajectory, start: int, stop: int) -> Trajectory:
    """Some consecutive frames of a run; times stay as they are."""
    sets = {
        name: replace(
            s,
            coords=_cut_coords(s.coords, start, stop),
            fields=_cut_all(s.fields, start, stop),
            mask=_cut_mask(s.mask, 1, start, stop),
        )
        for name, s in run.sets.items()
    }
    return replace(
        run,
        fields=_cut_all(run.fields, start, stop),
        time=None if run.time is None else run.time[start:stop],
        coords=None if run.coords is None else _cut_coords(run.coords, start, stop),
        mask=_cut_mask(run.mask, max((len(a.shape) - 2 for a in run.fields.values()), default=0), start, stop),
        sets=sets,
    )


def frames_of(run: Trajectory) -> int:
    """T, the frames of a run; 0 if it has no fields in time."""
    fields = [a for given in (run.fields, *(s.fields for s in run.sets.values())) for a in given.values()]
    return fields[0].shape[0] if fields else 0


def _cut_all(arrays: Mapping[str, ArrayLike], start: int, stop: int) -> dict[str, ArrayLike]:
    return {name: _cut(array, start, stop) for name, array in arrays.items()}


def _cut_coords(coords: ArrayLike, start: int, stop: int) -> ArrayLike:
    return _cut(coords, start, stop) if len(coords.shape) == 3 else coords


def _cut_mask(mask: ArrayLike | None, axes: int, start: int, stop: int) -> ArrayLike | None:
    """Of so many axes of points, or with one of time before them."""
    return mask if mask is None or len(mask.shape) == axes else _cut(mask, start, stop)


def _cut(array: ArrayLike, start: int, stop: int) -> ArrayLike:
    return LazyArray((stop - start, *array.shape[1:]), array.dtype, partial(_read, array, start))


def _read(array: ArrayLike, first: int, start: int, stop: int) -> np.ndarray:
    return array[first + start : first + stop]
