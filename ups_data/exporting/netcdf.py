"""Trajectories for xarray: a NetCDF file for every one, written frame by frame, with the attributes of CF."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.points.directions import directions
from ups_data.schema import Manifest
from ups_data.trajectory import ArrayLike, Axis, Trajectory

CONVENTIONS = "CF-1.11"


def check_netcdf(manifest: Manifest | None = None) -> None:
    """Refuse to begin what cannot be written.

    Raises:
        UpsDataError: the package h5netcdf is missing, or a field of the dataset is called as a coordinate is.
    """
    if manifest is not None:
        grid = [] if manifest.grid is None else [axis.name for axis in manifest.grid.axes]
        taken = {"time", *(grid or (f"{name}_{c}" if name else c for name in manifest.set_names for c in "xyz"))}
        if found := next((spec.name for spec in manifest.fields if spec.name in taken), None):
            raise UpsDataError(f"netcdf: the field {found!r} is called as a coordinate is: rename it")
    try:
        import h5netcdf  # noqa: F401
    except ImportError:
        raise UpsDataError("NetCDF needs h5netcdf: pip install 'ups_data[netcdf]'") from None


def write_netcdf(folder: Path, trajectory: Trajectory) -> None:
    """`KEY.nc`: dimensions `time`, the grid's axes (or `point`, or `SET_point`), and `FIELD_channel` where a field has
    several channels. Axes say what they are (`axis`), and units are given where they are known. The parameters are
    variables without a dimension, and attributes.

    Raises:
        UpsDataError: the package h5netcdf is missing.
    """
    check_netcdf()
    import h5netcdf

    with h5netcdf.File(folder / f"{trajectory.key}.nc", "w") as file:
        file.attrs["Conventions"] = CONVENTIONS
        time = np.asarray(trajectory.time, np.float64)
        file.dimensions["time"] = len(time)
        attributes = {"axis": "T"} | ({} if trajectory.time_units is None else {"units": trajectory.time_units})
        _variable(file, "time", ("time",), time, attributes)
        if trajectory.axes is not None:
            dims = _write_axes(file, trajectory.axes)
            _write_fields(file, trajectory, dims)
        sets: dict[str, Any] = dict(trajectory.sets)
        for name, part in (sets or ({} if trajectory.axes is not None else {"": trajectory})).items():
            prefix = f"{name}_" if name else ""
            _write_coords(file, part.coords, prefix)
            places = " ".join(f"{prefix}{name}" for name in "xyz"[: part.coords.shape[-1]])
            _write_fields(file, part, (f"{prefix}point",), {"coordinates": places})
        for name, value in trajectory.params.items():
            with suppress(AttributeError):  # a name that NetCDF has for itself; the variable is there
                file.attrs[name] = value
            if name not in file.variables and name not in file.dimensions:
                _variable(file, name, (), np.float64(value), {})


def _write_axes(file: Any, axes: tuple[Axis, ...]) -> tuple[str, ...]:
    for axis, direction in zip(axes, directions([axis.name for axis in axes]), strict=True):
        values = np.asarray(axis.coordinates, np.float64)
        file.dimensions[axis.name] = len(values)
        attributes = {"axis": "XYZ"[direction]} | ({} if axis.units is None else {"units": axis.units})
        _variable(file, axis.name, (axis.name,), values, attributes)
    return tuple(axis.name for axis in axes)


def _write_coords(file: Any, coords: ArrayLike, prefix: str) -> None:
    file.dimensions[f"{prefix}point"] = coords.shape[-2]
    moving = len(coords.shape) == 3
    dims = ("time", f"{prefix}point") if moving else (f"{prefix}point",)
    names = [f"{prefix}{name}" for name in "xyz"[: coords.shape[-1]]]
    variables = [file.create_variable(name, dims, np.float64) for name in names]
    for variable, name in zip(variables, "XYZ", strict=False):
        variable.attrs["axis"] = name
    for frame in range(coords.shape[0] if moving else 1):
        at = np.asarray(coords[frame] if moving else coords[:], np.float64)
        for component, variable in enumerate(variables):
            variable[frame if moving else slice(None)] = at[:, component]


def _write_fields(file: Any, part: Any, dims: tuple[str, ...], attributes: Mapping[str, str] | None = None) -> None:
    for name, values in {**part.fields, **part.static}.items():
        channels, in_time = values.shape[-1], name in part.fields
        last: tuple[str, ...] = (f"{name}_channel",) if channels > 1 else ()
        if last:
            file.dimensions[last[0]] = channels
        variable = file.create_variable(name, (*(("time",) if in_time else ()), *dims, *last), np.float32)
        units = {"units": part.units[name]} if name in part.units else {}
        for key, value in {**(attributes or {}), **units}.items():
            variable.attrs[key] = value
        for frame in range(values.shape[0] if in_time else 1):
            given = np.asarray(values[frame] if in_time else values[:], np.float32)
            variable[frame if in_time else ...] = given if last else given[..., 0]


def _variable(file: Any, name: str, dims: tuple[str, ...], values: Any, attributes: dict[str, str]) -> None:
    variable = file.create_variable(name, dims, np.float64, data=values)
    for key, value in attributes.items():
        variable.attrs[key] = value
