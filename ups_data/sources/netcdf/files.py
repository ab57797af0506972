"""NetCDF files and zarr groups, read by xarray: dimensions have names, coordinates may have CF's attributes."""

import importlib
import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source, number_key, units_of
from ups_data.sources.content import Content, look_inside
from ups_data.sources.lazy import LazyArray
from ups_data.sources.netcdf.named_dims import SPACE, in_order, role_of, roles_of
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.positions import finite, finite_frames
from ups_data.trajectory import ArrayLike, Axis, Trajectory

# engine → what xarray needs for it
ENGINES = {"netcdf": ("scipy", "scipy"), "hdf5": ("h5netcdf", "h5netcdf"), "zarr": ("zarr", "zarr")}


class XarraySource(Source):
    """Variables on named dimensions; `named_dims.ROLES` says what a dimension is.

    - Variables on a grid (x [, y [, z]], in the file's order) or on points are fields (T, *grid, C) or (T, N, C), read
      by slices of time; without time they are static, or fields of one frame where nothing has time.
    - With a dimension of trajectories each is a trajectory; without one the file is a single one, named as the file.
    - Variables that have neither space nor points nor time are parameters; a series in time alone is left out.
    - The coordinates of dimensions are the grid's axes, with their units, and the times, in the file's units. Points
      need coordinates x, y [, z] on them, (points,) or (time, points).

    Packed values (`scale_factor`) come out unpacked, missing ones (`_FillValue`) as NaN.

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
            self._layout = _layout(self.path, engine, dataset)

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind in ("netcdf", "zarr") or (content.kind == "hdf5" and content.netcdf)

    def __len__(self) -> int:
        return self._layout.count

    def __getitem__(self, number: int, /) -> Trajectory:
        layout = self._layout
        with _opened(self.path, layout.engine) as dataset:
            params = {name: float(_pick(layout, dataset[name], number).values) for name in layout.params}
            time = _times(layout, dataset)
            axes = _axes(layout, dataset)
            units = {name: units_of(dataset[name].attrs.get("units")) for name in layout.fields}
        in_time = [name for name in layout.fields if "time" in layout.roles_in(name)]
        still = [name for name in layout.fields if name not in in_time]
        return Trajectory(
            key=number_key(number, len(self)) if layout.has("trajectory") else self.path.stem,
            source=str(self.path),
            fields={name: layout.lazy(name, number) for name in in_time or still},
            static={name: layout.lazy(name, number, static=True) for name in still} if in_time else {},
            time=time if in_time else None,
            params=params,
            axes=axes,
            coords=self._positions(number),
            units={name: unit for name, unit in units.items() if unit is not None},
        )

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


@dataclass(frozen=True)
class _Layout:
    """What a file's variables are. `dims`: variable → its dimensions in this project's order, with their lengths."""

    path: Path
    engine: str
    roles: dict[str, str]
    dims: dict[str, dict[str, int]]
    dtypes: dict[str, np.dtype]
    fields: tuple[str, ...]
    params: tuple[str, ...]
    positions: tuple[str, ...]

    def has(self, role: str) -> bool:
        return role in self.roles.values()

    def roles_in(self, name: str) -> list[str]:
        return [self.roles[dim] for dim in self.dims[name]]

    def length(self, name: str, role: str) -> int:
        return next(n for dim, n in self.dims[name].items() if self.roles[dim] == role)

    @property
    def count(self) -> int:
        lengths = [self.length(name, "trajectory") for name in self.fields if "trajectory" in self.roles_in(name)]
        return lengths[0] if lengths else 1

    def lazy(self, name: str, number: int, static: bool = False) -> LazyArray:
        """(T, *space, C), or (*space, C) if `static`."""
        lengths = [n for dim, n in self.dims[name].items() if self.roles[dim] != "trajectory"]
        shape = (*lengths, *(() if "channel" in self.roles_in(name) else (1,)))
        frame = "time" not in self.roles_in(name) and not static
        return LazyArray((1, *shape) if frame else shape, self.dtypes[name], partial(_read, self, name, number, frame))


def _layout(path: Path, engine: str, dataset: Any) -> _Layout:
    # a zarr group has its arrays in the order in which the file system lists them
    names = sorted(dataset.data_vars, key=str) if engine == "zarr" else list(dataset.data_vars)
    variables = {name: dataset[name] for name in names if dataset[name].dtype.kind in "biuf"}
    used = {dim: int(n) for v in variables.values() for dim, n in v.sizes.items()}
    roles = roles_of(str(path), used, {dim: dataset[dim].attrs for dim in used if dim in dataset.coords})
    on_points = {dim for dim, role in roles.items() if role == "points"}
    positions = {
        role_of(name, v.attrs): name
        for name, v in dataset.variables.items()
        if on_points & set(v.dims) and set(v.dims) <= set(roles) and role_of(name, v.attrs) in SPACE
    }
    found = {name: set(v.dims) for name, v in variables.items() if name not in positions.values()}
    space = {name: [d for d in variables[name].dims if roles[d] in (*SPACE, "points")] for name in found}
    fields = tuple(name for name in found if space[name])
    if not fields:
        raise UpsDataError(
            f"{path}: its variables ({', '.join(map(str, dataset.variables)) or 'none'}) lie on no grid and no points: "
            "give a field the dimensions x, y, z or points"
        )
    for name in fields:
        if space[name] != space[fields[0]]:
            raise UpsDataError(
                f"{path}: {name} lies on {', '.join(space[name])}, {fields[0]} on {', '.join(space[fields[0]])}: "
                "put them into different files"
            )
    ordered = [positions[axis] for axis in SPACE if axis in positions]
    if on_points and not ordered:
        raise UpsDataError(f"{path}: its points have no coordinates: add x, y[, z] on {', '.join(on_points)}")
    if any(dataset[name].dims != dataset[ordered[0]].dims for name in ordered):
        raise UpsDataError(f"{path}: {', '.join(ordered)} have different dimensions: give them the same")
    dims = {
        name: {dim: int(dataset.sizes[dim]) for dim in in_order(dataset[name].dims, roles)}
        for name in (*found, *ordered)
    }
    return _Layout(
        path=path,
        engine=engine,
        roles=roles,
        dims=dims,
        dtypes={name: dataset[name].dtype for name in dims},
        fields=fields,
        params=tuple(name for name, names in found.items() if {roles[d] for d in names} <= {"trajectory"}),
        positions=tuple(ordered),
    )


def _times(layout: _Layout, dataset: Any) -> np.ndarray | None:
    dim = next((dim for dim, role in layout.roles.items() if role == "time"), None)
    if dim is None or dim not in dataset.coords or dataset[dim].dtype.kind not in "iuf":
        return None
    return np.asarray(dataset[dim].values)


def _axes(layout: _Layout, dataset: Any) -> tuple[Axis, ...] | None:
    dims = [dim for dim in layout.dims[layout.fields[0]] if layout.roles[dim] in SPACE]
    if layout.positions or any(dim not in dataset.coords for dim in dims):
        return None
    return tuple(
        Axis(layout.roles[dim], np.asarray(dataset[dim].values), units=dataset[dim].attrs.get("units")) for dim in dims
    )


def _pick(layout: _Layout, variable: Any, number: int) -> Any:
    """The variable of one trajectory, its dimensions in order."""
    lead = {dim: number for dim in variable.dims if layout.roles[dim] == "trajectory"}
    return variable.transpose(*in_order(variable.dims, layout.roles)).isel(lead)


def _read(layout: _Layout, name: str, number: int, frame: bool, start: int, stop: int) -> np.ndarray:
    with _opened(layout.path, layout.engine) as dataset:
        variable = _pick(layout, dataset[name], number)
        return variable.values if frame else variable.isel({variable.dims[0]: slice(start, stop)}).values


def _read_positions(layout: _Layout, number: int, start: int, stop: int) -> np.ndarray:
    components = [_read(layout, name, number, False, start, stop) for name in layout.positions]
    return np.stack(components, axis=-1).astype(np.float64, copy=False)


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
