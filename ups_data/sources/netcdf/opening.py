"""NetCDF files and zarr groups as xarray opens them, after what the user selected of them."""

import importlib
import json
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ups_data.errors import UpsDataError
from ups_data.schema.texts.json_text import parse_json
from ups_data.sources.hdf5.files import opened
from ups_data.sources.hdf5.written import check_readable, check_written
from ups_data.sources.netcdf.keeping.datasets import kept_open
from ups_data.sources.netcdf.values.missing import declare_missing, fills_with_default

# engine → what xarray needs for it
ENGINES = {"netcdf": ("scipy", "scipy"), "hdf5": ("h5netcdf", "h5netcdf"), "zarr": ("zarr", "zarr")}
CHUNKS = "ups_data_chunks"  # in a variable's encoding: dimension → length of a stored chunk


@contextmanager
def opened_dataset(path: Path, engine: str, select: Sequence[tuple[str, str]] = ()) -> Iterator[Any]:
    """The dataset, nothing of it read; times are not decoded.

    Args:
        select: (dimension, value of its coordinate) pairs: the dimension is gone.

    Raises:
        UpsDataError: xarray cannot read it, or what is selected is not there.
    """
    try:
        with kept_open(path, lambda: _decoded(path, engine), engine) as dataset:
            yield dataset.isel({dim: _place(path, dataset, dim, value) for dim, value in select})
    except UpsDataError:
        raise
    except Exception as error:  # whatever the damage leads to in any of the engines
        reason = " ".join(str(error).split())[:200]
        if "_ARRAY_DIMENSIONS" in reason or "dimension_names" in reason:
            raise UpsDataError(
                f"{path}: its arrays name no dimensions, which tell space from time: write it with xarray, or add "
                "_ARRAY_DIMENSIONS (version 2) or dimension_names (version 3) to each array"
            ) from error
        raise UpsDataError(
            f"{path}: cannot be read by xarray, it is truncated or damaged: download or copy it again ({reason})"
        ) from error


def _decoded(path: Path, engine: str) -> tuple[Any, Any]:
    """The dataset as it is stored, whose `close` closes the file, and with its values decoded."""
    xarray = importlib.import_module("xarray")  # an optional extra
    options: dict[str, Any] = {"decode_cf": False, "cache": False}
    if engine == "zarr":
        refuse_pickles(path)
        options["consolidated"] = False  # the same for both kinds of group, and no warning
    with ExitStack() as looking:
        if engine == "zarr":  # late: an optional extra's
            looking.enter_context(importlib.import_module("ups_data.sources.netcdf.blosc").chunks_looked_at())
        stored = xarray.open_dataset(path, engine=engine, **options)
    try:
        declare_missing(stored, path, engine)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of several fill values, all of which are known
            dataset = xarray.decode_cf(stored, decode_times=False, decode_coords="all")
    except BaseException:
        stored.close()
        raise
    for variable in dataset.variables.values():
        chunks = variable.encoding.get("chunksizes") or variable.encoding.get("chunks")
        if chunks is not None and len(chunks) == variable.ndim:
            variable.encoding[CHUNKS] = dict(zip(variable.dims, map(int, chunks), strict=True))
    return stored, dataset


def _place(path: Path, dataset: Any, dim: str, value: str) -> int:
    """Where along a dimension its coordinate has the value; without a coordinate, the value is the place."""
    if dim not in dataset.dims:
        raise UpsDataError(
            f"{path}: no dimension {dim!r} to select from: there are {', '.join(map(str, dataset.dims))}"
        )
    held = dataset[dim].values if dim in dataset.coords else np.arange(dataset.sizes[dim])
    try:
        at = np.flatnonzero(np.isclose(held.astype(np.float64), float(value), rtol=1e-6, atol=0))
    except (TypeError, ValueError):  # names
        at = np.flatnonzero(held.astype(str) == value)
    if len(at) != 1:
        shown = ", ".join(map(str, held[:10].tolist())) + (", …" if len(held) > 10 else "")
        raise UpsDataError(f"{path}: {dim} is {value} {len(at)} times, once is needed: choose one of {shown}")
    return int(at[0])


def groups_in(path: Path, engine: str) -> list[str]:
    """The names of the groups in a file or group that hold something."""
    if engine == "h5netcdf":
        with opened(path) as file:
            return [name for name, item in file.items() if isinstance(item, h5py.Group) and len(item)]
    if engine == "zarr":
        return sorted(name for name, _ in importlib.import_module("zarr").open_group(path, mode="r").groups())
    return []


def check_chunks(path: Path, engine: str, names: Sequence[str]) -> None:
    """Variables without a fill value of their own were written in full: else what is missing would be a number."""
    if engine == "h5netcdf":
        with opened(path) as file:
            for name in names:
                check_readable(path, file[name])
                if not fills_with_default(file[name]):
                    check_written(path, file[name], (), ())
    elif engine == "zarr":
        _refuse_empty(path)
        group = importlib.import_module("zarr").open_group(path, mode="r")
        for name in names:
            array = group[name]
            if array.fill_value != array.fill_value or _is_whole(array):
                continue
            raise UpsDataError(
                f"{path}: {name} has {array.nchunks_initialized:,} of {array.nchunks:,} chunks, the others were never "
                "written: complete it, or declare a _FillValue for what is missing"
            )


def _refuse_empty(path: Path) -> None:
    """zarr takes an empty shard for one whose chunks were all left out, and serves its fill value."""
    for folder, _, names in os.walk(path):
        for name in names:
            if os.path.getsize(os.path.join(folder, name)) == 0:
                raise UpsDataError(f"{os.path.join(folder, name)}: is empty, the group is damaged: copy it again")


def _is_whole(array: Any) -> bool:
    """Whether every object of an array is there. zarr counts the chunks of the last shard as if it were full."""
    if getattr(array, "shards", None) is None:
        return bool(array.nchunks_initialized == array.nchunks)
    chunks = math.prod(shard // chunk for shard, chunk in zip(array.shards, array.chunks, strict=True))
    shards = math.prod(-(-n // shard) for n, shard in zip(array.shape, array.shards, strict=True))
    return bool(array.nchunks_initialized == chunks * shards)


def refuse_pickles(path: Path) -> None:
    """Not every version of numcodecs refuses to run its codec `pickle` on what a chunk holds. A folder with chunks and
    without metadata would be passed over."""
    for folder in path.iterdir():
        of_data = folder.is_dir() and not folder.name.startswith(".") and any(folder.iterdir())
        if of_data and not any((folder / name).is_file() for name in (".zarray", ".zgroup", "zarr.json")):
            raise UpsDataError(f"{folder}: has no metadata, the group is damaged: copy it again")
    for file in (*path.glob("*/.zarray"), *path.glob("*/zarr.json")):
        try:
            metadata = json.dumps(parse_json(file.read_bytes()))
        except (OSError, ValueError, RecursionError) as error:  # the last of `dumps`
            raise UpsDataError(f"{file}: is not JSON, the group is damaged: copy it again ({error})") from error
        if 'pickle"' in metadata:
            raise UpsDataError(f"{file}: is coded by pickle, which could run code and is refused: write it without")
