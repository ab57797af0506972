"""A folder for each case, in it a file for each quantity: UPT's, AB-UPT's and noether's data, ShapeNet-Car."""

from collections.abc import Iterable, Sequence
from os.path import realpath
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.sources.cases import names as case_names
from ups_data.sources.cases.arrays import CaseArray, open_file, points_axis, stacked
from ups_data.sources.cases.names import COMPONENTS, Quantity, SetName
from ups_data.sources.content import look_inside
from ups_data.sources.listing import list_folder, named
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.positions import are_positions, finite, finite_frames, own_field
from ups_data.sources.torch.files import number_of
from ups_data.trajectory import ArrayLike, PointSet, Trajectory


class CaseSource(Source):
    """Cases of `.npy` files or saved tensors (`.pt`, `.th`), named `<set>_<quantity>`, one trajectory each.

    - The quantity `position` (or another name of COORDINATES) is the set's coordinates, [N, d] or [d, N], or [T, N, d]
      where points move; what follows the word tells sets of one name apart (`surface_position_vtp`). Without such a
      file, `x`, `y` [, `z`] [N] are the coordinates of the set without a name.
    - Any other file is a field of its set, under the file's name: [N], [N, C], [1, N] or [T, N, C]. A file whose name
      begins with no set's belongs to the set without a name, or to the only set that there is.
    - `00000012_mesh.th`, [N], [N, C] or [C, N], is the frame 12 of `mesh`: numbers are evenly spaced, the same for
      every numbered quantity. Where anything is in time, arrays without time are static.
    - `time` [T]; a single number, or a dict of numbers: parameters.
    - Triangles, edges and the like (LEFT_OUT) are left out. Points that carry nothing carry their positions.

    One set of points is the trajectory's own; several are its `sets`. A case is opened when it is reached, and each
    file only while it is read. Keys are the cases' paths in the folder.

    Raises:
        UpsDataError: at iteration, a case without coordinates, or with a file that belongs to no set of points.
    """

    format = "cases"

    def __init__(
        self, path: str | Path, options: SourceOptions = DEFAULTS, folders: Sequence[Path] | None = None
    ) -> None:
        super().__init__(path, options)  # no single file is recognised as a case; `are_cases` tells folders
        self._folders = [self.path] if folders is None else list(folders)

    def __len__(self) -> int:
        return len(self._folders)

    def __getitem__(self, number: int, /) -> Trajectory:
        folder = self._folders[number]
        key = folder.relative_to(self.path).as_posix()
        return _Case(folder).trajectory(key if key != "." else Path(realpath(folder)).name)


def are_cases(leaves: Iterable[tuple[Path, list[Path]]]) -> bool:
    """Whether any of the folders, each with its files, holds an array by a name of coordinates."""
    files = (file for _, files in leaves for file in files if case_names.names_coordinates(file.stem))
    return any(map(_is_array, files))


def _is_array(file: Path) -> bool:
    try:
        return look_inside(file).kind in ("npy", "torch")
    except UpsDataError:  # whoever opens it will say so
        return False


class _Case:
    """One folder, its files sorted into coordinates, fields, parameters and times."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        files, folders = list_folder(folder)
        if folders:
            raise UpsDataError(f"{folder}: holds files beside folders ({named(folders)}): move those elsewhere")
        found = case_names.quantities(folder, files)
        self._params: dict[str, float] = {}
        self._left_out: dict[str, str] = {}
        self._arrays: dict[str, tuple[Quantity, tuple[int, ...], np.dtype]] = {}
        for name, quantity in found.items():
            if case_names.LEFT_OUT.fullmatch(name):
                self._left_out[name] = "connects points or is an image of the domain, no field on points"
                continue
            held = open_file(quantity.files[0])
            if isinstance(held, dict):
                self._params |= held
            else:
                self._arrays[name] = (quantity, held.shape, held.dtype)
        self._coords = self._find_coordinates()
        self._labels = case_names.set_labels(list(self._coords))
        self._members: dict[SetName, list[CaseArray]] = {s: [] for s in self._coords}
        self._time = self._read_time()
        self._assign()
        self._frames = self._count_frames()

    def trajectory(self, key: str) -> Trajectory:
        sets = {self._labels[s]: self._point_set(s) for s in self._coords}
        whole = next(iter(sets.values())) if len(sets) == 1 else PointSet(np.empty((0, 0)), {})
        return Trajectory(
            key=key,
            source=str(self._folder),
            fields=whole.fields,
            static=whole.static,
            time=self._time,
            params=self._params,
            coords=whole.coords if len(sets) == 1 else None,
            sets=sets if len(sets) > 1 else {},
            left_out=self._left_out,
        )

    def _find_coordinates(self) -> dict[SetName, list[CaseArray]]:
        """set → the array of its coordinates, or one for each of x, y, z; they are taken out of the arrays."""
        coords: dict[SetName, list[CaseArray]] = {}
        for name in list(self._arrays):
            quantity, shape, dtype = self._arrays[name]
            label = case_names.coordinates_in(name)
            axis = _axis_of_positions(shape, quantity.numbered)
            if label is None or axis is None:
                continue
            if label in coords:
                other = coords[label][0].quantity.files[0].name
                raise UpsDataError(
                    f"{self._folder}: {other} and {quantity.files[0].name} are both coordinates: keep one of them"
                )
            coords[label] = [CaseArray(quantity, shape, dtype, axis)]
            del self._arrays[name]
        components = [c for c in COMPONENTS if c in self._arrays and len(self._arrays[c][1]) == 1]
        if SetName("") not in coords and components[:1] == ["x"]:
            arrays = [CaseArray(*self._arrays.pop(c), axis=0) for c in components]
            if len({array.shape for array in arrays}) > 1:
                shapes = ", ".join(f"{array.quantity.name} has shape {array.shape}" for array in arrays)
                raise UpsDataError(f"{self._folder}: {shapes}: coordinates need as many values in each")
            coords[SetName("")] = arrays
        if not coords:
            held = ", ".join(f"{name} {shape}" for name, (_, shape, _) in self._arrays.items()) or "no array"
            raise UpsDataError(
                f"{self._folder}: no coordinates of points among its files ({held}): name them position or "
                "<set>_position, [N, d] with d of 1 to 3, or give x, y[, z], [N] each"
            )
        return coords

    def _read_time(self) -> np.ndarray | None:
        if "time" not in self._arrays:
            return None
        quantity, shape, _ = self._arrays.pop("time")
        time = open_file(quantity.files[0])
        if quantity.numbered or len(shape) != 1 or isinstance(time, dict):
            raise UpsDataError(f"{quantity.files[0]}: time has shape {shape}, one time for each frame is expected")
        return time.whole()

    def _assign(self) -> None:
        """Each array to the set that its name and its shape mean, or to the parameters."""
        sizes = {s: arrays[0].frame_shape[0] for s, arrays in self._coords.items()}
        for name, (quantity, shape, dtype) in self._arrays.items():
            where = f"{self._folder}: {quantity.files[0].name}"
            near = case_names.candidates(name, self._coords)
            axes = {s: points_axis(where, shape, sizes[s], quantity.numbered) for s in near}
            fitting = [(s, axis) for s, axis in axes.items() if axis is not None]
            if len(fitting) == 1:
                s, axis = fitting[0]
                self._members[s].append(CaseArray(quantity, shape, dtype, axis))
            elif not fitting and int(np.prod(shape)) == 1 and not quantity.numbered:
                value = open_file(quantity.files[0])
                assert not isinstance(value, dict)
                self._params[name] = number_of(value)
            else:
                counts = ", ".join(f"{self._labels[s]} of {n} points" for s, n in sizes.items())
                which = "several sets" if fitting else "none of its sets"
                raise UpsDataError(
                    f"{where} has shape {shape} and fits {which} of points ({counts}): a field on N points is [N], "
                    "[N, C] or [T, N, C] and named <set>_<quantity>; correct it or move it elsewhere"
                )

    def _count_frames(self) -> int | None:
        """Frames of everything in time, None where nothing is."""
        arrays = [a for group in (*self._coords.values(), *self._members.values()) for a in group]
        lengths = {array.quantity.name: array.frames for array in arrays if array.in_time}
        if self._time is not None:
            lengths["time"] = len(self._time)
        if len(set(lengths.values())) > 1 or ("time" in lengths and len(lengths) == 1 and lengths["time"] != 1):
            found = ", ".join(f"{name} has {n}" for name, n in lengths.items())
            raise UpsDataError(f"{self._folder}: frames differ, {found}: give all that change in time as many")
        return next(iter(lengths.values()), None) if any(array.in_time for array in arrays) else None

    def _point_set(self, s: SetName) -> PointSet:
        coords = self._positions(self._coords[s])
        fields: dict[str, ArrayLike] = {}
        static: dict[str, ArrayLike] = {}
        for array in self._members[s]:
            if array.in_time or self._frames is None:
                fields[array.quantity.name] = array.as_frames()
            else:
                static[array.quantity.name] = array.as_static()
        name = self._coords[s][0].quantity.name if len(self._coords[s]) == 1 else "position"
        if not fields and (self._frames is None or len(coords.shape) == 3):
            fields.update(own_field(name, coords))
        elif not fields and not static:  # points that stand still beside others in time
            static[name] = coords
        return PointSet(coords, fields, static)

    def _positions(self, arrays: list[CaseArray]) -> Any:
        where = str(arrays[0].quantity.files[0])
        if len(arrays) > 1 or len(arrays[0].shape) == 1:
            return finite(where, stacked(arrays))
        if arrays[0].in_time:
            return finite_frames(where, arrays[0].as_frames())
        return finite(where, arrays[0].read(arrays[0].quantity.files[0]))


def _axis_of_positions(shape: tuple[int, ...], numbered: bool) -> int | None:
    """Which axis is points in [N, d], [d, N] or [T, N, d]; None where the shape is none of these."""
    if are_positions(shape, lead=(1,) if numbered else (1, 2)):
        return len(shape) - 2
    return 1 if are_positions(shape[::-1], lead=(1,)) else None
