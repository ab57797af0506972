"""Arrays of `.mat` files of version 7.3, which are HDF5 with the axes reversed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ups_data.sources.hdf5.files import opened
from ups_data.sources.hdf5.written import check_readable, check_written
from ups_data.sources.netcdf.keeping.slabs import Slabs
from ups_data.sources.netcdf.opening import CHUNKS

_CLASSES = {"double", "single", "logical", *(f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32, 64))}
# Trajectories are the fastest axis of such a file: as many are read at once as make a piece of this size.
PIECE = 64 * 1024**2


class H5Array:
    """One array in MATLAB's order of axes; a piece of trajectories is read once. See `Member`."""

    def __init__(self, path: Path, dataset: h5py.Dataset) -> None:
        self._path, self._name = path, dataset.name
        self.shape, self.dtype = dataset.shape[::-1], dataset.dtype.newbyteorder("=")
        self._slabs = Slabs()

    def rows(self, lead: int, start: int, stop: int) -> np.ndarray:
        """See `Member.rows`."""
        return self._read({0: slice(lead, lead + 1)})[0][start:stop]

    def part(self, start: int, stop: int) -> np.ndarray:
        """See `Member.part`."""
        return self._read({0: slice(start, stop)})

    def whole(self) -> np.ndarray:
        """See `Member.whole`."""
        return self._read({})

    def _read(self, wanted: dict[int, slice]) -> np.ndarray:
        with opened(self._path) as file:
            dataset = file[self._name]
            check_written(self._path, dataset, (), ())
            return self._slabs.read(self._name, _Reversed(dataset), wanted)


class _Reversed:
    """A dataset as `Slabs` reads it, with its axes in MATLAB's order."""

    def __init__(self, dataset: h5py.Dataset, box: Mapping[int, slice] | None = None) -> None:
        self._dataset, self._box = dataset, dict(box or {})
        shape = dataset.shape[::-1]
        self.dims = tuple(range(len(shape)))
        self.sizes = dict(enumerate(shape))
        self.dtype = dataset.dtype.newbyteorder("=")
        one = max(1, dataset.size // max(1, shape[0])) * dataset.dtype.itemsize
        chunks = dataset.chunks[::-1] if dataset.chunks else (max(1, PIECE // one), *shape[1:])
        self.encoding = {CHUNKS: dict(enumerate(chunks))}

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.dims)

    def isel(self, box: Mapping[int, slice]) -> "_Reversed":
        return _Reversed(self._dataset, box)

    @property
    def values(self) -> np.ndarray:
        """What lies in the box."""
        index = tuple(self._box.get(axis, slice(None)) for axis in reversed(self.dims))
        return np.ascontiguousarray(self._dataset[index].T).astype(self.dtype, copy=False)


def open_mat73(path: Path) -> tuple[dict[str, H5Array], dict[str, str]]:
    """The arrays of numbers by name, and what else is in the file with the reason."""
    arrays: dict[str, H5Array] = {}
    left_out: dict[str, str] = {}
    with opened(path) as file:
        for name, item in file.items():
            kind = _class_of(item)
            if not isinstance(item, h5py.Dataset) or (kind and kind not in _CLASSES) or "MATLAB_empty" in item.attrs:
                left_out[name] = f"is a {kind or 'group'}, no array of numbers" if name[0] != "#" else "MATLAB's own"
                continue
            check_readable(path, item)
            arrays[name] = H5Array(path, item)
    return arrays, left_out


def _class_of(item: Any) -> str:
    kind = item.attrs.get("MATLAB_class", b"")
    return kind.decode(errors="replace") if isinstance(kind, bytes) else str(kind)
