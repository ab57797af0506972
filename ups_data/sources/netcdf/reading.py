"""Values of variables on named dimensions, brought into this project's order of axes as they are read."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.lazy import LazyArray
from ups_data.sources.netcdf.keeping.slabs import Slabs
from ups_data.sources.netcdf.layout import Layout
from ups_data.sources.netcdf.longitudes import circle_of, closes, unwrapped_axis, unwrapped_points
from ups_data.sources.netcdf.named_dims import SPACE
from ups_data.sources.netcdf.opening import opened_dataset
from ups_data.sources.netcdf.values.missing import without_missing
from ups_data.trajectory import Axis


class Reading:
    """Reads the fields and positions of one file, which is open only meanwhile."""

    def __init__(self, layout: Layout, select: Sequence[tuple[str, str]] = ()) -> None:
        self.layout, self._select, self._slabs = layout, tuple(select), Slabs()

    def field(self, name: str, number: int, static: bool = False) -> LazyArray:
        """(T, *space, C), or (*space, C) if `static`."""
        layout = self.layout
        in_time = "time" in layout.roles_in(name)
        shape = (*layout.space(name), layout.length(name, "channel"))
        if not static:
            shape = (layout.length(name, "time"), *shape)
        read = partial(self.read, name, number, not in_time and not static)
        return LazyArray(shape, layout.dtypes[name], read)

    def places(self, number: int) -> dict[str, int]:
        """Where a trajectory lies along each dimension that counts trajectories."""
        dims = self.layout.trajectory_dims()
        return dict(zip(dims, map(int, np.unravel_index(number, tuple(dims.values()) or (1,))), strict=False))

    def picked(self, dataset: Any, name: str, number: int) -> Any:
        """The variable of one trajectory."""
        places = self.places(number)
        return dataset[name].isel({dim: places[dim] for dim in dataset[name].dims if dim in places})

    def read(self, name: str, number: int, frame: bool, start: int, stop: int) -> np.ndarray:
        """Rows [start, stop) of the first axis that is no trajectory; all of them if it is a `frame` without time."""
        layout = self.layout
        places = self.places(number)
        with opened_dataset(layout.path, layout.engine, self._select) as dataset:
            variable = dataset[name].variable
            order = [dim for dim in layout.dims[name] if layout.roles[dim] != "trajectory"]
            wanted = {dim: slice(places[dim], places[dim] + 1) for dim in variable.dims if dim in places}
            flattened = layout.roles[order[0]] == "points" and len(_points(layout, order)) > 1
            if not frame and not flattened:
                wanted[order[0]] = slice(start, stop)
            values = self._slabs.read(name, variable, wanted)
            values = without_missing(f"{layout.path}: {name}", values, variable)
            axes = [variable.dims.index(dim) for dim in order]
            lead = [axis for axis in range(values.ndim) if axis not in axes]
            values = values.transpose(*lead, *axes).reshape([values.shape[a] for a in axes])
        if not frame and flattened:  # rows of a grid that is points
            return values.reshape(-1, layout.length(name, "channel"))[start:stop]
        return values

    def positions(self, number: int, start: int, stop: int) -> np.ndarray:
        """(points, d), or (frames, points, d), float64; longitudes unwrapped."""
        layout = self.layout
        found = []
        with opened_dataset(layout.path, layout.engine, self._select) as dataset:
            circles = {name: circle_of(name, dataset[name].attrs) for name in layout.positions}
        for name in layout.positions:
            in_time = "time" in layout.roles_in(name)
            values = _numbers(f"{layout.path}: {name}", self.read(name, number, False, start, stop)).astype(np.float64)
            values = values.reshape(stop - start, -1) if in_time else values.reshape(-1)
            found.append(unwrapped_points(values, circles[name]) if not in_time else values)
        return np.stack(found, axis=-1)


def axes_of(layout: Layout, dataset: Any) -> tuple[Axis, ...] | None:
    """The grid's axes in array order, from 0 to 1 where a dimension has no coordinate; None for points."""
    if layout.positions:
        return None
    axes = []
    for dim, length in layout.dims[layout.fields[0]].items():
        if layout.roles[dim] not in SPACE:
            continue
        if dim not in dataset.coords:
            axes.append(Axis(layout.roles[dim], np.linspace(0.0, 1.0, length)))
            continue
        circle = circle_of(dim, dataset[dim].attrs) if layout.roles[dim] == "x" else None
        values = unwrapped_axis(_numbers(f"{layout.path}: {dim}", np.asarray(dataset[dim].values)), circle)
        axes.append(Axis(layout.roles[dim], values, dataset[dim].attrs.get("units"), closes(values, circle)))
    return tuple(axes)


def _numbers(where: str, values: np.ndarray) -> np.ndarray:
    """Coordinates, after a look at their type.

    Raises:
        UpsDataError: they are text, or dates.
    """
    if values.dtype.kind not in "biuf":
        raise UpsDataError(
            f"{where} holds {values.dtype.name}, numbers are expected of a coordinate: rename or drop it"
        )
    return values


def _points(layout: Layout, dims: Sequence[str]) -> list[str]:
    return [dim for dim in dims if layout.roles[dim] == "points"]
