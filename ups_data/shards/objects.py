"""Writing one zarr v3 array of a shard, chunk by chunk, with memory for one chunk.

zarr's sharding codec packs chunks into one object and would hold, or rewrite, all of it for every partial write. The
format allows appending (zarr v3 sharding codec 1.0: chunks in any order, then an index of (offset, length) pairs of
little-endian uint64, then the index's crc32c), so that is what happens here; the metadata is zarr-python's own.
"""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import zarr

from ups_data.shards import codecs

ABSENT = np.uint64(2**64 - 1)


class ArrayWriter:
    """Appends rows to the array `name` of a zarr group; `finish` writes its metadata.

    Args:
        group: folder of the zarr group.
        row_shape: shape of one row.
        chunk_rows: rows of a chunk.
        object_bytes: an object is closed when it holds this many decoded bytes.
    """

    def __init__(
        self,
        group: Path,
        name: str,
        row_shape: tuple[int, ...],
        dtype: np.dtype,
        *,
        codec: str,
        chunk_rows: int,
        object_bytes: int,
        dimension_names: tuple[str, ...],
    ) -> None:
        self._group, self._name, self._codec, self._dimension_names = group, name, codec, dimension_names
        self._chunk = np.empty((chunk_rows, *row_shape), dtype)
        self._filled = 0  # rows of the chunk in hand
        self._rows = 0
        self._capacity = max(1, object_bytes // self._chunk.nbytes)  # chunks of an object
        self._index: list[tuple[int, int]] = []  # (offset, length) of the open object's chunks
        self._objects = 0
        self._file: BinaryIO | None = None

    def append(self, rows: np.ndarray) -> None:
        """Append rows `(n, *row_shape)` of the array's dtype."""
        self._rows += len(rows)
        while len(rows):
            n = min(len(rows), len(self._chunk) - self._filled)
            self._chunk[self._filled : self._filled + n] = rows[:n]
            self._filled += n
            rows = rows[n:]
            if self._filled == len(self._chunk):
                self._store_chunk()

    def finish(self) -> None:
        """Complete the last chunk and object, and write the metadata that make the folder a zarr array."""
        if self._filled:
            self._chunk[self._filled :] = np.nan  # beyond the array's end; the fill value
            self._store_chunk()
        # An array of one object is as long as its chunks; one of several has objects of equal size.
        chunks = self._capacity if self._objects else len(self._index)
        self._close_object(chunks)
        chunk_rows, *row_shape = self._chunk.shape
        zarr.open_group(self._group, mode="r+").create_array(
            self._name,
            shape=(self._rows, *row_shape),
            chunks=(chunk_rows, *row_shape),
            shards=(chunks * chunk_rows, *row_shape),
            dtype=self._chunk.dtype,
            compressors=codecs.zarr_compressors(self._codec, self._chunk.itemsize),
            fill_value=np.nan,
            dimension_names=self._dimension_names,
        )

    def abandon(self) -> None:
        """Close the file of an array that will not be finished."""
        if self._file is not None:
            self._file.close()

    def _store_chunk(self) -> None:
        if len(self._index) == self._capacity:
            self._close_object(self._capacity)
        if self._file is None:
            path = self._group.joinpath(self._name, "c", str(self._objects), *["0"] * (self._chunk.ndim - 1))
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "wb")  # noqa: SIM115, kept open between appends
        body = codecs.encode(self._codec, self._chunk)
        self._index.append((self._file.tell(), len(body)))
        self._file.write(body)
        self._filled = 0

    def _close_object(self, chunks: int) -> None:
        """End the open object with the index of its `chunks` chunks, those not written marked absent."""
        if self._file is None:
            return
        index = np.full((chunks, 2), ABSENT, "<u8")
        index[: len(self._index)] = self._index
        self._file.write(index.tobytes() + codecs.checksum(index.tobytes()))
        self._file.close()
        self._file, self._index = None, []
        self._objects += 1
