"""Files of The Well."""

from functools import partial
from pathlib import Path

import h5py
import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import SPLITS, Source, number_key
from ups_data.sources.content import Content, look_inside
from ups_data.sources.hdf5.files import opened, whole_dataset
from ups_data.sources.lazy import LazyArray
from ups_data.sources.limits import check_count
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.well.boundaries import left_out_of, periodic_axes, texts
from ups_data.sources.well.variables import Variable, flag, variable_of
from ups_data.trajectory import Axis, Trajectory

ORDERS = ("t0_fields", "t1_fields", "t2_fields")
PARTS = {"dimensions", "boundary_conditions", "scalars", *ORDERS}


class WellSource(Source):
    """A file of The Well, of as many trajectories as its attribute `n_trajectories` says.

        convert("datasets/turbulent_radiative_layer_2D", "data/trl")   # data/{train,valid,test}/*.hdf5

    - `t0_fields`, `t1_fields`, `t2_fields`: fields (T, *grid, C) with 1, D and D² channels (tensors row by row); those
      that do not change in time are static. An axis whose flag is false is filled in.
    - `scalars`: one number for each trajectory is a parameter; a scalar in time is a field, the same at every point.
      A simulation parameter that only the attributes have is a parameter too.
    - Axes have the names, the order and the coordinates of `dimensions`; they are periodic where a boundary condition
      says so. Masks and values of boundary conditions are left out by name.

    Raises:
        UpsDataError: an array has another shape than its flags say, two variables have one name, or the grid moves.
    """

    format = "well"

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        content = look_inside(self.path, options)
        if not self.recognises(content):
            raise UpsDataError(f"{path}: {content}, dimensions and t0_fields … of The Well are expected")
        with opened(self.path) as file:
            self._read_dimensions(file)
            self._fields = self._variables_of_space(file)
            self._scalars = self._read_scalars(file)
            self._attributes = self._read_attributes(file)
            self._periodic = periodic_axes(self.path, file, self._dims)
            self._left_out |= left_out_of(file)
            self._left_out |= {name: "is no part of The Well's format" for name in file if name not in PARTS}
        names = [*self._fields, *self._scalars]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UpsDataError(f"{path}: two variables are called {twice!r}: rename one of them")

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind == "hdf5" and "dimensions" in content.keys and bool(set(ORDERS) & set(content.keys))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int, /) -> Trajectory:
        number = range(self._count)[number]
        frames, grid = self._frames, self._grid
        fields = {name: v.field(number, frames, grid) for name, v in self._fields.items()}
        in_time = {name: fields.pop(name) for name, v in self._fields.items() if v.in_time}
        params = dict(self._attributes)
        for name, scalar in self._scalars.items():
            values = scalar.values(number)
            if scalar.in_time:
                in_time[name] = _everywhere(values, grid)
            else:
                params[name] = float(values)
        static = fields
        if not in_time:  # a problem without time is one frame
            in_time, static = {name: _one_frame(array) for name, array in fields.items()}, {}
        with opened(self.path) as file:
            time = self._of_dimension(file, "time", number)
            axes = tuple(
                Axis(dim, self._of_dimension(file, dim, number), periodic=self._periodic.get(dim)) for dim in self._dims
            )
        return Trajectory(
            key=number_key(number, self._count),
            source=str(self.path),
            fields=in_time,
            static=static,
            time=time if len(time) == next(iter(in_time.values())).shape[0] else None,
            params=params,
            axes=axes,
            split=SPLITS.get(self.path.parent.name),
            left_out=self._left_out,
        )

    def splits(self) -> list[str | None]:
        """See `Source.splits`: the folder's name."""
        return [SPLITS.get(self.path.parent.name)] * self._count

    def _read_dimensions(self, file: h5py.File) -> None:
        dimensions = file["dimensions"]
        self._dims = texts(dimensions.attrs.get("spatial_dims", []))
        wanted = [*self._dims, "time"]
        shapes: dict[str, tuple[int, ...]] = {n: getattr(dimensions.get(n), "shape", None) or () for n in wanted}
        missing = [name for name, shape in shapes.items() if not shape]
        if missing or not 1 <= len(self._dims) <= 3:
            raise UpsDataError(
                f"{self.path}: dimensions has {', '.join(dimensions) or 'nothing'} and spatial_dims "
                f"{self._dims}: one to three dimensions of space, each with its coordinates, and time are expected"
            )
        moving = [name for name in self._dims if flag(dimensions[name], "time_varying")]
        if moving:
            raise UpsDataError(
                f"{self.path}: the grid moves along {', '.join(moving)}: interpolate to one that does not"
            )
        self._grid = tuple(int(shapes[name][-1]) for name in self._dims)
        self._frames = int(shapes["time"][-1])
        self._by_sample = {name for name in wanted if flag(dimensions[name], "sample_varying")}
        count = file.attrs.get("n_trajectories")
        if count is None or np.asarray(count).size != 1 or int(np.asarray(count).item()) < 1:
            raise UpsDataError(f"{self.path}: the attribute n_trajectories is {count}: give the number of trajectories")
        self._count = int(np.asarray(count).item())
        check_count(self.path, self._count)
        for name in wanted:
            expected = (self._count, shapes[name][-1]) if name in self._by_sample else shapes[name][-1:]
            if shapes[name] != expected:
                raise UpsDataError(f"{self.path}: dimensions.{name} has shape {shapes[name]}, {expected} is expected")
        self._left_out = {f"dimensions.{name}": "is no dimension of space" for name in dimensions if name not in wanted}

    def _of_dimension(self, file: h5py.File, name: str, number: int) -> np.ndarray:
        values = whole_dataset(self.path, file["dimensions"], name)
        return values[number] if name in self._by_sample else values

    def _variables_of_space(self, file: h5py.File) -> dict[str, Variable]:
        found: dict[str, Variable] = {}
        for order, group in enumerate(ORDERS):
            for name, variable in self._of_group(file, group, order).items():
                if name in found:
                    raise UpsDataError(f"{self.path}: two fields are called {name!r}: rename one of them")
                found[name] = variable
        if not found:
            raise UpsDataError(f"{self.path}: holds no field in {', '.join(ORDERS)}: add one")
        return found

    def _read_scalars(self, file: h5py.File) -> dict[str, Variable]:
        return self._of_group(file, "scalars", -1)

    def _of_group(self, file: h5py.File, group: str, order: int) -> dict[str, Variable]:
        """name → variable, of those that the group lists; without a list, of all."""
        held = file.get(group)
        if not isinstance(held, h5py.Group):
            return {}
        names = texts(held.attrs["field_names"]) if "field_names" in held.attrs else list(held)
        self._left_out |= {f"{group}.{name}": "not among field_names" for name in held if name not in names}
        return {
            name: variable_of(
                self.path, held.get(name), f"{group}/{name}", order, self._grid, self._count, self._frames
            )
            for name in names
        }

    def _read_attributes(self, file: h5py.File) -> dict[str, float]:
        """Simulation parameters that are no scalars: one number for the file each."""
        names = texts(file.attrs.get("simulation_parameters", []))
        found: dict[str, float] = {}
        for name in names:
            value = np.asarray(file.attrs.get(name, np.nan))
            if name in self._scalars:
                continue
            if value.size == 1 and value.dtype.kind in "biuf" and np.isfinite(value).all():
                found[name] = float(value.reshape(()))
            else:
                self._left_out[f"simulation_parameters.{name}"] = "holds no single number"
        return found


def _everywhere(values: np.ndarray, grid: tuple[int, ...]) -> LazyArray:
    """(T, *grid, 1) of one value for each frame."""
    return LazyArray((len(values), *grid, 1), values.dtype, partial(_repeated, values, grid))


def _repeated(values: np.ndarray, grid: tuple[int, ...], start: int, stop: int) -> np.ndarray:
    lead = values[start:stop].reshape(-1, *[1] * len(grid), 1)
    return np.broadcast_to(lead, (stop - start, *grid, 1))


def _one_frame(array: LazyArray) -> LazyArray:
    return LazyArray((1, *array.shape), array.dtype, partial(_whole, array))


def _whole(array: LazyArray, start: int, stop: int) -> np.ndarray:
    return array[:]
