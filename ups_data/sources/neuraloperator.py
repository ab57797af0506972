"""The neuraloperator project's `.pt` files: tensors in a dict (Darcy, Burgers) or a list of dicts (car surfaces)."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import number_keys
from ups_data.sources.content import Content
from ups_data.trajectory import Trajectory

if TYPE_CHECKING:
    import torch


class NeuraloperatorSource:
    """A file of torch.save that holds tensors and plain containers only; its storage is mapped, not read.

    - Static (Darcy): `x` and `y` [N, *grid]; both are fields (1, *grid, 1).
    - In time (Burgers): `x` [N, *grid] is the static field `x` (*grid, 1), `y` [N, T, *grid] the field `y`
      (T, *grid, 1). For both, any other tensor of one number or of one for each trajectory (`visc`) is a param.
    - A list of dicts, one trajectory each, with `vertices` [N, d] and `press` [1, N]: fields on points, (1, N, C), of
      every tensor [1, N], [N] or [N, C]. Others (triangles, distance grids) are left out.

    Dtypes stay as they are: bool, float64. The format has neither times nor axes.

    Raises:
        UpsDataError: unpickling anything but tensors and plain containers would be needed, the file is damaged, or its
            tensors are none of these.
    """

    format = "neuraloperator"

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        loaded = _load(self._path)
        if isinstance(loaded, dict):
            self._trajectories: _Grids | _Cars = _Grids(self._path, loaded)
        elif isinstance(loaded, list) and all(isinstance(item, dict) for item in loaded):
            self._trajectories = _Cars(self._path, loaded)
        else:
            raise UpsDataError(
                f"{self._path}: holds a {type(loaded).__name__}, a dict of tensors x and y or a list of dicts with "
                "vertices and press is expected: save one of these"
            )

    @staticmethod
    def recognises(content: Content) -> bool:
        return content.kind == "torch"

    def __len__(self) -> int:
        return len(self._trajectories)

    def __iter__(self) -> Iterator[Trajectory]:
        for number, key in enumerate(number_keys(len(self))):
            yield self._trajectories.trajectory(number, key)

    def splits(self) -> list[str | None]:
        return [None] * len(self)


class _Grids:
    def __init__(self, path: Path, loaded: dict[str, Any]) -> None:
        self._path = path
        arrays = _arrays(path, loaded)
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
            str(name): np.broadcast_to(values.reshape(-1), (count,))
            for name, values in arrays.items()
            if values.size in (1, count)
        }

    def __len__(self) -> int:
        return len(self._x)

    def trajectory(self, number: int, key: str) -> Trajectory:
        x, y = self._x[number][..., None], self._y[number][..., None]
        return Trajectory(
            key=key,
            source=str(self._path),
            fields={"y": y} if self._in_time else {"x": x[None], "y": y[None]},
            static={"x": x} if self._in_time else {},
            params={name: float(values[number]) for name, values in self._params.items()},
        )


class _Cars:
    def __init__(self, path: Path, loaded: list[dict[str, Any]]) -> None:
        self._path = path
        self._cars = [_arrays(path, car) for car in loaded]
        for number, car in enumerate(self._cars):
            vertices, pressure = car.get("vertices"), car.get("press")
            if vertices is None or pressure is None:
                raise UpsDataError(
                    f"{path}: entry {number} holds {', '.join(map(str, car)) or 'no tensor'}; "
                    "vertices [N, d] and press [1, N] are needed: add them"
                )
            if vertices.ndim != 2 or pressure.shape != (1, len(vertices)):
                raise UpsDataError(
                    f"{path}: entry {number}: vertices has shape {vertices.shape} and press {pressure.shape}; "
                    "[N, d] and [1, N] are expected: correct them"
                )

    def __len__(self) -> int:
        return len(self._cars)

    def trajectory(self, number: int, key: str) -> Trajectory:
        car = self._cars[number]
        coords = car["vertices"]
        points = len(coords)
        fields = {}
        for name, values in car.items():
            if values.shape in ((1, points), (points,)):
                fields[name] = values.reshape(1, points, 1)
            elif values.ndim == 2 and len(values) == points and name != "vertices":
                fields[name] = values[None]
        return Trajectory(key=key, source=str(self._path), fields=fields, coords=coords)


def _load(path: Path) -> Any:
    import pickle
    import warnings
    import zipfile

    import torch

    try:
        with warnings.catch_warnings():
            # that the file's pickle protocol is unusual is no news to the user of a file that loads, or is refused
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            # files from before torch 1.6 are no zip archives and cannot be mapped
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise UpsDataError(
            f"{path}: needs unpickling of more than tensors and plain containers, which could run code and is refused: "
            "save a dict of tensors from the program that made it"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UpsDataError(
            f"{path}: cannot be read by torch.load, it is truncated or damaged: download or copy it again ({reason})"
        ) from error


def _arrays(path: Path, loaded: dict[str, Any]) -> dict[str, np.ndarray]:
    """The dict's tensors as views of the mapped file, without the rest."""
    import torch

    return {name: _array(path, name, value) for name, value in loaded.items() if isinstance(value, torch.Tensor)}


def _array(path: Path, name: str, tensor: "torch.Tensor") -> np.ndarray:
    try:
        return tensor.detach().numpy()
    except (TypeError, RuntimeError) as error:
        raise UpsDataError(
            f"{path}: {name} is a tensor of {tensor.dtype} that NumPy does not have: save it as float32"
        ) from error
