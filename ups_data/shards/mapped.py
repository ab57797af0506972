"""One object of a stored array, mapped, with the index at its end read and checked."""

import mmap
from pathlib import Path

import crc32c
import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.shards import codecs
from ups_data.shards.objects import ABSENT


class MappedObject:
    """The chunks packed in one file, as the zarr v3 sharding codec lays them out.

    Attributes:
        data: the whole file.
        offsets, lengths: `(chunks,)` int64, of each stored chunk in bytes; -1 where it is absent.
        crcs: `(chunks,)` of the chunks as the seal has them; None: not known.
        checked: `(chunks,)` bool, whether this process has compared the chunk with its checksum.

    Args:
        sealed: the file's size and the checksums `(chunks + 1,)` of its chunks and its index; None: not known.

    Raises:
        UpsDataError: the file is missing, or its index is damaged, of another object, or points outside it.
    """

    def __init__(
        self, path: Path, chunks: int, *, where: str, sealed: tuple[int, NDArray[np.uint32]] | None = None
    ) -> None:
        try:
            with open(path, "rb") as f:
                self.data = memoryview(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as e:  # ValueError: an empty file cannot be mapped
            raise UpsDataError(f"{where}: {path} cannot be read ({e}); copy or make the shard again") from None
        end = len(self.data) - codecs.CHECKSUM_BYTES
        start = end - 16 * chunks
        index = self.data[max(0, start) : max(0, end)]
        crc = crc32c.crc32c(index)
        intact = start >= 0 and crc.to_bytes(4, "little") == self.data[end:]
        if sealed is not None:
            intact = intact and len(self.data) == sealed[0] and crc == sealed[1][-1]
        if not intact:
            raise UpsDataError(f"{where}: the index of {path} is damaged; copy or make the shard again")
        table = np.frombuffer(index, "<u8").reshape(-1, 2)
        present = table[table[:, 0] != ABSENT]
        limit = np.uint64(start)
        if ((present > limit) | (present.sum(1, keepdims=True) > limit)).any() or (present[:, 1] < 4).any():
            raise UpsDataError(f"{where}: the index of {path} points outside it; copy or make the shard again")
        self.offsets: NDArray[np.int64] = table[:, 0].astype(np.int64)  # ABSENT is -1 as a signed number
        self.lengths: NDArray[np.int64] = table[:, 1].astype(np.int64)
        self.crcs = None if sealed is None else sealed[1][:-1]
        self.checked = np.zeros(chunks, bool)
