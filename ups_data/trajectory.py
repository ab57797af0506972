"""A trajectory as readers of raw simulations yield it and as shards are written from it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


class ArrayLike(Protocol):
    """An array that may still lie in a file: `frames[a:b]` reads only those frames."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> np.dtype:
        """Type of the values."""

    def __getitem__(self, key: Any, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Axis:
    """One axis of a regular grid, as the source has it.

    Attributes:
        coordinates: `(n,)` in physical units, ascending or descending.
        units: of the coordinates, such as "m"; None: the source does not say.
        periodic: whether the last point is a neighbour of the first; None: the source does not say.
    """

    name: str
    coordinates: np.ndarray
    units: str | None = None
    periodic: bool | None = None


@dataclass(frozen=True)
class PointSet:
    """Points without a lattice (mesh vertices, particles, cell centres) and the fields on them.

    Attributes:
        coords: `(N, d)`, or `(T, N, d)` if the points move.
        fields: name → `(T, N, C)`.
        static: name → `(N, C)`: fields without time.
        units: name of a field → its units, if the source has them.
        mask: `(N,)`, or `(T, N)` if it changes: nonzero where a point counts; None: all do.
    """

    coords: ArrayLike
    fields: Mapping[str, ArrayLike]
    static: Mapping[str, ArrayLike] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    mask: ArrayLike | None = None


@dataclass(frozen=True)
class Trajectory:
    """One run of a simulation. Fields are read when they are sliced, not before.

    Attributes:
        key: what the source calls the run.
        source: the file or folder, for messages.
        fields: name → `(T, *grid, C)`, or `(T, N, C)` with `coords`.
        static: name → `(*grid, C)` or `(N, C)`: fields without time.
        time: `(T,)`, the frames' times in the source's units; None: the source has no times.
        params: name → the run's parameter, the same names for every run.
        axes: the grid's axes in array order; None: the source has none.
        coords: `(N, d)` positions of points, or `(T, N, d)` if they move; None for a grid.
        sets: name → set of points, if a run has several (surface and volume); `fields`, `static` and `coords` are then
            empty. A field's name belongs to one set only.
        split: the split that the source itself assigns, or None.
        time_units: of `time`, where the source says; the same for all trajectories of a dataset.
        start: the date of time zero, where `time` is relative to it; in the calendar `calendar`, as CF names it.
        left_out: name of a variable of the source that is no field here → why.
        units: name of a field → its units, if the source has them.
        mask: `(*grid)` or `(N,)`, with T in front if it changes: nonzero where a point counts; None: all do.
        missing: names of fields whose NaN means, by the source's own word, that there is no value.
    """

    key: str
    source: str
    fields: Mapping[str, ArrayLike]
    static: Mapping[str, ArrayLike] = field(default_factory=dict)
    time: np.ndarray | None = None
    params: Mapping[str, float] = field(default_factory=dict)
    axes: tuple[Axis, ...] | None = None
    coords: ArrayLike | None = None
    sets: Mapping[str, PointSet] = field(default_factory=dict)
    split: str | None = None
    time_units: str | None = None
    start: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    calendar: str | None = None
    mask: ArrayLike | None = None
    missing: Collection[str] = ()
