"""PDEBench's files of one array per field: `tensor` in time, compressible flow, Darcy."""

from collections.abc import Sequence
from pathlib import Path

import h5py

from ups_data.errors import UpsDataError
from ups_data.sources.base import AXIS_NAMES, Source, number_key
from ups_data.sources.hdf5.files import lazy_dataset, numeric_attributes, opened, whole_dataset
from ups_data.sources.lazy import LazyArray
from ups_data.sources.pdebench.axes import axes_of, times
from ups_data.trajectory import Trajectory

VELOCITIES = ("Vx", "Vy", "Vz")


class FieldsLayout(Source):
    """Arrays [N,T,X[,Y,Z]] over all trajectories, beside `x-coordinate` …, `t-coordinate`.

    - `tensor`: one field `tensor`, (T, X, 1);
    - `density`, `pressure`, `Vx` [, `Vy`, `Vz`]: as many fields, each (T, X[, Y, Z], 1);
    - Darcy, `tensor` [N,1,X,Y] and `nu` [N,X,Y]: two fields, each (1, X, Y, 1), without time.

    The number of coordinates present decides the dimension, so a device axis [1,N,T,X], which the generators may
    leave, is told from a second space axis. Scalar attributes of the file (beta, Nu, rho, eta, zeta, M) are params.

    Raises:
        UpsDataError: a field is missing, or shapes disagree with the coordinates or with each other.
    """

    format = "pdebench"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with opened(path) as file:
            arrays = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
            params = numeric_attributes(file.attrs)
            coordinates = {
                name: whole_dataset(path, file, f"{name}-coordinate")
                for name in AXIS_NAMES
                if f"{name}-coordinate" in file
            }
            times_read = whole_dataset(path, file, "t-coordinate") if "t-coordinate" in file else None
            shapes = {name: array.shape for name, array in arrays.items()}
            others = [name for name in file if name not in arrays]
        self._params = params
        self._axes = axes_of(path, coordinates)
        self._grid = tuple(len(axis.coordinates) for axis in self._axes)
        self._times = times_read
        self._names = self._field_names(shapes)
        self._static = "nu" in self._names
        known = {*self._names, "t-coordinate", *(f"{axis.name}-coordinate" for axis in self._axes)}
        self._left_out = {name: "is no field of PDEBench's layouts" for name in (*shapes, *others) if name not in known}
        if self._static and times_read is not None:
            self._left_out["t-coordinate"] = "times of a problem without time"

        found = {name: self._split_shape(name, shapes[name]) for name in self._names}
        first = self._names[0]
        self._lead, self._frames = found[first]
        for name, axes in found.items():
            if axes != found[first]:
                raise UpsDataError(
                    f"{path}: {name} has shape {shapes[name]}, {first} has {shapes[first]}: "
                    "every field needs as many trajectories and frames"
                )
        self._time = None
        if times_read is not None and not self._static:
            self._time = times(path, "t-coordinate", times_read, self._frames)

    @staticmethod
    def fits(keys: Sequence[str]) -> bool:
        """Whether a file with these names at its top has this layout."""
        return "tensor" in keys or {"density", "pressure", "Vx"} & set(keys) != set()

    def __len__(self) -> int:
        return self._lead[-1]

    def __getitem__(self, number: int, /) -> Trajectory:
        with opened(self.path) as file:
            fields = {name: self._field(file, name, number) for name in self._names}
        return Trajectory(
            key=number_key(number, len(self)),
            source=str(self.path),
            fields=fields,
            time=self._time,
            params=dict(self._params),
            axes=self._axes,
            left_out=self._left_out,
        )

    def _field(self, file: h5py.File, name: str, number: int) -> LazyArray:
        prefix = (*[0] * (len(self._lead) - 1), number)
        shape = (self._frames, *self._grid, 1)
        return lazy_dataset(self.path, file[name], prefix, shape, add_time=name == "nu")

    def _field_names(self, shapes: dict[str, tuple[int, ...]]) -> tuple[str, ...]:
        if "tensor" in shapes:
            return ("tensor", "nu") if "nu" in shapes else ("tensor",)
        names = ("density", "pressure", *VELOCITIES[: len(self._grid)])
        missing = [name for name in names if name not in shapes]
        if missing:
            raise UpsDataError(
                f"{self.path}: holds {', '.join(shapes)}; compressible flow in {len(self._grid)}-D also needs "
                f"{', '.join(missing)}: add the missing fields"
            )
        return names

    def _split_shape(self, name: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        """The axes before time, (N,) or (1, N), and the number of frames."""
        time = () if name == "nu" else ("1",) if self._static else ("T",)
        tail = len(time) + len(self._grid)
        lead = shape[: max(len(shape) - tail, 0)]
        frames = shape[len(lead)] if time and lead else 1
        # a device axis is believed only where the times confirm which axis is time
        devices = len(lead) == 2 and lead[0] == 1 and (self._static or self._times is not None)
        one_frame = frames == 1 or not self._static
        if not (len(lead) == 1 or devices) or shape[-len(self._grid) :] != self._grid or not one_frame:
            expected = ", ".join(["N", *time, *map(str, self._grid)])
            raise UpsDataError(
                f"{self.path}: {name} has shape {shape}, [{expected}] is expected from its coordinates and times: "
                "correct the array or the coordinates"
            )
        return lead, frames
