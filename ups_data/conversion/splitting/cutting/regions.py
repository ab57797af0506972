"""Boxes on coordinates, and the points of a run that lie in them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.sources import LazyArray
from ups_data.trajectory import ArrayLike, Trajectory
from ups_data.writing.axes import unit_axes

COMPONENTS = ("x", "y", "z")


@dataclass(frozen=True)
class Box:
    """Ranges of some axes, `low ≤ x < high`: (axis, low, high)."""

    ranges: tuple[tuple[str, float, float], ...]

    def touches(self, other: "Box") -> bool:
        """Whether a point can lie in both."""
        mine = {axis: (low, high) for axis, low, high in self.ranges}
        return not any(
            axis in mine and not (low < mine[axis][1] and mine[axis][0] < high) for axis, low, high in other.ranges
        )

    def distance(self, coords: NDArray[np.float64], columns: Mapping[str, int]) -> NDArray[np.float64]:
        """`(N,)` from the box to each point, 0 inside and on its upper sides."""
        away = np.zeros(len(coords))
        for axis, low, high in self.ranges:
            x = coords[:, columns[axis]]
            away += np.maximum(np.maximum(low - x, x - high), 0.0) ** 2
        return np.sqrt(away)

    def holds(self, coords: NDArray[np.float64], columns: Mapping[str, int]) -> NDArray[np.bool_]:
        """`(N,)`, which points lie in it."""
        inside = np.ones(len(coords), bool)
        for axis, low, high in self.ranges:
            x = coords[:, columns[axis]]
            inside &= (low <= x) & (x < high)
        return inside


@dataclass(frozen=True)
class Region:
    """What a split takes: the points in `boxes`, without those within `gap` of a box in `before`."""

    boxes: tuple[Box, ...]
    before: tuple[Box, ...] = ()
    gap: float = 0.0

    def holds(self, coords: NDArray[np.float64], columns: Mapping[str, int]) -> NDArray[np.bool_]:
        """`(N,)`, which of some points belong to it."""
        inside = np.logical_or.reduce([box.holds(coords, columns) for box in self.boxes])
        if self.gap > 0:
            for box in self.before:
                inside &= box.distance(coords, columns) > self.gap
        return inside


def axes_of(run: Trajectory) -> list[str]:
    """The names of a run's axes: a grid's own in array order, or x, y, z of points."""
    coords = [s.coords for s in run.sets.values()] or ([] if run.coords is None else [run.coords])
    if coords:
        return list(COMPONENTS[: coords[0].shape[-1]])
    return [axis.name for axis in run.axes or unit_axes(next(iter(run.fields.values())).shape[1:-1])]


def check_region(run: Trajectory, region: Region) -> None:
    """Whether a run can be cut so.

    Raises:
        UpsDataError: its points move, or it lacks an axis of a box.
    """
    coords = [s.coords for s in run.sets.values()] or ([] if run.coords is None else [run.coords])
    if any(len(c.shape) == 3 for c in coords):
        raise UpsDataError(
            f"--split-region: the points of {run.source} move, and would leave a region with time: split by time or "
            "by run"
        )
    known = axes_of(run)
    for box in (*region.boxes, *region.before):
        for axis, _, _ in box.ranges:
            if axis not in known:
                raise UpsDataError(f"--split-region: {run.source} has the axes {', '.join(known)}, not {axis!r}")


def points_in(run: Trajectory, region: Region) -> dict[str | None, NDArray[np.intp]]:
    """Set of points → numbers of its points in the region; of a grid, row by row."""
    check_region(run, region)
    columns = {axis: place for place, axis in enumerate(axes_of(run))}
    if run.sets:
        given = {name: np.asarray(s.coords[:], np.float64) for name, s in run.sets.items()}
        return {name: np.flatnonzero(region.holds(coords, columns)) for name, coords in given.items()}
    coords = _grid_coords(run) if run.coords is None else np.asarray(run.coords[:], np.float64)
    return {None: np.flatnonzero(region.holds(coords, columns))}


def cut_region(run: Trajectory, region: Region) -> Trajectory:
    """The points of a run that lie in a region: a cloud, also of a grid. Its components are x, y, z if the grid's axes
    have these names, and otherwise the axes from the last one to the first one.

    Raises:
        UpsDataError: as `check_region`; or a set has no point there.
    """
    numbers = points_in(run, region)
    for name, of_set in numbers.items():
        if not len(of_set):
            called = "" if name is None else f" of {name}"
            raise UpsDataError(f"--split-region: no point{called} of {run.source} lies in the region of {run.split!r}")
    if run.sets:
        sets = {
            name: replace(
                s,
                coords=np.asarray(s.coords[:])[numbers[name]],
                fields=_of_frames(s.fields, numbers[name]),
                static=_still(s.static, numbers[name]),
                mask=_of_mask(s.mask, s.coords.shape[-2], numbers[name]),
            )
            for name, s in run.sets.items()
        }
        return replace(run, sets=sets)
    inside = numbers[None]
    coords = _grid_coords(run)[:, _order(axes_of(run))] if run.coords is None else np.asarray(run.coords[:])
    return replace(
        run,
        fields=_of_frames(run.fields, inside),
        static=_still(run.static, inside),
        coords=np.ascontiguousarray(coords[inside]),
        axes=None,
        mask=_of_mask(run.mask, len(coords), inside),
    )


def _grid_coords(run: Trajectory) -> NDArray[np.float64]:
    """`(N, d)` of a grid's points row by row; components in array order."""
    shape = next(iter(run.fields.values())).shape[1:-1]
    axes = [np.asarray(axis.coordinates, np.float64) for axis in run.axes or unit_axes(shape)]
    return np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], -1)


def _order(axes: list[str]) -> list[int]:
    """Component → place of its axis."""
    places = list(range(len(axes)))
    return sorted(places, key=lambda place: axes[place]) if set(axes) <= set(COMPONENTS) else places[::-1]


def _of_frames(arrays: Mapping[str, ArrayLike], numbers: NDArray[np.intp]) -> dict[str, ArrayLike]:
    return {
        name: LazyArray((a.shape[0], len(numbers), a.shape[-1]), a.dtype, partial(_frames, a, numbers))
        for name, a in arrays.items()
    }


def _frames(array: ArrayLike, numbers: NDArray[np.intp], start: int, stop: int) -> np.ndarray:
    return np.asarray(array[start:stop]).reshape(stop - start, -1, array.shape[-1])[:, numbers]


def _of_mask(mask: ArrayLike | None, points: int, numbers: NDArray[np.intp]) -> ArrayLike | None:
    """Of some of the points, `(n,)`, or `(T, n)` if it changes; it is read whole, a byte for each point."""
    if mask is None:
        return None
    values = np.asarray(mask[:])
    return values.reshape(-1)[numbers] if values.size == points else values.reshape(-1, points)[:, numbers]


def _still(arrays: Mapping[str, ArrayLike], numbers: NDArray[np.intp]) -> dict[str, ArrayLike]:
    return {
        name: LazyArray((len(numbers), a.shape[-1]), a.dtype, partial(_rows, a, numbers)) for name, a in arrays.items()
    }


def _rows(array: ArrayLike, numbers: NDArray[np.intp], start: int, stop: int) -> np.ndarray:
    return np.asarray(array[:]).reshape(-1, array.shape[-1])[numbers[start:stop]]
