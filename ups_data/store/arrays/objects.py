"""One object of a stored array, opened, with the index at its end read and checked."""

import os
from pathlib import Path

import crc32c
import numpy as np
from numpy.typing import NDArray

from ups_data import _native as built
from ups_data.errors import UpsDataError
from ups_data.store.arrays import codecs
from ups_data.store.arrays.metadata import ABSENT


class StoredObject:
    """The chunks packed in one file, as the zarr v3 sharding codec lays them out.

    Mapped by the native module, whose maps survive that the file is cut; without it, read piece by piece.

    Attributes:
        data: the whole file where it is mapped, None where it is not.
        offsets, lengths: `(chunks,)` int64, of each stored chunk in bytes; -1 where it is absent.
        crcs: `(chunks,)` of the chunks as the seal has them; None: not known.
        checked: `(chunks,)` bool, whether this process has compared the chunk with its checksum.
        all_checked: whether it is known to have compared all of them.

    Args:
        sealed: the file's size and the checksums `(chunks + 1,)` of its chunks and its index; None: not known.

    Raises:
        UpsDataError: the file is missing, or its index is damaged, of another object, or points outside it.
    """

    def __init__(
        self, path: Path, chunks: int, *, where: str, sealed: tuple[int, NDArray[np.uint32]] | None = None
    ) -> None:
        self._path, self._where = path, where
        self._map = None
        try:
            with open(path, "rb", buffering=0) as file:
                found = os.fstat(file.fileno())
                self._identity, size = _identity(found), found.st_size
                if built.native is not None:
                    self._map = built.native.Map(file.fileno(), size)
        except OSError as e:  # an empty file cannot be mapped
            raise UpsDataError(f"{where}: {path} cannot be read ({e}); copy or make the shard again") from None
        self.data = None if self._map is None else memoryview(self._map)
        end = size - codecs.CHECKSUM_BYTES
        start = end - 16 * chunks
        intact = start >= 0 and (sealed is None or size == sealed[0])
        if intact:
            tail = self.bytes(start, size)
            index, stored = tail[: -codecs.CHECKSUM_BYTES], tail[-codecs.CHECKSUM_BYTES :]
            crc = crc32c.crc32c(index)
            intact = crc.to_bytes(4, "little") == stored and (sealed is None or crc == sealed[1][-1])
        if not intact:
            raise UpsDataError(f"{where}: the index of {path} is damaged; copy or make the shard again")
        table = np.frombuffer(bytes(index), "<u8").reshape(-1, 2)
        present = table[table[:, 0] != ABSENT]
        limit = np.uint64(start)
        if ((present > limit) | (present.sum(1, keepdims=True) > limit)).any() or (present[:, 1] < 4).any():
            raise UpsDataError(f"{where}: the index of {path} points outside it; copy or make the shard again")
        self.offsets: NDArray[np.int64] = table[:, 0].astype(np.int64)  # ABSENT is -1 as a signed number
        self.lengths: NDArray[np.int64] = table[:, 1].astype(np.int64)
        self.crcs = None if sealed is None else sealed[1][:-1]
        self.checked, self.all_checked = np.zeros(chunks, bool), False

    def bytes(self, start: int, end: int) -> memoryview:
        """Those bytes of the file; zeros, or fewer of them, where it was cut."""
        if self.data is not None:
            return self.data[start:end]
        try:
            with open(self._path, "rb", buffering=0) as file:
                return memoryview(os.pread(file.fileno(), end - start, start))
        except OSError as e:
            raise UpsDataError(
                f"{self._where}: {self._path} cannot be read ({e}); copy or make the shard again"
            ) from None

    def check_unchanged(self, rows: str) -> None:
        """To be called after bytes were used and before anybody sees what was made of them.

        Raises:
            UpsDataError: the file is not as it was when it was opened, or has been cut for a while.
        """
        intact = self._map is None or self._map.faults == 0
        try:
            intact = intact and _identity(os.stat(self._path)) == self._identity
        except OSError:
            intact = False
        if not intact:
            raise UpsDataError(
                f"{self._where}, {rows}: {self._path} was cut, overwritten, replaced or removed while it was open; "
                "copy or make the shard again if it is damaged, and open the dataset again"
            )


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
