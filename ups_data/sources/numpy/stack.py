"""NumPy arrays whose first axis is trajectories and whose second is time."""

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import AXIS_NAMES, Source, number_key
from ups_data.sources.lazy import LazyArray
from ups_data.sources.numpy.members import Member
from ups_data.sources.positions import are_positions, coordinates_among, finite, finite_frames
from ups_data.trajectory import ArrayLike, Axis, Trajectory


class Stack(Source):
    """Trajectories of as many frames and points each: fields `(n_traj, T, *grid, C)` or `(n_traj, T, N, C)`.

    Raises:
        UpsDataError: a field has fewer than four axes or more than six, or the fields differ in more than channels.
    """

    def __init__(self, path: Path, format: str, fields: dict[str, Member]) -> None:
        super().__init__(path)
        self.format, self._fields = format, fields
        self._check_fields()
        self.time: np.ndarray | None = None
        self.axes: tuple[Axis, ...] | None = None
        self.coords: tuple[str, Member] | None = None
        self.params: dict[str, np.ndarray] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """The fields', but for their channels."""
        return next(iter(self._fields.values())).shape[:-1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, number: int, /) -> Trajectory:
        return Trajectory(
            key=number_key(number, len(self)),
            source=str(self.path),
            fields={
                name: LazyArray(member.shape[1:], member.dtype, partial(member.rows, number))
                for name, member in self._fields.items()
            },
            time=self.time,
            params={name: float(values[number]) for name, values in self.params.items()},
            axes=self.axes,
            coords=self._positions(number),
        )

    def _positions(self, number: int) -> ArrayLike | None:
        if self.coords is None:
            return None
        name, member = self.coords
        where = f"{self.path}: {name}"
        if len(member.shape) == 2:
            return finite(where, member.whole())
        lazy = LazyArray(member.shape[1:], member.dtype, partial(member.rows, number))
        where = f"{where} of trajectory {number}"
        return finite_frames(where, lazy) if lazy.ndim == 3 else finite(where, lazy[:])

    def _check_fields(self) -> None:
        for name, member in self._fields.items():
            if not 4 <= len(member.shape) <= 6:
                raise UpsDataError(
                    f"{self.path}: {name} has shape {member.shape}; a field is (trajectories, time, 1 to 3 of space, "
                    "channels), the last axis always channels: add the missing axes, e.g. array[..., None]"
                )
        for (first, a), (name, b) in pairwise(self._fields.items()):
            if a.shape[:-1] != b.shape[:-1]:
                raise UpsDataError(
                    f"{self.path}: {name} has shape {b.shape}, {first} has {a.shape}: the fields of a file may differ "
                    "in channels only, save the others to a file of their own"
                )


def stack_of(path: Path, members: Mapping[str, Member]) -> Stack:
    """The arrays of an archive as trajectories. Beside the fields it may hold

    - `time` (T,);
    - `coords` (or another name of COORDINATES) (N, d), (n_traj, N, d), or (n_traj, T, N, d) where points move: the
      fields are on points and have the axes (n_traj, T, N, C);
    - `x` [, `y` [, `z`]], one for each axis of the grid, in physical units. As everywhere in this project, x runs
      along the *last* axis of the grid, (…, z, y, x); where the lengths fit only the other way round, x is the first;
    - any other array of shape () or (n_traj,): a parameter.

    Raises:
        UpsDataError: as Stack, and an array that is none of these.
    """
    coordinates = coordinates_among(path, members)
    named = {name: m for name, m in members.items() if name not in ("time", coordinates, *AXIS_NAMES)}
    fields = {name: member for name, member in named.items() if len(member.shape) > 1}
    if not fields:
        raise UpsDataError(
            f"{path}: holds {', '.join(members) or 'nothing'}, none of them a field: "
            "add one of shape (trajectories, time, space …, channels)"
        )
    stack = Stack(path, "npz", fields)
    stack.params = {
        name: _parameter(path, stack, name, member.whole()) for name, member in named.items() if name not in fields
    }
    if "time" in members:
        stack.time = _times(path, stack, members["time"])
    axes = {name: members[name].whole() for name in AXIS_NAMES if name in members}
    if coordinates is not None:
        _check_coords(path, stack, coordinates, members[coordinates].shape, axes)
        stack.coords = (coordinates, members[coordinates])
    elif axes:
        stack.axes = _axes(path, stack, axes)
    return stack


def _parameter(path: Path, stack: Stack, name: str, values: np.ndarray) -> np.ndarray:
    if values.shape not in ((), (len(stack),)):
        raise UpsDataError(
            f"{path}: {name} has shape {values.shape}; a parameter is one number or one for each of the "
            f"{len(stack)} trajectories, a field has at least four axes: correct or remove it"
        )
    return np.broadcast_to(values, (len(stack),))


def _times(path: Path, stack: Stack, member: Member) -> np.ndarray:
    if member.shape != (stack.shape[1],):
        raise UpsDataError(
            f"{path}: time has shape {member.shape}, the fields have {stack.shape[1]} frames: give one time for each"
        )
    return member.whole()


def _axes(path: Path, stack: Stack, given: dict[str, np.ndarray]) -> tuple[Axis, ...]:
    grid = stack.shape[2:]
    lengths = {name: values.shape for name, values in given.items()}
    for order in (AXIS_NAMES[len(grid) - 1 :: -1], AXIS_NAMES[: len(grid)]):
        if [lengths.get(name) for name in order] == [(n,) for n in grid] and len(given) == len(grid):
            return tuple(Axis(name, given[name]) for name in order)
    found = ", ".join(f"{name} has shape {shape}" for name, shape in lengths.items())
    raise UpsDataError(
        f"{path}: {found}, which does not fit the grid {grid} of the fields: "
        "give one 1-D axis for each, x along the last"
    )


def _check_coords(path: Path, stack: Stack, name: str, shape: tuple[int, ...], axes: Mapping[str, np.ndarray]) -> None:
    count, frames, points = stack.shape[:3]
    leads = ((points,), (count, points), (count, frames, points))
    if len(stack.shape) != 3 or shape[:-1] not in leads or not are_positions(shape, lead=(1, 2, 3)):
        raise UpsDataError(
            f"{path}: {name} has shape {shape}, the fields have {(*stack.shape, 'C')}; on points the fields are "
            "(trajectories, time, N, channels) and coordinates (N, d), (trajectories, N, d) or "
            "(trajectories, time, N, d): correct one of them"
        )
    if axes:
        raise UpsDataError(f"{path}: holds {name} and {', '.join(axes)}: remove {name} for a grid, else the axes")
