"""HDF5 files: opened only while something is read, and what is wrong with them said in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.hdf5.written import check_readable, check_written
from ups_data.sources.lazy import LazyArray
from ups_data.sources.links import check_file

_LOCKED = "is locked, a program has it open for writing: wait for its end, or set HDF5_USE_FILE_LOCKING=FALSE"
_NEWER = f"was written by a newer HDF5 than {h5py.version.hdf5_version}: install a newer h5py, or write older ones"
# what HDF5 says of files that are sound → what to do
_SOUND = {
    "unable to lock file": _LOCKED,
    "errno = 11": _LOCKED,
    "file is already open for write": "is open for writing, or its writer was killed: close it, or run h5clear -s",
    "bad superblock version number": _NEWER,
    "bad object header version number": _NEWER,
}


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, open for reading inside the `with`.

    Raises:
        UpsDataError: it is locked, of a newer version, truncated or damaged, at opening or in the middle of a read
            (h5py raises OSError, RuntimeError or KeyError, depending on what the damage hits).
    """
    check_file(path)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())
        for words, remedy in _SOUND.items():
            if words in reason:
                raise UpsDataError(f"{path}: {remedy}") from error
        raise UpsDataError(
            f"{path}: cannot be read as HDF5, it is truncated or damaged: download or copy it again ({reason})"
        ) from error


def lazy_dataset(
    path: Path, dataset: h5py.Dataset, prefix: tuple[int, ...], shape: tuple[int, ...], *, add_time: bool = False
) -> LazyArray:
    """`dataset[prefix]` as an array of `shape`, read by slices of its first axis; `path` is opened for each read.

    With `add_time` the first axis of `shape` is a single frame that the file has no axis for.

    Raises:
        UpsDataError: it holds no numbers or needs a filter that is not installed; when it is read, that it was never
            written.
    """
    check_readable(path, dataset)
    read = partial(_read_frame if add_time else _read_slice, path, dataset.name, prefix)
    return LazyArray(shape, dataset.dtype, read)


def whole_dataset(path: Path, group: h5py.Group, name: str) -> np.ndarray:
    """All of a small dataset of a group: times, the coordinates of an axis.

    Raises:
        UpsDataError: it is not there or no dataset, and as `lazy_dataset`.
    """
    dataset = group.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise UpsDataError(f"{path}: {name} is {'a group' if name in group else 'missing'}, an array is expected")
    check_readable(path, dataset)
    check_written(path, dataset, (), ())
    return np.asarray(dataset[...])


def _read_slice(path: Path, name: str, prefix: tuple[int, ...], start: int, stop: int) -> np.ndarray:
    with opened(path) as file:
        dataset = file[name]
        check_written(path, dataset, (*prefix, start), (*(n + 1 for n in prefix), stop))
        return dataset[(*prefix, slice(start, stop))]


def _read_frame(path: Path, name: str, prefix: tuple[int, ...], start: int, stop: int) -> np.ndarray:
    with opened(path) as file:
        dataset = file[name]
        check_written(path, dataset, prefix, tuple(n + 1 for n in prefix))
        return dataset[prefix]


def numeric_attributes(attributes: h5py.AttributeManager) -> dict[str, float]:
    """The scalar numbers among the attributes (Nu, eta, M …) as parameters; text, flags and arrays are left out."""
    numbers = {}
    for name, value in attributes.items():
        array = np.asarray(value)
        if array.size == 1 and array.dtype.kind in "fiu":
            numbers[name] = float(array.reshape(()))
    return numbers
