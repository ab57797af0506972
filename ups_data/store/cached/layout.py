"""Where the chunks of an object lie, as whoever reads it knows from the object's index and its seal."""

from dataclasses import dataclass
from functools import cached_property

import crc32c
import numpy as np
from numpy.typing import NDArray

from ups_data.store.cached.holes import BLOCK

CHECKSUM_BYTES = 4  # behind a chunk, as `ups_data.store.arrays.codecs` writes it


@dataclass(frozen=True)
class Layout:
    """Chunks of one object, and its index as the last of them, by ascending start.

    Attributes:
        size: of the object in bytes.
        start, stop: `(n,)` int64, of each chunk with its checksum.
        crc: `(n,)` uint32, what the seal says that the bytes before the checksum have.
    """

    size: int
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    crc: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def room(self) -> NDArray[np.int64]:
        """`(n,)`, bytes that each takes on a disk at most: whole blocks."""
        return -(-self.stop // BLOCK) * BLOCK - self.start // BLOCK * BLOCK

    def numbers(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Which chunks those ranges are, `(m,)`; None if one is not a chunk."""
        numbers = np.searchsorted(self.start, start)
        numbers[numbers == len(self)] = 0
        same = (self.start[numbers] == start) & (self.stop[numbers] == stop)
        return numbers if same.all() else None

    def is_intact(self, number: int, data: memoryview) -> bool:
        """Whether these bytes are that chunk."""
        if len(data) != self.stop[number] - self.start[number]:
            return False
        body, stored = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
        crc = int(crc32c.crc32c(body))
        return crc == int(self.crc[number]) and crc == int.from_bytes(stored, "little")


def layout_of(
    size: int, offsets: NDArray[np.int64], lengths: NDArray[np.int64], crcs: NDArray[np.uint32], tail: int
) -> Layout | None:
    """The layout of an object from its index; None if chunks overlap, so that nobody knows what a cache would hold.

    Args:
        offsets, lengths: `(n,)` of its chunks, -1 where one is absent.
        crcs: `(n + 1,)`, of the chunks and of the index.
        tail: bytes of the index at the object's end.
    """
    there = np.flatnonzero(offsets >= 0)
    there = there[np.argsort(offsets[there], kind="stable")]
    start = np.concatenate([offsets[there], [size - tail]]).astype(np.int64)
    stop = np.concatenate([offsets[there] + lengths[there], [size]]).astype(np.int64)
    if (start[1:] < stop[:-1]).any() or (stop <= start).any():
        return None
    return Layout(size, start, stop, np.concatenate([crcs[there], crcs[-1:]]).astype(np.uint32))
