"""Whether what is read of an HDF5 dataset was ever written, and can be decoded here.

HDF5 hands out a fill value, zero unless another was declared, for what a solver that stopped early never wrote.
"""

import importlib
import itertools
import math
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from ups_data.errors import UpsDataError

# https://github.com/HDFGroup/hdf5_plugins: those of the package hdf5plugin, and a few that come with HDF5 or h5py.
FILTERS = {
    **{1: "deflate", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 307: "bzip2", 32000: "lzf"},
    **{32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32013: "zfp", 32015: "zstd", 32017: "sz", 32024: "sz3"},
    **{32018: "fcidecomp", 32019: "jpeg", 32026: "blosc2", 32028: "sperr"},
}


def check_readable(path: Path, dataset: h5py.Dataset) -> None:
    """Before anything of a dataset is read.

    Raises:
        UpsDataError: it holds no real numbers, or needs a filter that is not installed.
    """
    where = f"{path}: {dataset.name}"
    if dataset.shape is None or dataset.dtype.kind not in "biuf":
        raise UpsDataError(f"{where} holds {dataset.dtype}, which is no array of real numbers: remove or convert it")
    plist = dataset.id.get_create_plist()
    for number in range(plist.get_nfilters()):
        _check_filter(where, plist.get_filter(number)[0])


def _check_filter(where: str, code: int) -> None:
    if h5py.h5z.filter_avail(code):
        return
    with suppress(Exception):  # it makes its filters known by being imported
        importlib.import_module("hdf5plugin")
    if not h5py.h5z.filter_avail(code):
        name = f"{FILTERS[code]} ({code})" if code in FILTERS else f"number {code}"
        raise UpsDataError(
            f"{where} is compressed by the HDF5 filter {name}, which is not installed: pip install hdf5plugin, or "
            "write the file with gzip"
        )


def check_written(path: Path, dataset: h5py.Dataset, start: tuple[int, ...], stop: tuple[int, ...]) -> None:
    """Every value of the box [start, stop) of the leading axes was written; NaN may stand for what was not.

    Raises:
        UpsDataError: some were not.
    """
    status = os.stat(path)
    missing = _unwritten(str(path), status.st_size, status.st_mtime_ns, dataset.name)
    if missing is None:
        return
    written, chunk, total = missing
    at = [range(a // c, -(-b // c)) for a, b, c in zip(start, stop, chunk, strict=False)]
    at += [range(-(-n // c)) for n, c in zip(dataset.shape[len(start) :], chunk[len(start) :], strict=True)]
    if all(place in written for place in itertools.product(*at)):
        return
    raise UpsDataError(
        f"{path}: {dataset.name} has {len(written):,} of {total:,} chunks, the others were never written: complete the "
        "file, or leave out what is missing (--on-error skip)"
    )


@lru_cache(maxsize=256)
def _unwritten(
    path: str, size: int, mtime_ns: int, name: str
) -> tuple[frozenset[tuple[int, ...]], tuple[int, ...], int] | None:
    """The places of the chunks that are there, a chunk's shape, and how many there should be; None: all are there."""
    with h5py.File(path, "r") as file:
        dataset = file[name]
        plist = dataset.id.get_create_plist()
        if dataset.size == 0 or _fills_with_nan(dataset) or plist.get_external_count():
            return None
        if plist.get_layout() == h5py.h5d.VIRTUAL:
            _check_parts(Path(path), plist)
            return None
        if dataset.chunks is None:
            allocated = plist.get_layout() == h5py.h5d.COMPACT or dataset.id.get_offset() is not None
            return None if allocated else (frozenset(), dataset.shape, 1)
        chunk = dataset.chunks
        total = math.prod(-(-n // c) for n, c in zip(dataset.shape, chunk, strict=True))
        if dataset.id.get_num_chunks() == total:
            return None
        found: set[tuple[int, ...]] = set()
        dataset.id.chunk_iter(
            lambda stored: found.add(tuple(o // c for o, c in zip(stored.chunk_offset, chunk, strict=True)))
        )
        return frozenset(found), chunk, total


def _check_parts(path: Path, plist: h5py.h5p.PropDCID) -> None:
    """The parts of a virtual dataset, each as a whole."""
    for part in range(plist.get_virtual_count()):
        name = plist.get_virtual_filename(part)
        source = path if name == "." else path.parent / name
        with h5py.File(source, "r") as file:
            dataset = file[plist.get_virtual_dsetname(part)]
            check_written(source, dataset, (0,) * dataset.ndim, dataset.shape)


def _fills_with_nan(dataset: h5py.Dataset) -> bool:
    # HDF5 2.0 ends the process as it reads a fill value that a damaged file does not define.
    declared = dataset.id.get_create_plist().fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED
    return dataset.dtype.kind == "f" and declared and bool(np.isnan(dataset.fillvalue))
