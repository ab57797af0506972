"""Datasets of xarray that were opened last, their files closed: what a file says of itself is decoded once.

A run is read by a few frames at a time, and its file is open only meanwhile. To open one takes xarray some 30 ms, in
which it could read 20 MB. Its datasets open their closed files again when they are read, which takes a few.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MOST = 8  # a run's sets of variables may lie in several files
_Mark = tuple[Any, ...]
_kept: dict[tuple[Path, str], tuple[_Mark, Any, Any]] = {}


@contextmanager
def kept_open(path: Path, open_it: Callable[[], tuple[Any, Any]], engine: str) -> Iterator[Any]:
    """The dataset that `open_it` gives, or gave of the same files; they are closed at the end.

    Args:
        open_it: gives the dataset as it is stored, and decoded.
    """
    mark = _mark_of(path)
    kept = _kept.pop((path, engine), None)  # whoever uses it has it alone
    stored, dataset = kept[1:] if kept is not None and kept[0] == mark else open_it()
    close = getattr(stored, "_close", None)  # a dataset forgets how it is closed when it is closed
    try:
        yield dataset
    finally:
        stored.close()
    if close is None:
        return
    stored.set_close(close)
    _kept[path, engine] = mark, stored, dataset
    while len(_kept) > MOST:
        _kept.pop(next(iter(_kept)), None)


def _mark_of(path: Path) -> _Mark:
    """By which it is noticed that a file, or what a group says of itself, is another."""
    files = [path]
    if path.is_dir():
        for place in ("", "*/"):
            files += [file for name in (".z*", "zarr.json") for file in sorted(path.glob(place + name))]
    return tuple((str(file), *_status(file)) for file in files)


def _status(file: Path) -> tuple[int, ...]:
    status = os.stat(file)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
