"""A field or a scalar of The Well: which axes it has, and how the absent ones are filled in."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.hdf5.files import opened
from ups_data.sources.hdf5.written import check_readable, check_written
from ups_data.sources.lazy import LazyArray


@dataclass(frozen=True)
class Variable:
    """One dataset of a file, as its flags say.

    Attributes:
        name: in the file, with its group.
        by_sample, in_time: whether it has an axis of trajectories, and one of time.
        dims: for each axis of space, whether it varies along it; where not, the axis is absent, or of length 1. (): a
            scalar, which has none.
        components: (), (D,) or (D, D).
    """

    path: Path
    name: str
    dtype: np.dtype
    by_sample: bool
    in_time: bool
    dims: tuple[bool, ...]
    components: tuple[int, ...]

    @property
    def channels(self) -> int:
        """Components, row by row where there are two axes of them."""
        return int(np.prod(self.components, dtype=np.int64))

    def field(self, number: int, frames: int, grid: Sequence[int]) -> LazyArray:
        """(T, *grid, C), or (*grid, C) of what does not change in time; absent axes are filled in as it is read."""
        shape = (*((frames,) if self.in_time else ()), *grid, self.channels)
        return LazyArray(shape, self.dtype, partial(_read, self, number, shape))

    def values(self, number: int) -> np.ndarray:
        """All of a scalar of one trajectory: (), or (T,)."""
        with opened(self.path) as file:
            check_written(self.path, file[self.name], (), ())
            return np.asarray(file[self.name][(number,) if self.by_sample else ()])


def variable_of(
    path: Path, dataset: Any, name: str, order: int, lengths: Sequence[int], samples: int, frames: int
) -> Variable:
    """The dataset after a comparison of its shape with its flags.

    Args:
        order: of its tensor; -1: a scalar without axes of space.
        lengths: of the axes of space.

    Raises:
        UpsDataError: it is not there, holds no numbers, or has another shape than its flags say.
    """
    if not isinstance(dataset, h5py.Dataset):
        raise UpsDataError(f"{path}: {name} is listed in field_names but is no array of the file: add it, or the name")
    check_readable(path, dataset)
    dims: tuple[bool, ...] = ()
    if order >= 0:
        dims = tuple(bool(flag) for flag in np.atleast_1d(dataset.attrs.get("dim_varying", [True] * len(lengths))))
    by_sample, in_time = flag(dataset, "sample_varying"), flag(dataset, "time_varying")
    components = (len(lengths),) * max(order, 0)
    space = [n for n, has in zip(lengths, dims, strict=False) if has]
    kept = [n if has else 1 for n, has in zip(lengths, dims, strict=False)]  # as the_well's own reader expects it
    lead = (*((samples,) if by_sample else ()), *((frames,) if in_time else ()))
    expected = (*lead, *space, *components)
    if dataset.shape not in (expected, (*lead, *kept, *components)) or len(dims) not in (0, len(lengths)):
        raise UpsDataError(
            f"{path}: {name} has shape {dataset.shape}, its flags (sample_varying={by_sample}, time_varying={in_time}, "
            f"dim_varying={list(dims)}) say {expected}: correct the array or the flags"
        )
    return Variable(path, name, dataset.dtype, by_sample, in_time, dims, components)


def flag(item: Any, name: str) -> bool:
    """An attribute that is true or false; false where it is missing."""
    return bool(np.all(item.attrs.get(name, False)))


def _read(variable: Variable, number: int, shape: tuple[int, ...], start: int, stop: int) -> np.ndarray:
    lead = (number,) if variable.by_sample else ()
    sliced = variable.in_time or variable.dims[0]
    rows = (slice(start, stop),) if sliced else ()
    with opened(variable.path) as file:
        dataset = file[variable.name]
        first = (*lead, start) if sliced else lead
        check_written(variable.path, dataset, first, (*(n + 1 for n in lead), *((stop,) if sliced else ())))
        values = dataset[(*lead, *rows)]
    space = shape[1:-1] if variable.in_time else shape[:-1]
    lengths = [n if has else 1 for n, has in zip(space, variable.dims, strict=True)]
    if variable.in_time:
        lengths = [stop - start, *lengths]
    elif sliced:
        lengths[0] = stop - start
    return np.broadcast_to(values.reshape(*lengths, variable.channels), (stop - start, *shape[1:]))
