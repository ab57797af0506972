"""Writing one zarr v3 array of a shard, chunk by chunk, with memory for the chunks of a few rows.

zarr's sharding codec packs chunks into one object and would hold, or rewrite, all of it for every partial write. The
format allows appending (zarr v3 sharding codec 1.0: chunks in any order, then an index of (offset, length) pairs of
little-endian uint64, then the index's crc32c), so that is what happens here; the metadata is zarr-python's own.
"""

from array import array
from pathlib import Path
from typing import BinaryIO

import numpy as np
import zarr

from ups_data.store.arrays import codecs
from ups_data.store.arrays.metadata import ABSENT
from ups_data.writing.shard.compressors import zarr_compressors
from ups_data.writing.shard.digests import Digests

TOLD_BYTES = 4 * 1024**2  # that are written before the digests are told


class ArrayWriter:
    """Appends rows to the array `name` of a zarr group; `finish` writes its metadata.

    Chunks cut the rows and the axis after them, the axis of points: a row is one or several blocks of `chunk_shape[1]`
    slots, and the array is as wide as its widest row. Chunks that no row reaches stay absent. An array of fewer rows
    than a chunk gets a chunk of as many.

    Args:
        group: folder of the zarr group.
        chunk_shape: rows of a chunk, slots of a block, and what else a row has.
        object_bytes: an object is closed when it holds this many decoded bytes.
        fill_value: of slots and rows that were not given.
        digests: is told of what was written.
    """

    def __init__(
        self,
        group: Path,
        name: str,
        chunk_shape: tuple[int, ...],
        dtype: np.dtype,
        *,
        codec: str,
        object_bytes: int,
        dimension_names: tuple[str, ...],
        fill_value: float = np.nan,
        digests: Digests | None = None,
    ) -> None:
        self._digests, self._told = digests, 0
        self._group, self._name, self._codec, self._dimension_names = group, name, codec, dimension_names
        self._chunk_shape, self._object_bytes, self._fill = chunk_shape, object_bytes, fill_value
        self._chunk = np.empty((chunk_shape[0], 0, *chunk_shape[2:]), dtype)  # a row of chunks, one for each block
        self._filled = 0  # rows of it that are in hand
        self._reached = 0  # blocks of it that a row reaches
        self._rows = 0
        self._capacity = 0  # rows of chunks of an object
        # Of every object, the places of its chunks: (row of chunks, block, offset, length), one after another.
        self._objects: list[array[int]] = []
        self._placed = 0  # rows of chunks in the open object
        self._file: BinaryIO | None = None
        self.blocks = 0

    def append(self, rows: np.ndarray) -> None:
        """Append rows `(n, blocks * slots, ...)` of the array's dtype."""
        self._widen(rows.shape[1])
        self._rows += len(rows)
        while len(rows):
            if not self._filled and len(rows) >= len(self._chunk) and rows.shape[1] == self._chunk.shape[1]:
                self._store_chunks(rows[: len(self._chunk)])
                rows = rows[len(self._chunk) :]
                continue
            n = min(len(rows), len(self._chunk) - self._filled)
            place = self._chunk[self._filled : self._filled + n]
            place[:, : rows.shape[1]] = rows[:n]
            place[:, rows.shape[1] :] = self._fill
            self._filled += n
            self._reached = max(self._reached, rows.shape[1] // self._chunk_shape[1])
            rows = rows[n:]
            if self._filled == len(self._chunk):
                self._store_filled()

    def finish(self) -> None:
        """Complete the last chunks and the objects, and write the metadata that make the folder a zarr array."""
        if self._filled:
            if not self._objects:
                self._shorten()
            self._chunk[self._filled :] = self._fill  # beyond the array's end
            self._store_filled()
        self.abandon()
        # An array of one object is as long as its chunks; one of several has objects of equal size.
        capacity = self._capacity if len(self._objects) > 1 else self._placed
        for number in range(len(self._objects)):
            self._write_index(number, capacity)
        chunk_rows, slots, *rest = self._chunk_shape
        zarr.open_group(self._group, mode="r+").create_array(
            self._name,
            shape=(self._rows, self.blocks * slots, *rest),
            chunks=self._chunk_shape,
            shards=(capacity * chunk_rows, self.blocks * slots, *rest),
            dtype=self._chunk.dtype,
            compressors=zarr_compressors(self._codec, self._chunk.itemsize),
            fill_value=self._fill,
            dimension_names=self._dimension_names,
        )

    def abandon(self) -> None:
        """Close the open file, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _widen(self, width: int) -> None:
        """Make room for rows of so many slots."""
        if width > self._chunk.shape[1]:
            chunk = np.full((self._chunk_shape[0], width, *self._chunk_shape[2:]), self._fill, self._chunk.dtype)
            chunk[: self._filled, : self._chunk.shape[1]] = self._chunk[: self._filled]
            self._chunk = chunk
            self.blocks = width // self._chunk_shape[1]
            # Objects of one array span the same rows, so the first rows decide.
            self._capacity = self._capacity or max(1, self._object_bytes // chunk.nbytes)

    def _shorten(self) -> None:
        """Make chunks no longer than the array, all of whose rows are in hand: a small split stays small."""
        self._chunk_shape = (self._filled, *self._chunk_shape[1:])
        self._chunk = self._chunk[: self._filled]

    def _store_filled(self) -> None:
        """Write the rows that are in hand, as far as the widest of them reaches."""
        self._store_chunks(self._chunk[:, : self._reached * self._chunk_shape[1]])
        self._filled = self._reached = 0

    def _store_chunks(self, rows: np.ndarray) -> None:
        """Write a row of chunks, of the blocks that these rows have."""
        if self._file is None or self._placed == self._capacity:
            self.abandon()
            path = self._object(len(self._objects))
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "wb")  # noqa: SIM115, kept open between appends
            self._objects.append(array("Q"))
            self._placed = self._told = 0
        slots, end = self._chunk_shape[1], self._file.tell()
        for block in range(rows.shape[1] // slots):
            body, behind = codecs.encoded(
                self._codec, np.ascontiguousarray(rows[:, block * slots : (block + 1) * slots], self._chunk.dtype)
            )
            self._objects[-1].extend((self._placed, block, end, len(body) + len(behind)))
            self._file.write(body)
            self._file.write(behind)
            end += len(body) + len(behind)
        self._placed += 1
        if self._digests is not None and end >= self._told + TOLD_BYTES:
            self._file.flush()
            self._told = end
            self._digests.written(self._object(len(self._objects) - 1), end)

    def _write_index(self, number: int, capacity: int) -> None:
        """End an object with the index of its chunks, those not written marked absent."""
        index = np.full((capacity, self.blocks, 2), ABSENT, "<u8")
        places = np.frombuffer(self._objects[number], np.uint64).reshape(-1, 4)
        index[places[:, 0].astype(int), places[:, 1].astype(int)] = places[:, 2:]
        with open(self._object(number), "ab") as file:
            file.write(index.tobytes() + codecs.checksum(index.tobytes()))
            size = file.tell()
        if self._digests is not None:
            self._digests.written(self._object(number), size)

    def _object(self, number: int) -> Path:
        return self._group.joinpath(self._name, "c", str(number), *["0"] * (len(self._chunk_shape) - 1))
