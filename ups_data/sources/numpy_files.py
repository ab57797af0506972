"""NumPy's `.npy` and `.npz` files, laid out as this project's fields are.

A field has the axes `(n_traj, T, *grid, C)`, or `(n_traj, T, N, C)` on points. **The last axis is always channels**,
the first always trajectories, the second always time, also where their length is 1: an array of fewer than four axes
is never a field. Write `a[..., None]` for a single channel and `a[:, None]` for static fields.
"""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import AXIS_NAMES, number_keys
from ups_data.sources.content import Content
from ups_data.sources.lazy import LazyArray
from ups_data.sources.numpy_members import Member, map_npy, open_npz
from ups_data.trajectory import Axis, Trajectory

RESERVED = ("time", "coords", *AXIS_NAMES)


class NpySource:
    """A `.npy` file of `(n_traj, T, *grid, C)`: one field, `data`. The file is mapped, not read.

    Raises:
        UpsDataError: fewer than four axes or more than six, a truncated file, or Python objects in it.
    """

    format = "npy"

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._fields: dict[str, Member] = {"data": map_npy(self._path)}
        self._time: np.ndarray | None = None
        self._axes: tuple[Axis, ...] | None = None
        self._coords: Member | None = None
        self._params: dict[str, np.ndarray] = {}
        self._check_fields()

    @staticmethod
    def recognises(content: Content) -> bool:
        return content.kind == "npy"

    def __len__(self) -> int:
        return next(iter(self._fields.values())).shape[0]

    def __iter__(self) -> Iterator[Trajectory]:
        for number, key in enumerate(number_keys(len(self))):
            yield Trajectory(
                key=key,
                source=str(self._path),
                fields={
                    name: LazyArray(member.shape[1:], member.dtype, partial(member.rows, number))
                    for name, member in self._fields.items()
                },
                time=self._time,
                params={name: float(values[number]) for name, values in self._params.items()},
                axes=self._axes,
                coords=self._positions(number),
            )

    def splits(self) -> list[str | None]:
        return [None] * len(self)

    def _positions(self, number: int) -> np.ndarray | None:
        if self._coords is None or len(self._coords.shape) == 2:
            return None if self._coords is None else self._coords.whole()
        return np.array(self._coords.rows(number, 0, self._coords.shape[1]))

    def _check_fields(self) -> None:
        for name, member in self._fields.items():
            if not 4 <= len(member.shape) <= 6:
                raise UpsDataError(
                    f"{self._path}: {name} has shape {member.shape}; a field is (trajectories, time, 1 to 3 of space, "
                    "channels), the last axis always channels: add the missing axes, e.g. array[..., None]"
                )
        for (first, a), (name, b) in pairwise(self._fields.items()):
            if a.shape[:-1] != b.shape[:-1]:
                raise UpsDataError(
                    f"{self._path}: {name} has shape {b.shape}, {first} has {a.shape}: the fields of a file may differ "
                    "in channels only, save the others to a file of their own"
                )


class NpzSource(NpySource):
    """A `.npz` archive with one array per field, read by slices; a compressed one is best read in order.

    Beside the fields it may hold

    - `time` (T,);
    - `coords` (N, d) or (n_traj, N, d): the fields are on points and have the axes (n_traj, T, N, C);
    - `x` [, `y` [, `z`]], one for each axis of the grid, in physical units. As everywhere in this project, x runs
      along the *last* axis of the grid, (…, z, y, x); where the lengths fit only the other way round, x is the first;
    - any other array of shape () or (n_traj,): a parameter.

    Raises:
        UpsDataError: as NpySource, and an array that is none of these.
    """

    format = "npz"

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        members = open_npz(self._path)
        named = {name: member for name, member in members.items() if name not in RESERVED}
        self._fields = {name: member for name, member in named.items() if len(member.shape) > 1}
        if not self._fields:
            raise UpsDataError(
                f"{self._path}: holds {', '.join(members) or 'nothing'}, none of them a field: "
                "add one of shape (trajectories, time, space …, channels)"
            )
        self._check_fields()
        self._params = {
            name: self._parameter(name, member.whole()) for name, member in named.items() if name not in self._fields
        }
        self._time = self._read_time(members.get("time"))
        self._coords = members.get("coords")
        self._axes = self._read_axes({name: members[name].whole() for name in AXIS_NAMES if name in members})

    @staticmethod
    def recognises(content: Content) -> bool:
        return content.kind == "npz"

    @property
    def _shape(self) -> tuple[int, ...]:
        return next(iter(self._fields.values())).shape

    def _parameter(self, name: str, values: np.ndarray) -> np.ndarray:
        if values.shape not in ((), (len(self),)):
            raise UpsDataError(
                f"{self._path}: {name} has shape {values.shape}; a parameter is one number or one for each of the "
                f"{len(self)} trajectories, a field has at least four axes: correct or remove it"
            )
        return np.broadcast_to(values, (len(self),))

    def _read_time(self, member: Member | None) -> np.ndarray | None:
        if member is not None and member.shape != (self._shape[1],):
            raise UpsDataError(
                f"{self._path}: time has shape {member.shape}, the fields have {self._shape[1]} frames: "
                "give one time for each"
            )
        return None if member is None else member.whole()

    def _read_axes(self, given: dict[str, np.ndarray]) -> tuple[Axis, ...] | None:
        if self._coords is not None:
            self._check_coords(self._coords.shape, given)
            return None
        if not given:
            return None
        grid = self._shape[2:-1]
        lengths = {name: values.shape for name, values in given.items()}
        for order in (AXIS_NAMES[len(grid) - 1 :: -1], AXIS_NAMES[: len(grid)]):
            if [lengths.get(name) for name in order] == [(n,) for n in grid] and len(given) == len(grid):
                return tuple(Axis(name, given[name]) for name in order)
        found = ", ".join(f"{name} has shape {shape}" for name, shape in lengths.items())
        raise UpsDataError(
            f"{self._path}: {found}, which does not fit the grid {grid} of the fields: "
            "give one 1-D axis for each, x along the last"
        )

    def _check_coords(self, shape: tuple[int, ...], axes: dict[str, np.ndarray]) -> None:
        count, points = self._shape[0], self._shape[2]
        if len(self._shape) != 4 or shape[:-1] not in ((points,), (count, points)):
            raise UpsDataError(
                f"{self._path}: coords has shape {shape}, the fields have {self._shape}; on points the fields are "
                "(trajectories, time, N, channels) and coords (N, d) or (trajectories, N, d): correct one of them"
            )
        if axes:
            raise UpsDataError(
                f"{self._path}: holds coords and {', '.join(axes)}: remove coords for a grid, else the axes"
            )
