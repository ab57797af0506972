"""NetCDF files and zarr groups, read by xarray: dimensions have names, coordinates may have CF's attributes."""

import importlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source, number_key, units_of
from ups_data.sources.content import Content, look_inside
from ups_data.sources.hdf5.files import opened
from ups_data.sources.hdf5.written import check_readable, check_written
from ups_data.sources.lazy import LazyArray
from ups_data.sources.netcdf.layout import Layout, layout_of
from ups_data.sources.netcdf.named_dims import SPACE
from ups_data.sources.netcdf.times import times_of
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.positions import finite, finite_frames
from ups_data.trajectory import ArrayLike, Axis, Trajectory

DEFAULT_FILL = 9.969209968386869e36  # NC_FILL_FLOAT and NC_FILL_DOUBLE of netcdf.h
# engine → what xarray needs for it
ENGINES = {"netcdf": ("scipy", "scipy"), "hdf5": ("h5netcdf", "h5netcdf"), "zarr": ("zarr", "zarr")}


class XarraySource(Source):
    """Variables on named dimensions; `named_dims.ROLES` says what a dimension is.

    - Variables on a grid (x [, y [, z]], in the file's order) or on points are fields (T, *grid, C) or (T, N, C), read
      by slices of time; without time they are static, or fields of one frame where nothing has time.
    - With a dimension of trajectories each is a trajectory; without one the file is a single one, named as the file.
    - Variables that have neither space nor points nor time are parameters; a series in time alone, bounds and text are
      left out by name.
    - The coordinates of dimensions are the grid's axes, with their units, and the times, in the file's units; times
      since a date are relative to the first frame. Points
      need coordinates x, y [, z] on them, (points,) or (time, points).

    Packed values (`scale_factor`) come out unpacked, missing ones (`_FillValue`, or NetCDF's default if the file
    declares none) as NaN. Chunks that were never written are refused, unless they stand for NaN.

    Raises:
        UpsDataError: xarray or what it needs is not installed, the file is damaged, or a dimension's meaning is not
            told, or differs between the fields.
    """

    format = "xarray"

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
        with _opened(self.path, engine) as dataset:
            self._layout = layout_of(self.path, engine, dataset, self.options.variables)
            unfilled = [name for name in self._layout.fields if "_FillValue" not in dataset[name].encoding]
        _check_chunks(self.path, engine, unfilled)

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind in ("netcdf", "zarr") or (content.kind == "hdf5" and content.netcdf)

    def __len__(self) -> int:
        return self._layout.count

    def __getitem__(self, number: int, /) -> Trajectory:
        layout = self._layout
        with _opened(self.path, layout.engine) as dataset:
            params = {name: float(_pick(layout, dataset, name, number).values) for name in layout.params}
            time, time_units, start = self._times(dataset) if layout.has("time") else (None, None, None)
            axes = _axes(layout, dataset)
            units = {name: units_of(dataset[name].attrs.get("units")) for name in layout.fields}
        in_time = [name for name in layout.fields if "time" in layout.roles_in(name)]
        still = [name for name in layout.fields if name not in in_time]
        return Trajectory(
            key=number_key(number, len(self)) if layout.has("trajectory") else self.path.stem,
            source=str(self.path),
            fields={name: _lazy(layout, name, number) for name in in_time or still},
            static={name: _lazy(layout, name, number, static=True) for name in still} if in_time else {},
            time=time if in_time else None,
            time_units=time_units if in_time else None,
            start=start if in_time else None,
            left_out=layout.left_out,
            params=params,
            axes=axes,
            coords=self._positions(number),
            units={name: unit for name, unit in units.items() if unit is not None},
        )

    def _times(self, dataset: Any) -> tuple[np.ndarray | None, str | None, str | None]:
        dim = next(dim for dim, role in self._layout.roles.items() if role == "time")
        if dim not in dataset.coords:
            return None, None, None
        return times_of(f"{self.path}: {dim}", np.asarray(dataset[dim].values), dataset[dim].attrs)

    def _positions(self, number: int) -> ArrayLike | None:
        layout = self._layout
        if not layout.positions:
            return None
        name = layout.positions[0]
        where = f"{self.path}: {', '.join(layout.positions)}"
        count = layout.length(name, "points")
        d = len(layout.positions)
        if "time" in layout.roles_in(name):
            shape = (layout.length(name, "time"), count, d)
            return finite_frames(where, LazyArray(shape, np.float64, partial(_read_positions, layout, number)))
        return finite(where, _read_positions(layout, number, 0, count))


def _axes(layout: Layout, dataset: Any) -> tuple[Axis, ...] | None:
    dims = [dim for dim in layout.dims[layout.fields[0]] if layout.roles[dim] in SPACE]
    if layout.positions or any(dim not in dataset.coords for dim in dims):
        return None
    return tuple(
        Axis(layout.roles[dim], np.asarray(dataset[dim].values), units=dataset[dim].attrs.get("units")) for dim in dims
    )


def _lazy(layout: Layout, name: str, number: int, static: bool = False) -> LazyArray:
    """(T, *space, C), or (*space, C) if `static`."""
    lengths = [n for dim, n in layout.dims[name].items() if layout.roles[dim] != "trajectory"]
    shape = (*lengths, *(() if "channel" in layout.roles_in(name) else (1,)))
    frame = "time" not in layout.roles_in(name) and not static
    return LazyArray((1, *shape) if frame else shape, layout.dtypes[name], partial(_read, layout, name, number, frame))


def _pick(layout: Layout, dataset: Any, name: str, number: int) -> Any:
    """The variable of one trajectory, its dimensions in order."""
    variable = dataset[name]
    lead = {dim: number for dim in variable.dims if layout.roles[dim] == "trajectory"}
    return variable.transpose(*layout.dims[name]).isel(lead)


def _read(layout: Layout, name: str, number: int, frame: bool, start: int, stop: int) -> np.ndarray:
    with _opened(layout.path, layout.engine) as dataset:
        variable = _pick(layout, dataset, name, number)
        values = variable.values if frame else variable.isel({variable.dims[0]: slice(start, stop)}).values
        return _without_default_fill(values, variable)


def _without_default_fill(values: np.ndarray, variable: Any) -> np.ndarray:
    """What NetCDF's default fill value stands for was never written, if the file declares no other."""
    if values.dtype.kind != "f" or {"_FillValue", "missing_value"} & (set(variable.encoding) | set(variable.attrs)):
        return values
    return np.where(values == values.dtype.type(DEFAULT_FILL), values.dtype.type(np.nan), values)


def _read_positions(layout: Layout, number: int, start: int, stop: int) -> np.ndarray:
    components = [_read(layout, name, number, False, start, stop) for name in layout.positions]
    return np.stack(components, axis=-1).astype(np.float64, copy=False)


def _check_chunks(path: Path, engine: str, names: Sequence[str]) -> None:
    """Variables without a fill value of their own were written in full: else what is missing would be a number."""
    if engine == "hdf5":
        with opened(path) as file:
            for name in names:
                check_readable(path, file[name])
                check_written(path, file[name], (), ())
    elif engine == "zarr":
        group = importlib.import_module("zarr").open_group(path, mode="r")
        for name in names:
            array = group[name]
            if array.fill_value != array.fill_value or array.nchunks_initialized == array.nchunks:
                continue
            raise UpsDataError(
                f"{path}: {name} has {array.nchunks_initialized:,} of {array.nchunks:,} chunks, the others were never "
                "written: complete it, or declare a _FillValue for what is missing"
            )


@contextmanager
def _opened(path: Path, engine: str) -> Iterator[Any]:
    xarray = importlib.import_module("xarray")  # an optional extra
    options: dict[str, Any] = {"decode_times": False, "decode_coords": "all", "cache": False}
    if engine == "zarr":
        _refuse_pickles(path)
        options["consolidated"] = False  # the same for both kinds of group, and no warning
    try:
        with xarray.open_dataset(path, engine=engine, **options) as dataset:
            yield dataset
    except UpsDataError:
        raise
    except Exception as error:  # whatever the damage leads to in any of the engines
        reason = " ".join(str(error).split())[:200]
        raise UpsDataError(
            f"{path}: cannot be read by xarray, it is truncated or damaged: download or copy it again ({reason})"
        ) from error


def _refuse_pickles(path: Path) -> None:
    """Not every version of numcodecs refuses to run its codec `pickle` on what a chunk holds."""
    for file in (*path.glob("*/.zarray"), *path.glob("*/zarr.json")):
        try:
            metadata = json.dumps(json.loads(file.read_text()))
        except (OSError, ValueError) as error:
            raise UpsDataError(f"{file}: is not JSON, the group is damaged: copy it again ({error})") from error
        if 'pickle"' in metadata:
            raise UpsDataError(f"{file}: is coded by pickle, which could run code and is refused: write it without")
