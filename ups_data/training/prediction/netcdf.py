"""Predictions for xarray: a NetCDF file for every trajectory, written frame by frame."""

from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.trajectory import ArrayLike, Trajectory


def write_netcdf(folder: Path, trajectory: Trajectory) -> None:
    """`KEY.nc`: dimensions `time`, the grid's axes (or `point`, or `SET_point`), and `FIELD_channel` where a field has
    several channels; the parameters are attributes.

    Raises:
        UpsDataError: the package h5netcdf is missing.
    """
    try:
        import h5netcdf
    except ImportError:
        raise UpsDataError("--format netcdf needs h5netcdf: pip install 'ups_data[netcdf]'") from None
    with h5netcdf.File(folder / f"{trajectory.key}.nc", "w") as file:
        time = np.asarray(trajectory.time, np.float64)
        file.dimensions["time"] = len(time)
        file.create_variable("time", ("time",), np.float64, data=time)
        if trajectory.time_units is not None:
            file.variables["time"].attrs["units"] = trajectory.time_units
        for name, value in trajectory.params.items():
            file.attrs[name] = value
        if trajectory.axes is not None:
            for axis in trajectory.axes:
                values = np.asarray(axis.coordinates, np.float64)
                file.dimensions[axis.name] = len(values)
                file.create_variable(axis.name, (axis.name,), np.float64, data=values)
                if axis.units is not None:
                    file.variables[axis.name].attrs["units"] = axis.units
            dims = tuple(axis.name for axis in trajectory.axes)
            _write_fields(file, trajectory.fields, dims, trajectory.units)
            return
        sets: dict[str, Any] = {n: (s.coords, s.fields, s.units) for n, s in trajectory.sets.items()}
        for name, (coords, fields, units) in (
            sets or {"": (trajectory.coords, trajectory.fields, trajectory.units)}
        ).items():
            prefix = f"{name}_" if name else ""
            _write_coords(file, coords, prefix)
            _write_fields(file, fields, (f"{prefix}point",), units)


def _write_coords(file: Any, coords: ArrayLike, prefix: str) -> None:
    file.dimensions[f"{prefix}point"] = coords.shape[-2]
    dims = ("time", f"{prefix}point") if len(coords.shape) == 3 else (f"{prefix}point",)
    for component in range(coords.shape[-1]):
        values = np.asarray(coords[..., component], np.float64)
        file.create_variable(f"{prefix}{'xyz'[component]}", dims, np.float64, data=values)


def _write_fields(file: Any, fields: Any, dims: tuple[str, ...], units: Any) -> None:
    for name, values in fields.items():
        channels = values.shape[-1]
        last: tuple[str, ...] = (f"{name}_channel",) if channels > 1 else ()
        if last:
            file.dimensions[last[0]] = channels
        variable = file.create_variable(name, ("time", *dims, *last), np.float32)
        if name in units:
            variable.attrs["units"] = units[name]
        for frame in range(values.shape[0]):
            variable[frame] = values[frame] if last else values[frame][..., 0]
