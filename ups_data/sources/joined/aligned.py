"""Grids whose axes run the other way than the first trajectory's are turned, so that all run the same way."""

from dataclasses import replace
from functools import partial

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.sources.lazy import LazyArray
from ups_data.trajectory import ArrayLike, Axis, Trajectory


class AlignedSource(Source):
    """Another source, each axis in the direction that it has in the first trajectory: latitudes of one file run from
    south to north, those of another from north to south."""

    def __init__(self, source: Source) -> None:
        super().__init__(source.path, source.options)
        self.format, self._source = source.format, source
        self._first: tuple[Trajectory] | None = None

    def __len__(self) -> int:
        return len(self._source)

    def splits(self) -> list[str | None]:
        """As the source itself."""
        return self._source.splits()

    def __getitem__(self, number: int, /) -> Trajectory:
        t = self._source[number]
        return t if t.axes is None else turned_like(self._first_grid(t), t)

    def _first_grid(self, otherwise: Trajectory) -> Trajectory:
        """The first trajectory that can be opened; it keeps its axes, whose fields are not read."""
        if self._first is None:
            for number in range(len(self._source)):
                try:
                    self._first = (self._source[number],)
                    break
                except UpsDataError:  # it says so when it is reached
                    continue
        return self._first[0] if self._first is not None else otherwise


def turned_like(first: Trajectory, t: Trajectory) -> Trajectory:
    """The trajectory with those axes turned that run the other way; fields are turned as they are read."""
    if first.axes is None or t.axes is None or [a.name for a in first.axes] != [a.name for a in t.axes]:
        return t
    turned = tuple(
        place
        for place, (a, b) in enumerate(zip(first.axes, t.axes, strict=True))
        if not same_values(a.coordinates, b.coordinates) and same_values(a.coordinates, b.coordinates[::-1])
    )
    if not turned:
        return t
    return replace(
        t,
        axes=tuple(_turned_axis(a) if n in turned else a for n, a in enumerate(t.axes)),
        fields={name: _turned(a, turned, lead=1) for name, a in t.fields.items()},
        static={name: _turned(a, turned, lead=0) for name, a in t.static.items()},
        mask=None if t.mask is None else _turned(t.mask, turned, lead=len(t.mask.shape) - len(t.axes)),
    )


def same_values(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two axes are the same but for rounding: by less than a millionth of the smallest step."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        return False
    step = np.abs(np.diff(a)).min() if a.size > 1 else 0.0
    return bool(np.abs(a - b).max(initial=0) <= 1e-6 * step)


def _turned_axis(axis: Axis) -> Axis:
    return replace(axis, coordinates=np.asarray(axis.coordinates)[::-1])


def _turned(array: ArrayLike, axes: tuple[int, ...], lead: int) -> LazyArray:
    return LazyArray(array.shape, array.dtype, partial(_read, array, axes, lead))


def _read(array: ArrayLike, axes: tuple[int, ...], lead: int, start: int, stop: int) -> np.ndarray:
    places = tuple(axis + lead for axis in axes)
    rows = array.shape[0]
    values = array[rows - stop : rows - start] if 0 in places else array[start:stop]
    return np.flip(values, places)
