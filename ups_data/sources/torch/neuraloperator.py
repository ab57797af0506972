"""The neuraloperator project's `.pt` files: tensors in a dict (Darcy, Burgers) or a list of dicts (car surfaces)."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source, number_key
from ups_data.sources.content import Content
from ups_data.sources.lazy import LazyArray
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.torch import files as torch_files
from ups_data.sources.torch.clouds import Clouds
from ups_data.trajectory import Trajectory


class NeuraloperatorSource(Source):
    """A file of torch.save that holds tensors and plain containers only; they are read by slices.

    - Static (Darcy): `x` and `y` [N, *grid]; both are fields (1, *grid, 1).
    - In time (Burgers): `x` [N, *grid] is the static field `x` (*grid, 1), `y` [N, T, *grid] the field `y`
      (T, *grid, 1). For both, any other tensor of one number or of one for each trajectory (`visc`) is a param.
    - A list of dicts, one trajectory each, N its own: see `Clouds`.

    Dtypes stay as they are: bool, float64. The format has neither times nor axes.

    Raises:
        UpsDataError: unpickling anything but tensors and plain containers would be needed, the file is damaged, or its
            tensors are none of these.
    """

    format = "neuraloperator"

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        loaded = torch_files.load(self.path, options)
        if isinstance(loaded, dict):
            self._trajectories: _Grids | Clouds = _Grids(self.path, loaded)
        elif isinstance(loaded, list) and all(isinstance(item, dict) for item in loaded):
            self._trajectories = Clouds(self.path, loaded, self.options.variables)
        else:
            raise UpsDataError(
                f"{self.path}: holds a {torch_files.kind_of(loaded)}, a dict of tensors x and y or a list of dicts "
                "with vertices and press is expected: save one of these"
            )

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind == "torch"

    def __len__(self) -> int:
        return len(self._trajectories)

    def __getitem__(self, number: int, /) -> Trajectory:
        return self._trajectories.trajectory(number, number_key(number, len(self)))


class _Grids:
    def __init__(self, path: Path, loaded: dict[str, Any]) -> None:
        self._path = path
        arrays = torch_files.arrays(path, loaded)
        missing = [name for name in ("x", "y") if name not in arrays]
        if missing:
            raise UpsDataError(
                f"{path}: a dict with {', '.join(map(str, loaded)) or 'nothing'} but without a tensor "
                f"{' and '.join(missing)}: save x and y"
            )
        self._x, self._y = arrays.pop("x"), arrays.pop("y")
        x, y = self._x.shape, self._y.shape
        self._in_time = len(y) == len(x) + 1
        if len(x) not in (2, 3) or y != (x[0], *(y[1:2] if self._in_time else ()), *x[1:]):
            raise UpsDataError(
                f"{path}: x has shape {x} and y has {y}; x [N, *grid] and y [N, *grid] or [N, T, *grid], with one or "
                "two axes of space, are expected: save them so"
            )
        count = x[0]
        self._params = {
            str(name): np.broadcast_to(values.whole().reshape(-1), (count,))
            for name, values in arrays.items()
            if values.size in (1, count)
        }
        self._left_out = {
            str(name): "holds neither one number nor one for each trajectory"
            for name in loaded
            if str(name) not in ("x", "y", *self._params)
        }

    def __len__(self) -> int:
        return len(self._x)

    def trajectory(self, number: int, key: str) -> Trajectory:
        x, y = self._x, self._y
        return Trajectory(
            key=key,
            source=str(self._path),
            fields={"y": _rows(y, number)} if self._in_time else {"x": _frame(x, number), "y": _frame(y, number)},
            static={"x": _rows(x, number)} if self._in_time else {},
            params={name: float(values[number]) for name, values in self._params.items()},
            left_out=self._left_out,
        )


def _rows(array: torch_files.Array, number: int) -> LazyArray:
    """`array[number]` with a channel."""
    return LazyArray((*array.shape[1:], 1), array.dtype, partial(array.rows, number))


def _frame(array: torch_files.Array, number: int) -> LazyArray:
    """`array[number]` with a channel, as the only frame."""
    return LazyArray((1, *array.shape[1:], 1), array.dtype, partial(_one, array, number))


def _one(array: torch_files.Array, number: int, start: int, stop: int) -> np.ndarray:
    return array[number]
