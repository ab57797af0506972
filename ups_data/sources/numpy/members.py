"""One array of a `.npy` or `.npz` file, read by slices."""

import threading
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from ups_data.errors import UpsDataError


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

    def whole(self) -> np.ndarray: ...


class MappedMember:
    """A `.npy` file, or a member that a `.npz` holds uncompressed: mapped, so slices cost no memory of their own."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.shape, self.dtype = array.shape, array.dtype

    def rows(self, lead: int, start: int, stop: int) -> np.ndarray:
        return self._array[lead, start:stop]

    def part(self, start: int, stop: int) -> np.ndarray:
        return self._array[start:stop]

    def whole(self) -> np.ndarray:
        return np.array(self._array)


class CompressedMember:
    """A compressed member of a `.npz`, inflated as far as the slice that is asked for.

    Slices asked for in order cost one pass over the member; going back starts it again from its beginning. What is
    kept between slices is the position in the stream, not the data.
    """

    def __init__(self, path: Path, name: str, header: "_Header") -> None:
        self._path, self._name, self._header = path, name, header
        self.shape, self.dtype = header.shape, header.dtype
        self._stream: IO[bytes] | None = None
        self._lock = threading.Lock()  # one position, several threads

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self._path, "name": self._name, "header": self._header}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"], state["name"], state["header"])  # type: ignore[misc]

    def rows(self, lead: int, start: int, stop: int) -> np.ndarray:
        row = int(np.prod(self.shape[2:], dtype=np.int64))
        first = (lead * self.shape[1] + start) * row
        return self._read(first, (stop - start) * row).reshape(stop - start, *self.shape[2:])

    def part(self, start: int, stop: int) -> np.ndarray:
        row = int(np.prod(self.shape[1:], dtype=np.int64))
        return self._read(start * row, (stop - start) * row).reshape(stop - start, *self.shape[1:])

    def whole(self) -> np.ndarray:
        return self._read(0, int(np.prod(self.shape, dtype=np.int64))).reshape(self.shape)

    def _read(self, first: int, count: int) -> np.ndarray:
        size = count * self.dtype.itemsize
        try:
            with self._lock:
                if self._stream is None:
                    self._stream = zipfile.ZipFile(self._path).open(self._name)  # noqa: SIM115 - its position is kept
                self._stream.seek(self._header.offset + first * self.dtype.itemsize)
                data = self._stream.read(size)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
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
        self.offset = stream.tell()


def map_npy(path: Path) -> np.ndarray:
    """The array of a `.npy` file, mapped.

    Raises:
        UpsDataError: truncated, or of Python objects.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, error) from error
    if not isinstance(array, np.ndarray):
        raise UpsDataError(f"{path}: is not a .npy file: leave out --format or give the right one")
    _check_dtype(path, "the array", array.dtype)
    return array


def open_npz(path: Path) -> dict[str, Member]:
    """The arrays of a `.npz` archive, by name, none of them read.

    Raises:
        UpsDataError: truncated or damaged, or an array of Python objects.
    """
    members: dict[str, Member] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.filename.endswith(".npy"):
                    continue
                with archive.open(info) as stream:
                    header = _Header(stream)
                name = info.filename.removesuffix(".npy")
                _check_dtype(path, name, header.dtype)
                members[name] = _member(path, info, header)
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error
    except ValueError as error:
        if isinstance(error, UpsDataError):
            raise
        raise _damaged(path, error) from error
    return members


def _member(path: Path, info: zipfile.ZipInfo, header: _Header) -> Member:
    if info.compress_type == zipfile.ZIP_STORED:
        offset = _data_offset(path, info) + header.offset
        order: Any = "F" if header.fortran else "C"
        if 0 in header.shape:
            return MappedMember(np.empty(header.shape, header.dtype))
        return MappedMember(np.memmap(path, header.dtype, "r", offset, header.shape, order))
    if header.fortran:
        raise UpsDataError(
            f"{path}: {info.filename} is compressed in Fortran order and cannot be read by trajectories: "
            "save np.ascontiguousarray(array), or use np.savez"
        )
    return CompressedMember(path, info.filename, header)


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Where the member's bytes begin: after its local header, whose two last numbers are the lengths that follow."""
    with open(path, "rb") as file:
        file.seek(info.header_offset)
        local = file.read(30)
    return info.header_offset + 30 + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")


def _check_dtype(path: Path, name: str, dtype: np.dtype) -> None:
    if dtype.hasobject or dtype.kind not in "biuf":
        raise UpsDataError(f"{path}: {name} holds {dtype}, numbers are expected: save it as a float array")


def _damaged(path: Path, error: Exception) -> UpsDataError:
    reason = " ".join(str(error).split())
    return UpsDataError(
        f"{path}: cannot be read as a NumPy file, it is truncated, damaged or holds Python objects: "
        f"save or copy it again ({reason})"
    )
