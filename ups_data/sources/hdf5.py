"""HDF5 files: opened only while something is read, and damage reported in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.lazy import LazyArray


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, open for reading inside the `with`.

    Raises:
        UpsDataError: it is truncated or damaged, at opening or in the middle of a read (h5py raises OSError,
            RuntimeError or KeyError, depending on what the damage hits).
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise UpsDataError(
            f"{path}: cannot be read as HDF5, it is truncated or damaged: download or copy it again ({reason})"
        ) from error


def lazy_dataset(
    path: Path, dataset: h5py.Dataset, prefix: tuple[int, ...], shape: tuple[int, ...], *, add_time: bool = False
) -> LazyArray:
    """`dataset[prefix]` as an array of `shape`, read by slices of its first axis; `path` is opened for each read.

    With `add_time` the first axis of `shape` is a single frame that the file has no axis for.
    """
    read = partial(_read_frame if add_time else _read_slice, path, dataset.name, prefix)
    return LazyArray(shape, dataset.dtype, read)


def _read_slice(path: Path, name: str, prefix: tuple[int, ...], start: int, stop: int) -> np.ndarray:
    with opened(path) as file:
        return file[name][(*prefix, slice(start, stop))]


def _read_frame(path: Path, name: str, prefix: tuple[int, ...], start: int, stop: int) -> np.ndarray:
    with opened(path) as file:
        return file[name][prefix]


def numeric_attributes(attributes: h5py.AttributeManager) -> dict[str, float]:
    """The scalar numbers among the attributes (Nu, eta, M …) as parameters; text, flags and arrays are left out."""
    numbers = {}
    for name, value in attributes.items():
        array = np.asarray(value)
        if array.size == 1 and array.dtype.kind in "fiu":
            numbers[name] = float(array.reshape(()))
    return numbers
