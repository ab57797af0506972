"""NetCDF files and zarr groups, read by xarray: dimensions have names, coordinates may have CF's attributes."""

import importlib.util
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source, number_key, units_of
from ups_data.sources.content import Content, look_inside
from ups_data.sources.lazy import LazyArray
from ups_data.sources.netcdf.opening import ENGINES, check_chunks, groups_in, opened_dataset
from ups_data.sources.netcdf.reading import Reading, axes_of
from ups_data.sources.netcdf.several import layouts_of
from ups_data.sources.netcdf.times import date_of, times_of
from ups_data.sources.netcdf.values.missing import IMPLICIT, declares_missing
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.positions import finite, finite_frames
from ups_data.trajectory import ArrayLike, PointSet, Trajectory


class XarraySource(Source):
    """Variables on named dimensions; `named_dims.ROLES` says what a dimension is.

    - Variables on a grid (x [, y [, z]], in the file's order) or on points are fields (T, *grid, C) or (T, N, C), read
      by slices of time; without time they are static, or fields of one frame where nothing has time.
    - With a dimension of trajectories each is a trajectory; without one the file is a single one, named as the file.
    - Variables that have neither space nor points nor time are parameters; a series in time alone, bounds and text are
      left out by name.
    - The coordinates of dimensions are the grid's axes, with their units, and the times, in the file's units; times
      since a date are relative to the first frame. Longitudes that cross the end of the circle are unwrapped; an axis
      that closes the circle is periodic.
    - Points need coordinates x, y [, z] on them, (points,) or (time, points). A grid whose longitudes and latitudes
      have two dimensions is points, row by row.
    - Dimensions called `SET_point`, as exports have them, are sets of points.
    - Forecasts: each start is a trajectory, the lead time its time.
    - `options.select` takes one place along a dimension, `options.stack` makes a dimension channels.

    Packed values (`scale_factor`) come out unpacked, missing ones (`_FillValue`, `missing_value`, or NetCDF's default
    if the file declares none; whatever is outside of `valid_range`) as NaN. Where the file declares what is missing,
    such points do not count. Chunks that were never written are refused, unless they stand for NaN. Groups inside of a
    file are left out by name.

    Raises:
        UpsDataError: xarray or what it needs is not installed, the file is damaged, or a dimension's meaning is not
            told, or differs between the fields.
    """

    format = "xarray"
    named_dims = True

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        content = look_inside(self.path, options)
        if content.kind not in ENGINES:
            raise UpsDataError(f"{path}: {content}, NetCDF or a zarr group is expected: name another format")
        engine, package = ENGINES[content.kind]
        for needed in ("xarray", package):
            if importlib.util.find_spec(needed) is None:
                extra = "'ups_data[netcdf]'" if needed != "scipy" else "scipy"
                raise UpsDataError(f"{path}: reading it needs {needed}, which is not installed: pip install {extra}")
        with opened_dataset(self.path, engine, options.select) as dataset:
            groups = groups_in(self.path, engine)
            if groups and not dataset.data_vars:
                raise UpsDataError(
                    f"{path}: has its variables in the groups {', '.join(groups)}, which are not read: copy one of "
                    "them into a file of its own"
                )
            layouts = layouts_of(self.path, engine, dataset, options.variables, options.stack)
            encodings = {name: dataset[name].encoding for layout in layouts.values() for name in layout.fields}
        unfilled = [name for name, how in encodings.items() if "_FillValue" not in how or IMPLICIT in how]
        # Of several sets, one that changes in time says when.
        self._layout = max(layouts.values(), key=lambda layout: layout.has("time"))
        for layout in layouts.values():
            layout.left_out.update(dict.fromkeys(groups, "a group, of which nothing is read"))
            layout.left_out.update({dim: f"{dim}={value} was selected" for dim, value in options.select})
        check_chunks(self.path, engine, unfilled)
        self._parts = {name: Reading(layout, options.select) for name, layout in layouts.items()}
        self._reading = next(part for part in self._parts.values() if part.layout is self._layout)

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind in ("netcdf", "zarr") or (content.kind == "hdf5" and content.netcdf)

    def __len__(self) -> int:
        return self._layout.count

    def __getitem__(self, number: int, /) -> Trajectory:
        layout, reading = self._layout, self._reading
        with opened_dataset(self.path, layout.engine, self.options.select) as dataset:
            params = {name: float(reading.picked(dataset, name, number).values) for name in layout.params}
            time, time_units, start = self._times(dataset, number) if layout.has("time") else (None, None, None)
            axes = axes_of(layout, dataset)
            fields = [name for part in self._parts.values() for name in part.layout.fields]
            units = {name: units_of(dataset[name].attrs.get("units")) for name in fields}
            calendar = self._calendar(dataset)
            missing = [name for name in fields if declares_missing(dataset[name].variable)]
        in_time = any("time" in part.layout.roles_in(n) for part in self._parts.values() for n in part.layout.fields)
        sets = {name: self._set(part, number, in_time, units) for name, part in self._parts.items()}
        whole = sets.pop(None, None)
        left_out = {name: why for part in self._parts.values() for name, why in part.layout.left_out.items()}
        return Trajectory(
            key=number_key(number, len(self)) if layout.has("trajectory") else self.path.stem,
            source=str(self.path),
            fields=whole.fields if whole else {},
            static=whole.static if whole else {},
            time=time if in_time else None,
            time_units=time_units if in_time else None,
            start=start if in_time else None,
            calendar=calendar if in_time and start else None,
            left_out=left_out,
            params=params,
            axes=axes if whole else None,
            coords=whole.coords if whole and layout.positions else None,
            sets={str(name): part for name, part in sets.items()},
            units=whole.units if whole else {},
            missing=missing,
        )

    def _set(self, part: Reading, number: int, in_time: bool, units: Mapping[str, str | None]) -> PointSet:
        """The variables of a set of points, or of a grid, which has no coordinates here.

        Args:
            in_time: some field of the file changes in time: those that do not are static.
        """
        layout = part.layout
        still = [name for name in layout.fields if "time" not in layout.roles_in(name)]
        moving = [name for name in layout.fields if name not in still]
        return PointSet(
            coords=self._positions(part, number) if layout.positions else np.empty((0, 0)),
            fields={name: part.field(name, number) for name in (moving if in_time else still)},
            static={name: part.field(name, number, static=True) for name in still} if in_time else {},
            units={name: unit for name in layout.fields if (unit := units[name]) is not None},
        )

    def _times(self, dataset: Any, number: int) -> tuple[np.ndarray | None, str | None, str | None]:
        layout = self._layout
        dim = next(dim for dim, role in layout.roles.items() if role == "time")
        if dim not in dataset.coords:
            return None, None, None
        times, units, start = times_of(f"{self.path}: {dim}", np.asarray(dataset[dim].values), dataset[dim].attrs)
        if layout.start is not None and start is None:
            place = self._reading.places(number)[layout.start]
            start = date_of(dataset[layout.start].values[place], dataset[layout.start].attrs)
        return times, units, start

    def _calendar(self, dataset: Any) -> str:
        dims = [dim for dim, role in self._layout.roles.items() if role == "time" and dim in dataset.coords]
        return str(dataset[dims[0]].attrs.get("calendar", "standard")) if dims else "standard"

    def _positions(self, part: Reading, number: int) -> ArrayLike:
        layout, name = part.layout, part.layout.positions[0]
        where = f"{self.path}: {', '.join(layout.positions)}"
        count = layout.length(name, "points")
        read = partial(part.positions, number)
        if "time" in layout.roles_in(name):
            shape = (layout.length(name, "time"), count, len(layout.positions))
            return finite_frames(where, LazyArray(shape, np.float64, read))
        return finite(where, read(0, count))
