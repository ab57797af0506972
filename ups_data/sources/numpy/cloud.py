"""A `.npz` archive with the coordinates of points and what they carry: one trajectory."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.sources.lazy import LazyArray
from ups_data.sources.numpy.members import Member
from ups_data.sources.positions import are_positions, coordinates_among, finite, finite_frames, own_field
from ups_data.trajectory import ArrayLike, Trajectory


class Cloud(Source):
    """One trajectory of N points, the number of axes telling what an array is:

    - `coords` (or another name of COORDINATES): (N, d), or (T, N, d) where the points move;
    - (T, N, C): a field; (N, C) or (N,): a field of one frame, but static where anything else has T frames;
    - `time` (T,); any other single number: a parameter.

    Without a field the coordinates are the field. The trajectory's key is the file's name.

    Coordinates of three axes could as well be many clouds of one frame each, so they need `time` to be read as frames;
    clouds are stacked with all their axes, fields (trajectories, time, N, C).

    Raises:
        UpsDataError: an array fits none of these, or could be several of them; at iteration, coordinates of NaN.
    """

    format = "npz"

    def __init__(self, path: Path, members: Mapping[str, Member]) -> None:
        super().__init__(path)
        name = coordinates_among(path, members)
        assert name is not None, "recognised by its coordinates"
        self._name, self._coords = name, members[name]
        shape = self._coords.shape
        if not are_positions(shape):
            raise UpsDataError(
                f"{path}: {name} has shape {shape}; the coordinates of points are (N, d), or (T, N, d) with time, "
                "d of 1 to 3: correct them"
            )
        if len(shape) == 3 and "time" not in members:
            raise UpsDataError(
                f"{path}: {self._shapes(members)}: the first axis may be time or trajectories; add time "
                f"({shape[0]},) if points move, or give fields all their axes, (trajectories, time, N, channels)"
            )
        self._points = shape[-2]
        others = {n: m for n, m in members.items() if n not in (name, "time")}
        self._params = {n: m for n, m in others.items() if m.shape == () or (m.shape == (1,) and self._points != 1)}
        self._in_time = {n: m for n, m in others.items() if len(m.shape) == 3}
        self._still = {n: m for n, m in others.items() if n not in self._params and n not in self._in_time}
        self._check_points()
        self._check_frames(members)
        self._time = members["time"].whole() if "time" in members else None

    @staticmethod
    def fits(path: Path, members: Mapping[str, Member]) -> bool:
        """Whether an archive with these arrays is a cloud."""
        return coordinates_among(path, members) is not None and all(len(m.shape) <= 3 for m in members.values())

    def __len__(self) -> int:
        return 1

    def __getitem__(self, number: int, /) -> Trajectory:
        coords = self._positions()
        fields = {n: LazyArray(m.shape, m.dtype, m.part) for n, m in self._in_time.items()}
        moves = bool(fields) or len(self._coords.shape) == 3
        if not moves:
            for name, member in self._still.items():
                fields[name] = LazyArray((1, *_columns(member)), member.dtype, partial(_whole, member))
        return Trajectory(
            key=self.path.stem,
            source=str(self.path),
            fields=fields or own_field(self._name, coords),
            static={n: LazyArray(_columns(m), m.dtype, m.part) for n, m in self._still.items()} if moves else {},
            time=self._time,
            params={n: float(m.whole().reshape(())) for n, m in self._params.items()},
            coords=coords,
        )

    def _positions(self) -> ArrayLike:
        where = f"{self.path}: {self._name}"
        if len(self._coords.shape) == 2:
            return finite(where, self._coords.whole())
        return finite_frames(where, LazyArray(self._coords.shape, self._coords.dtype, self._coords.part))

    def _check_points(self) -> None:
        n = self._points
        for name, member in (self._in_time | self._still).items():
            shape = member.shape
            if (shape[1] if name in self._in_time else shape[0] if shape else None) != n:
                raise UpsDataError(
                    f"{self.path}: {name} has shape {shape}, {self._name} has {self._coords.shape}: a field on these "
                    f"{n} points is ({n},), ({n}, C) or (T, {n}, C), correct or remove it"
                )
            if shape == (n, n) and n > 1:
                raise UpsDataError(
                    f"{self.path}: {name} has shape {shape}, {self._name} has {self._coords.shape}: which axis is "
                    f"points cannot be told, write (1, {n}, {n}) for channels or ({n}, {n}, 1) for frames"
                )

    def _check_frames(self, members: Mapping[str, Member]) -> None:
        lengths = {name: member.shape[0] for name, member in self._in_time.items()}
        if len(self._coords.shape) == 3:
            lengths[self._name] = self._coords.shape[0]
        if not lengths:
            lengths = {self._name: 1}
        if "time" in members:
            time = members["time"].shape
            if len(time) != 1:
                raise UpsDataError(f"{self.path}: time has shape {time}: give one time for each frame, (T,)")
            lengths["time"] = time[0]
        if len(set(lengths.values())) > 1:
            raise UpsDataError(
                f"{self.path}: {self._shapes(members)}: as many frames are needed in all that change in time"
            )

    def _shapes(self, members: Mapping[str, Member]) -> str:
        return ", ".join(f"{name} has shape {member.shape}" for name, member in members.items() if member.shape)


def _columns(member: Member) -> tuple[int, ...]:
    return member.shape if len(member.shape) == 2 else (*member.shape, 1)


def _whole(member: Member, start: int, stop: int) -> np.ndarray:
    return member.whole()
