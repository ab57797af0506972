"""A trajectory as readers of raw simulations yield it and as shards are written from it."""

from collections.abc import Mapping
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
    """One axis of a regular grid, as the source has it."""

    name: str
    coordinates: np.ndarray  # (n,), physical units, ascending or descending
    units: str | None = None
    periodic: bool | None = None  # None: the source does not say


@dataclass(frozen=True)
class PointSet:
    """Points without a lattice (mesh vertices, particles, cell centres) and the fields on them.

    Attributes:
        coords: `(N, d)`, or `(T, N, d)` where the points move.
        fields: name → `(T, N, C)`.
        static: name → `(N, C)`: fields without time.
        units: name of a field → its units, where the source has them.
    """

    coords: ArrayLike
    fields: Mapping[str, ArrayLike]
    static: Mapping[str, ArrayLike] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trajectory:
    """One run of a simulation. Fields are read when they are sliced, not before.

    Attributes:
        fields: name → `(T, *grid, C)`, or `(T, N, C)` with `coords`.
        static: name → `(*grid, C)` or `(N, C)`: fields without time.
        time: `(T,)` in the source's units, or None.
        axes: the grid's axes in array order, or None.
        coords: `(N, d)` positions of points, `(T, N, d)` where they move, or None for a grid.
        sets: name → point set, where a run has several (surface and volume); `fields`, `static` and `coords` are then
            empty. Names of fields are unique over the sets.
        split: the split that the source itself assigns, or None.
        units: name of a field → its units, where the source has them.
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
    units: Mapping[str, str] = field(default_factory=dict)
