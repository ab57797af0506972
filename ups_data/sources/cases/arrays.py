"""The arrays of a case: opened to learn their shape, closed until they are read, brought to (…, points, channels)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.cases.names import Quantity
from ups_data.sources.content import look_inside
from ups_data.sources.lazy import LazyArray
from ups_data.sources.numpy.members import open_npy
from ups_data.sources.plain.array import FileArray, HeldArray
from ups_data.sources.torch import files as torch_files


def open_file(path: Path) -> FileArray | HeldArray | dict[str, float]:
    """The array of a `.npy` file or of a saved tensor, not read; or a saved dict of single numbers.

    Raises:
        UpsDataError: it is none of these, is damaged, or holds what is not a real number.
    """
    content = look_inside(path)
    if content.kind == "npy":
        return open_npy(path)
    if content.kind != "torch":
        raise UpsDataError(
            f"{path}: {content}, one array is expected (.npy, or a tensor of torch.save): "
            "a folder with a file per field holds nothing else, move it elsewhere"
        )
    loaded = torch_files.load(path)
    if isinstance(loaded, dict):
        return _numbers(path, loaded)
    array = torch_files.arrays(path, {"the tensor": loaded}).get("the tensor")
    if array is None or array.dtype.kind not in "biuf":
        what = torch_files.kind_of(loaded) if array is None else f"tensor of {array.dtype}"
        raise UpsDataError(
            f"{path}: holds a {what}, one tensor of real numbers is expected in a folder with a file per field: "
            "save it so, or name the format of the files"
        )
    return array


def _numbers(path: Path, loaded: dict) -> dict[str, float]:
    numbers = {str(name): float(value) for name, value in loaded.items() if isinstance(value, int | float)}
    tensors = torch_files.arrays(path, loaded)
    numbers |= {name: torch_files.number_of(array) for name, array in tensors.items() if array.size == 1}
    if len(numbers) < len(loaded):
        other = next(name for name in map(str, loaded) if name not in numbers)
        raise UpsDataError(
            f"{path}: a dict whose {other!r} is no single number; in a folder with a file per field a dict holds "
            "parameters, a number each: save one tensor, or name another format"
        )
    return numbers


def points_axis(name: str, shape: tuple[int, ...], points: int, numbered: bool) -> int | None:
    """Which axis of an array is its points, None where none can be: (N,), (N, C), (1, N), (T, N, C).

    A numbered file is one frame, which may also be (C, N).

    Raises:
        UpsDataError: two axes can be.
    """
    if len(shape) == 2 and shape[0] == shape[1] == points > 1:
        raise UpsDataError(f"{name} has shape {shape} on {points} points: which axis is points cannot be told")
    if len(shape) in (1, 2) and shape[0] == points:
        return 0
    if len(shape) == 2 and shape[1] == points and (numbered or shape[0] == 1):
        return 1
    return 1 if len(shape) == 3 and shape[1] == points and not numbered else None


@dataclass(frozen=True)
class CaseArray:
    """A quantity whose shape is known and whose points lie along `axis`."""

    quantity: Quantity
    shape: tuple[int, ...]  # of one file
    dtype: np.dtype
    axis: int

    @property
    def in_time(self) -> bool:
        """Whether the quantity has frames."""
        return self.quantity.numbered or len(self.shape) == 3

    @property
    def frames(self) -> int:
        """Number of frames; 1 without time."""
        return len(self.quantity.files) if self.quantity.numbered else self.shape[0] if self.in_time else 1

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(N, C)"""
        if len(self.shape) == 1:
            return (self.shape[0], 1)
        return (self.shape[-2], self.shape[-1]) if self.axis == len(self.shape) - 2 else (self.shape[1], self.shape[0])

    def as_frames(self) -> LazyArray:
        """(T, N, C)"""
        return LazyArray((self.frames, *self.frame_shape), self.dtype, partial(_read_frames, self))

    def as_static(self) -> LazyArray:
        """(N, C) of an array without time."""
        return LazyArray(self.frame_shape, self.dtype, partial(_read_static, self))

    def read(self, file: Path) -> FileArray | HeldArray:
        """One file's array, (N, C) or (T, N, C), read when it is sliced."""
        array = open_file(file)
        if isinstance(array, dict) or (array.shape, array.dtype) != (self.shape, self.dtype):
            what = "a dict" if isinstance(array, dict) else f"{array.dtype} of shape {array.shape}"
            raise UpsDataError(
                f"{file}: holds {what}, {self.quantity.files[0].name} held {self.dtype} of shape {self.shape}: "
                "give every frame the same"
            )
        return array.columns(points_last=self.axis == 1)


def _read_frames(array: CaseArray, start: int, stop: int) -> np.ndarray:
    if array.quantity.numbered:
        return np.stack([array.read(file).whole() for file in array.quantity.files[start:stop]])
    whole = array.read(array.quantity.files[0])
    return whole.part(start, stop) if array.in_time else whole.whole()


def _read_static(array: CaseArray, start: int, stop: int) -> np.ndarray:
    return array.read(array.quantity.files[0]).part(start, stop)


def stacked(components: Sequence[CaseArray]) -> np.ndarray:
    """(N, d) from one array (N,) for each of x, y, z."""
    return np.concatenate([component.as_static()[:] for component in components], axis=1)
