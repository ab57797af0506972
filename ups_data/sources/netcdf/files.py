"""NetCDF files and zarr groups, read by xarray: dimensions have names, coordinates may have CF's attributes."""

import importlib.util
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source, number_key, units_of
from ups_data.sources.content import Content, look_inside
from ups_data.sources.lazy import LazyArray
from ups_data.sources.netcdf.layout import layout_of
from ups_data.sources.netcdf.opening import ENGINES, check_chunks, opened_dataset
from ups_data.sources.netcdf.reading import Reading, axes_of, declares_missing
from ups_data.sources.netcdf.times import date_of, times_of
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.positions import finite, finite_frames
from ups_data.trajectory import ArrayLike, Trajectory


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
    - Forecasts: each start is a trajectory, the lead time its time.
    - `options.select` takes one place along a dimension, `options.stack` makes a dimension channels.

    Packed values (`scale_factor`) come out unpacked, missing ones (`_FillValue`, or NetCDF's default if the file
    declares none) as NaN. Where a number is declared to stand for missing values, such points do not count. Chunks that
    were never written are refused, unless they stand for NaN.

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
            self._layout = layout_of(self.path, engine, dataset, options.variables, options.stack)
            unfilled = [name for name in self._layout.fields if "_FillValue" not in dataset[name].encoding]
        self._layout.left_out.update({dim: f"{dim}={value} was selected" for dim, value in options.select})
        check_chunks(self.path, engine, unfilled)
        self._reading = Reading(self._layout, options.select)

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
            units = {name: units_of(dataset[name].attrs.get("units")) for name in layout.fields}
            calendar = self._calendar(dataset)
            missing = [name for name in layout.fields if declares_missing(dataset[name].encoding)]
        in_time = [name for name in layout.fields if "time" in layout.roles_in(name)]
        still = [name for name in layout.fields if name not in in_time]
        return Trajectory(
            key=number_key(number, len(self)) if layout.has("trajectory") else self.path.stem,
            source=str(self.path),
            fields={name: reading.field(name, number) for name in in_time or still},
            static={name: reading.field(name, number, static=True) for name in still} if in_time else {},
            time=time if in_time else None,
            time_units=time_units if in_time else None,
            start=start if in_time else None,
            calendar=calendar if in_time and start else None,
            left_out=layout.left_out,
            params=params,
            axes=axes,
            coords=self._positions(number),
            units={name: unit for name, unit in units.items() if unit is not None},
            missing=missing,
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

    def _positions(self, number: int) -> ArrayLike | None:
        layout = self._layout
        if not layout.positions:
            return None
        name = layout.positions[0]
        where = f"{self.path}: {', '.join(layout.positions)}"
        count = layout.length(name, "points")
        read = partial(self._reading.positions, number)
        if "time" in layout.roles_in(name):
            shape = (layout.length(name, "time"), count, len(layout.positions))
            return finite_frames(where, LazyArray(shape, np.float64, read))
        return finite(where, read(0, count))
