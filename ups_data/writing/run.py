"""One trajectory as it was handed to the writer, with its shapes read."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.schema import is_name
from ups_data.trajectory import ArrayLike, Axis, PointSet
from ups_data.writing.shard.variable_mask import VariableMask, check_mask


class Run:
    """A trajectory's arrays by name, whatever the sets of points that they come in.

    Attributes:
        fields: name → `(T, *grid, C)` or `(T, N, C)`; `static`: without T.
        set_of: field → its set of points; None: the grid or the only set.
        coords: set of points → `(N, d)`, or `(T, N, d)` where it moves.
        steps: T.
        time: `(T,)` float64.
        units: field → its units, where they are known.
        masks: set of points → which of its points count, `(*grid)` or `(N,)`, with T in front if that changes: nonzero
            where a point does. All of them must say so.
        missing: fields whose NaN means that the source has no value there.
        origins: set of points → what is subtracted from its coordinates, float64 (d,); see `origin_of`.
    """

    def __init__(
        self,
        fields: Mapping[str, ArrayLike],
        static: Mapping[str, ArrayLike],
        time: np.ndarray | Sequence[float] | None,
        params: dict[str, float],
        coords: ArrayLike | None,
        sets: Mapping[str, PointSet],
        axes: Sequence[Axis] | None,
        key: str,
        source: str,
        units: Mapping[str, str] | None = None,
        time_units: str | None = None,
        start: str | None = None,
        mask: ArrayLike | None = None,
        missing: Collection[str] = (),
    ) -> None:
        self.params, self.axes, self.key, self.source = params, axes, key, source
        self.where = f"trajectory {key!r}" if key else "the trajectory"
        self.fields, self.static = _arrays(fields), _arrays(static)
        self.units, self.time_units, self.start = dict(units or {}), time_units, start
        self.origins: Mapping[str | None, np.ndarray] = {}
        self._still: dict[str | None, tuple[Mapping[str | None, np.ndarray], np.ndarray]] = {}
        self.left_out: Mapping[str, str] = {}
        self.missing = frozenset(missing)
        given: dict[str | None, ArrayLike | None] = {None: mask}
        given |= {name: points.mask for name, points in sets.items()}
        self.masks: dict[str | None, list[ArrayLike]] = {n: [_array(m)] for n, m in given.items() if m is not None}
        self.set_of: dict[str, str | None] = dict.fromkeys([*fields, *static])
        self.coords: dict[str | None, ArrayLike] = {} if coords is None else {None: _array(coords)}
        if sets and (fields or static or coords is not None or axes is not None):
            raise UpsDataError(f"{self.where} has sets of points: put all its fields and coordinates into them")
        for name, points in sets.items():
            self._add_set(name, points)
        for name in (*self.set_of, *sets, *params):
            if not is_name(name):
                raise UpsDataError(
                    f"{self.where} has the name {name!r}: use letters, digits and _ . + -, or --rename {name!r}=…"
                )
        self.steps = self._check_steps()
        for set_name in self.coords:
            self._check_points(set_name)
        for set_name, arrays in self.masks.items():
            check_mask(self.where, "its mask", arrays[0].shape, self.frame_shape(set_name), self.steps)
        self.time = np.arange(self.steps, dtype=np.float64) if time is None else np.asarray(time, np.float64)
        if self.time.shape != (self.steps,):
            raise UpsDataError(
                f"{self.where} has {self.steps} steps but {self.time.size} times: give one for each step"
            )
        self._mask_taken = False
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name, value in self.params.items():
            if not np.isfinite(value):
                raise UpsDataError(f"{self.where} has the parameter {name} = {value}: give a finite number")
        for axis in self.axes or ():
            if np.asarray(axis.coordinates).dtype.kind not in "biuf":
                raise UpsDataError(
                    f"axis {axis.name!r} of {self.where} has coordinates that are no numbers: give it numbers, or none"
                )
            if not np.isfinite(np.asarray(axis.coordinates, np.float64)).all():
                raise UpsDataError(
                    f"axis {axis.name!r} of {self.where} has coordinates that are NaN or Inf: repair them"
                )
        if not np.isfinite(self.time).all():
            raise UpsDataError(f"{self.where} has times that are NaN or Inf: repair them")
        back = np.flatnonzero(np.diff(self.time) <= 0)
        if len(back):
            before, after = self.time[back[0]], self.time[back[0] + 1]
            raise UpsDataError(
                f"the times of {self.where} do not increase, {after:.17g} follows {before:.17g} (frame {back[0] + 1}): "
                "put the frames in order of time, each once"
            )

    def frame_shape(self, set_name: str | None) -> tuple[int, ...]:
        """`(*grid)` or `(N,)`."""
        if self.coords:
            return (self.num_points(set_name),)
        return tuple(next(iter(self.fields.values())).shape[1:-1])

    def points_of(self, set_name: str | None) -> int:
        """N, of a grid too."""
        return math.prod(self.frame_shape(set_name))

    def take_mask(self, option: str | None) -> None:
        """Turn the variable that `WriteOptions.mask` names from a field into a mask; once is enough.

        Raises:
            UpsDataError: there is none of that name, it has another shape, or it is the only field.
        """
        if option is None or self._mask_taken:
            return
        name = option.removeprefix("!")
        array = self.fields.get(name, self.static.get(name))
        if array is None:
            raise UpsDataError(
                f"{self.where} has no variable {name!r} for a mask: name one of {sorted([*self.fields, *self.static])}"
            )
        set_name = self.set_of.pop(name)
        self.fields = {n: a for n, a in self.fields.items() if n != name}
        self.static = {n: a for n, a in self.static.items() if n != name}
        if not self.fields:
            raise UpsDataError(f"{self.where} has no field that changes in time beside the mask {name!r}")
        mask = VariableMask(array, inverted=option.startswith("!"))
        check_mask(self.where, f"the mask {name!r}", mask.shape, self.frame_shape(set_name), self.steps)
        self.masks.setdefault(set_name, []).append(mask)
        self._mask_taken = True

    def moving(self, set_name: str | None) -> bool:
        """Whether a set's coordinates change in time."""
        return len(self.coords[set_name].shape) == 3

    def num_points(self, set_name: str | None) -> int:
        """Points of one set."""
        return self.coords[set_name].shape[-2]

    def coords_at(self, set_name: str | None, start: int, stop: int) -> np.ndarray:
        """Coordinates of a set, float32, of the frames `[start, stop)`; of points that stay, one frame `(1, N, d)`.

        Raises:
            UpsDataError: one of them is not finite.
        """
        origins, still = self._still.get(set_name, (None, None))
        if still is not None and origins is self.origins:
            return still
        coords = self.coords[set_name]
        given = np.asarray(coords[start:stop] if self.moving(set_name) else coords[:][None])
        if set_name in self.origins:
            given = given - self.origins[set_name]
        frames = given.astype(np.float32, copy=False)
        if not np.isfinite(frames).all():
            raise UpsDataError(f"{self._of(set_name)} has coordinates that are NaN or Inf: leave such points out")
        if self.origins and _loses(given):
            raise UpsDataError(
                f"{self._of(set_name)} has coordinates that float32 cannot tell apart, even relative to the first "
                f"trajectory's origin {self.origins.get(set_name)}: shift each run to an origin of its own"
            )
        if not self.moving(set_name):  # asked for to deal the points, and to store them
            self._still[set_name] = self.origins, frames
        return frames

    def let_go(self) -> None:
        """Forget the arrays, which may be large; what the tables need is kept."""
        self.fields, self.static, self.coords, self.masks, self._still = {}, {}, {}, {}, {}

    def origin_of(self, set_name: str | None) -> np.ndarray | None:
        """What to subtract from float64 coordinates before they become float32: the middle of the first frame, where
        rounding would move points by more than 1/16384 of the set's extent (UTM positions); else None."""
        coords = self.coords[set_name]
        if coords.dtype != np.float64:
            return None
        frame = np.asarray(coords[0:1])[0] if self.moving(set_name) else np.asarray(coords[:])
        return np.round((frame.min(0) + frame.max(0)) / 2) if np.isfinite(frame).all() and _loses(frame) else None

    def _add_set(self, name: str, points: PointSet) -> None:
        fields, static = _arrays(points.fields), _arrays(points.static)
        for field in (*fields, *static):
            if field in self.set_of:
                raise UpsDataError(
                    f"field {field!r} of {self.where} is in the sets {self.set_of[field]!r} and {name!r}: "
                    "name fields apart, as in surface_pressure"
                )
            self.set_of[field] = name
        self.fields, self.static = {**self.fields, **fields}, {**self.static, **static}
        self.coords[name] = _array(points.coords)
        self.units |= points.units

    def _check_steps(self) -> int:
        if not self.fields:
            raise UpsDataError(f"{self.where} has no fields that change in time: give a static problem T = 1")
        for name, a in self.fields.items():
            if len(a.shape) < 3:
                raise UpsDataError(f"field {name!r} of {self.where} has shape {a.shape}: expected (T, *grid, C)")
        lengths = {name: a.shape[0] for name, a in self.fields.items()}
        steps = next(iter(lengths.values()))
        if len(set(lengths.values())) > 1 or steps == 0:
            raise UpsDataError(f"fields of {self.where} must have the same number of steps, at least one: {lengths}")
        return steps

    def _check_points(self, set_name: str | None) -> None:
        coords = self.coords[set_name]
        fields = [n for n, s in self.set_of.items() if s == set_name]
        count = coords.shape[-2] if len(coords.shape) >= 2 else 0
        if len(coords.shape) not in (2, 3) or count == 0 or coords.shape[-1] not in (1, 2, 3):
            raise UpsDataError(
                f"{self._of(set_name)} has coords of shape {coords.shape}, expected (N, d) or (T, N, d) with d = 1 to 3"
            )
        if self.moving(set_name) and coords.shape[0] != self.steps:
            raise UpsDataError(
                f"{self._of(set_name)} has coords of {coords.shape[0]} steps, fields of {self.steps}: give as many"
            )
        for name in fields:
            shape = self.fields[name].shape[1:] if name in self.fields else self.static[name].shape
            if len(shape) != 2 or shape[0] != count:
                raise UpsDataError(
                    f"field {name!r} of {self.where} has frames of shape {shape}, coords are of {count} points: "
                    f"expected ({count}, C)"
                )

    def _of(self, set_name: str | None) -> str:
        return self.where if set_name is None else f"set {set_name!r} of {self.where}"


def _loses(coords: np.ndarray) -> bool:
    """Whether rounding to float32 moves points by a noticeable part of their extent."""
    flat = coords.reshape(-1, coords.shape[-1]).astype(np.float64, copy=False)
    moved = np.abs(flat - flat.astype(np.float32)).max(0)
    return bool((moved > np.ptp(flat, axis=0).max() / 2**14).any() and np.ptp(flat, axis=0).max() > 0)


def _array(a: ArrayLike) -> ArrayLike:
    """An array with a numpy dtype: as it is where it has one, since it may still lie in a file."""
    return a if isinstance(getattr(a, "dtype", None), np.dtype) else np.asarray(a)


def _arrays(fields: Mapping[str, ArrayLike]) -> dict[str, ArrayLike]:
    return {name: _array(a) for name, a in fields.items()}
