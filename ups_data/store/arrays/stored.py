"""What a stored array is to those who read it: chunks, each of `chunk_rows` rows of one block of points."""

import math
from typing import Literal, Protocol

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.schema import limits

# When a chunk is compared with its checksum: as this process first uses it, at every use, or never. Metadata, tables
# and the indexes of objects always are.
Verify = Literal["first", "always", "never"]


class StoredArray(Protocol):
    """Rows of blocks, in chunks.

    Attributes:
        shape: `(rows, *grid, C)` for whole frames, `(rows, blocks * P, C)` in blocks.
        chunk_shape: `(chunk_rows, *grid, C)`, or `(chunk_rows, P, C)`.
        chunk_rows: rows of a chunk.
        chunk_bytes: of a decoded chunk.
        blocks: blocks of a row, 1 for whole frames.
        block_points: P, slots of a block; all points of a whole frame.
        mapped: chunks are views of a map, so that keeping them costs nothing.
        fetch_seconds: time spent so far on opening, reading and checking stored bytes, where that can be told apart
            from decoding.
        read_bytes: stored bytes of the chunks fetched so far; of a mapped chunk by `chunk` once, by
            `locate` at every use.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    chunk_shape: tuple[int, ...]
    chunk_rows: int
    chunk_bytes: int
    blocks: int
    block_points: int
    mapped: bool
    fetch_seconds: float
    read_bytes: int

    def chunk(self, number: int, out: np.ndarray | None = None) -> np.ndarray:
        """Block `number % blocks` of rows `[r * chunk_rows, (r + 1) * chunk_rows)`, r = `number // blocks`.

        Decoded into `out` if given; read-only if mapped. Rows beyond the array's end and slots without a point hold
        the array's fill value, NaN in fields.

        Raises:
            UpsDataError: the stored bytes are damaged, or are not there.
        """
        ...


def place_of(array: StoredArray, number: int) -> str:
    """Which rows, and which block, a chunk holds."""
    row_chunk, block = divmod(number, array.blocks)
    start = row_chunk * array.chunk_rows
    rows = f"rows {start} to {min(start + array.chunk_rows, array.shape[0]) - 1}"
    return rows if array.blocks == 1 else f"{rows}, block {block}"


def bounded_bytes(chunk_shape: tuple[int, ...], dtype: np.dtype, where: str) -> int:
    """Decoded bytes of a chunk.

    Raises:
        UpsDataError: more than anybody writes: the metadata cannot be trusted with an allocation.
    """
    size = math.prod(chunk_shape) * dtype.itemsize
    if not 0 < size <= limits.CHUNK_BYTES:
        raise UpsDataError(f"{where}: claims chunks of {size:,} bytes, the limit is 2 GiB; make the dataset again")
    return size
