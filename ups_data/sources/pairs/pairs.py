"""Fields over trajectories in a file of arrays, whatever their order of axes."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import AXIS_NAMES, Source, number_key
from ups_data.sources.lazy import LazyArray
from ups_data.sources.numpy.members import Member
from ups_data.sources.pairs.shapes import Form, grid_of
from ups_data.trajectory import Axis, Trajectory

TIMES = ("t", "time", "times", "tspan")


class Pairs(Source):
    """Inputs and outputs `x` and `y`, `a` and `u`, `coeff` and `sol`: arrays (N, …) over N trajectories.

    - Arrays of two and more axes are fields; see `grid_of` for what their axes are. With time in any of them, those
      without are static; without time all have one frame.
    - `t` (T) are times. A vector as long as an axis of the grid, named x, y or z, is its coordinates. A single number,
      or one for each trajectory, is a parameter. Others are left out by name.

    Raises:
        UpsDataError: no array can be a field, or their axes cannot be told.
    """

    def __init__(
        self, path: Path, format: str, members: Mapping[str, Member], left_out: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(path)
        self.format, self._members = format, dict(members)
        self._left_out = dict(left_out or {})
        fields = {name: m for name, m in members.items() if len([n for n in m.shape if n > 1]) > 1}
        if not fields:
            raise UpsDataError(
                f"{path}: holds {', '.join(members) or 'nothing'}, none of them a field: add one of shape "
                "(trajectories, space …)"
            )
        self._count = _most_common([m.shape[0] for m in fields.values()])
        self._left_out |= {
            name: f"has shape {m.shape}, not {self._count} trajectories"
            for name, m in fields.items()
            if m.shape[0] != self._count
        }
        fields = {name: m for name, m in fields.items() if m.shape[0] == self._count}
        times = next((name for name in TIMES if name in members and name not in fields), None)
        self._time = None if times is None else np.asarray(members[times].whole()).reshape(-1)
        frames = None if self._time is None else len(self._time)
        self._grid, self._forms = grid_of(path, {name: m.shape for name, m in fields.items()}, frames)
        self._fields = fields
        self._check_frames()
        self._params: dict[str, np.ndarray] = {}
        self._axes = self._sort_others({n: m for n, m in members.items() if n not in fields and n != times})

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int, /) -> Trajectory:
        in_time = any(form.time is not None for form in self._forms.values())
        arrays = {name: self._array(name, number, frame=not in_time) for name in self._fields}
        moving = {name for name, form in self._forms.items() if form.time is not None or not in_time}
        return Trajectory(
            key=number_key(number, len(self)),
            source=str(self.path),
            fields={name: array for name, array in arrays.items() if name in moving},
            static={name: array for name, array in arrays.items() if name not in moving},
            time=self._time if in_time else None,
            params={name: float(values[number]) for name, values in self._params.items()},
            axes=self._axes,
            left_out=self._left_out,
        )

    def _array(self, name: str, number: int, frame: bool) -> LazyArray:
        member, form = self._fields[name], self._forms[name]
        channels = 1 if form.channel is None else member.shape[1 + form.channel]
        shape = (*self._grid, channels)
        if form.time is not None:
            shape = (member.shape[1 + form.time], *shape)
        elif frame:
            shape = (1, *shape)
        return LazyArray(shape, member.dtype, partial(_read, member, form, number, frame))

    def _check_frames(self) -> None:
        lengths = {n: self._fields[n].shape[1 + f.time] for n, f in self._forms.items() if f.time is not None}
        if self._time is not None and lengths:
            lengths["the times"] = len(self._time)
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{name} has {n}" for name, n in lengths.items())
            raise UpsDataError(f"{self.path}: frames differ, {found}: give all that change in time as many")

    def _sort_others(self, others: Mapping[str, Member]) -> tuple[Axis, ...] | None:
        axes: dict[str, np.ndarray] = {}
        for name, member in others.items():
            if name in self._left_out:
                continue
            size = int(np.prod(member.shape))
            if name in AXIS_NAMES and size in self._grid and size > 1:
                axes[name] = np.asarray(member.whole()).reshape(-1)
            elif size in (1, self._count):
                self._params[name] = np.broadcast_to(np.asarray(member.whole()).reshape(-1), (self._count,))
            else:
                self._left_out[name] = f"has shape {member.shape}, neither a field nor a parameter"
        names = AXIS_NAMES[: len(self._grid)]
        for order in (names[::-1], names):  # x along the last axis, as everywhere here, if both fit
            if set(axes) == set(names) and all(
                len(axes[n]) == length for n, length in zip(order, self._grid, strict=True)
            ):
                return tuple(Axis(name, axes[name]) for name in order)
        self._left_out |= dict.fromkeys(axes, "is no coordinate of each point along one axis of the grid")
        return None


def _read(member: Member, form: Form, number: int, frame: bool, start: int, stop: int) -> np.ndarray:
    if (form.time == 0 or (form.time is None and form.channel != 0)) and not frame:
        return member.rows(number, start, stop)  # the first axis behind N is the one that is read by slices
    values = member.rows(number, 0, member.shape[1])
    if form.channel == 0:
        values = np.moveaxis(values, 0, -1)
    if form.time is not None:
        values = np.moveaxis(values, form.time, 0)
    return values if frame else values[start:stop]


def _most_common(lengths: list[int]) -> int:
    return max(lengths, key=lambda n: (lengths.count(n), n))
