"""One array of a `.npy` or `.npz` file, read by slices."""

import math
import threading
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.limits import claimed_bytes
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.plain.archive import ERRORS, archive_of, check_member, damaged, data_offset
from ups_data.sources.plain.array import FileArray

WHAT = "a NumPy file without Python objects"
_ERRORS = (*ERRORS, TypeError, SyntaxError, RecursionError, MemoryError)


class Member(Protocol):
    """An array in a file; each method reads what it returns and no more."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def rows(self, lead: int, start: int, stop: int) -> np.ndarray:
        """`array[lead, start:stop]`."""
        ...

    def part(self, start: int, stop: int) -> np.ndarray:
        """`array[start:stop]`."""
        ...

    def whole(self) -> np.ndarray:
        """All of the array."""


class CompressedMember:
    """A compressed member of a `.npz`, inflated as far as the slice that is asked for.

    Slices asked for in order cost one pass over the member; going back starts it again from its beginning. What is
    kept between slices is the position in the stream, not the data.
    """

    def __init__(self, path: Path, name: str, header: "_Header", check: Callable[[], None]) -> None:
        self._path, self._name, self._header, self._check = path, name, header, check
        self.shape, self.dtype = header.shape, header.dtype
        self._stream: IO[bytes] | None = None
        self._lock = threading.Lock()  # one position, several threads

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self._path, "name": self._name, "header": self._header, "check": self._check}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def rows(self, lead: int, start: int, stop: int) -> np.ndarray:
        """See `Member.rows`."""
        row = int(np.prod(self.shape[2:], dtype=np.int64))
        first = (lead * self.shape[1] + start) * row
        return self._read(first, (stop - start) * row).reshape(stop - start, *self.shape[2:])

    def part(self, start: int, stop: int) -> np.ndarray:
        """See `Member.part`."""
        row = int(np.prod(self.shape[1:], dtype=np.int64))
        return self._read(start * row, (stop - start) * row).reshape(stop - start, *self.shape[1:])

    def whole(self) -> np.ndarray:
        """See `Member.whole`."""
        return self._read(0, int(np.prod(self.shape, dtype=np.int64))).reshape(self.shape)

    def _read(self, first: int, count: int) -> np.ndarray:
        size = count * self.dtype.itemsize
        self._check()
        try:
            with self._lock:
                if self._stream is None:
                    self._stream = zipfile.ZipFile(self._path).open(self._name)  # noqa: SIM115 - its position is kept
                self._stream.seek(self._header.offset + first * self.dtype.itemsize)
                data = self._stream.read(size)
        except ERRORS as error:
            raise _damaged(self._path, error) from error
        if len(data) < size:
            raise _damaged(self._path, EOFError(f"{self._name} ends too early"))
        return np.frombuffer(data, self.dtype)


class _Header:
    """Shape, dtype, order and the length of a `.npy` header."""

    def __init__(self, stream: IO[bytes]) -> None:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is None:
            raise ValueError(f"version {version} of the .npy format")
        self.shape, self.fortran, self.dtype = read(stream)
        if any(n < 0 for n in self.shape):
            raise ValueError(f"an array of shape {self.shape}")
        self.offset = stream.tell()

    @property
    def strides(self) -> tuple[int, ...]:
        """In elements."""
        if self.fortran:
            return tuple(math.prod(self.shape[:axis]) for axis in range(len(self.shape)))
        return tuple(math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape)))


def open_npy(path: Path) -> FileArray:
    """The array of a `.npy` file, not read.

    Raises:
        UpsDataError: truncated, or of Python objects.
    """
    try:
        with open(path, "rb") as stream:
            header = _Header(stream)
    except _ERRORS as error:
        raise _damaged(path, error) from error
    _check_dtype(path, "the array", header.dtype)
    needed = header.offset + claimed_bytes(header.shape, header.dtype)
    if path.stat().st_size < needed:
        raise _damaged(path, EOFError(f"{needed:,} bytes are needed, {path.stat().st_size:,} are there"))
    return FileArray(path, header.dtype, header.shape, header.offset, header.strides)


def open_npz(path: Path, options: SourceOptions = DEFAULTS) -> dict[str, Member]:
    """The arrays of a `.npz` archive, by name, none of them read.

    Raises:
        UpsDataError: truncated or damaged, an array of Python objects, or claims of more than is there.
    """
    members: dict[str, Member] = {}
    with archive_of(path, WHAT, options) as archive:
        for info in archive.infolist():
            if info.filename.endswith(".npy"):
                with archive.open(info) as stream:
                    header = _Header(stream)
                name = info.filename.removesuffix(".npy")
                _check_dtype(path, name, header.dtype)
                if header.offset + claimed_bytes(header.shape, header.dtype) != info.file_size:
                    raise _damaged(path, EOFError(f"{name} of shape {header.shape} has {info.file_size:,} bytes"))
                members[name] = _member(path, info, header)
    return members


def _member(path: Path, info: zipfile.ZipInfo, header: _Header) -> Member:
    check = partial(check_member, path, info.filename)
    if info.compress_type == zipfile.ZIP_STORED:
        offset = data_offset(path, info) + header.offset
        return FileArray(path, header.dtype, header.shape, offset, header.strides, check)
    if header.fortran and len(header.shape) > 1:
        raise UpsDataError(
            f"{path}: {info.filename} is compressed in Fortran order and cannot be read by trajectories: "
            "save np.ascontiguousarray(array), or use np.savez"
        )
    return CompressedMember(path, info.filename, header, check)


def _check_dtype(path: Path, name: str, dtype: np.dtype) -> None:
    if dtype.hasobject:
        raise UpsDataError(f"{path}: {name} holds Python objects, numbers are expected: save it as a float array")
    if dtype.kind not in "biuf":
        raise UpsDataError(f"{path}: {name} holds {dtype}, numbers are expected: save it as a float array")


def _damaged(path: Path, error: Exception) -> UpsDataError:
    return damaged(path, WHAT, error)
