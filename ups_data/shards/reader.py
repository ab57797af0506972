"""Reading one stored array of a shard: directly where this project wrote it, through zarr otherwise.

Both ways give the same interface: an array is a sequence of chunks of `chunk_rows` rows. The direct way maps the
shard object and hands out raw chunks as views of the map, and decodes compressed ones straight into their
destination; a chunk's crc32c is checked the first time this process touches it.
"""

import json
import mmap
import time
from pathlib import Path
from typing import Any, Protocol

import crc32c
import numpy as np
import zarr

from ups_data.errors import UpsDataError
from ups_data.shards import codecs
from ups_data.shards.objects import ABSENT


class StoredArray(Protocol):
    """Rows in chunks.

    Attributes:
        shape: `(rows, *row_shape)`.
        mapped: chunks are views of a map, so that keeping them costs nothing.
        fetch_seconds: time spent so far on opening, reading and checking stored bytes, where that can be told apart
            from decoding.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    chunk_rows: int
    mapped: bool
    fetch_seconds: float

    def chunk(self, number: int, out: np.ndarray | None = None) -> np.ndarray:
        """Rows `[number * chunk_rows, (number + 1) * chunk_rows)`, decoded into `out` if given; read-only if mapped.

        The last chunk has rows beyond the array's end; they are NaN.

        Raises:
            UpsDataError: the stored bytes are damaged, or are not there.
        """
        ...


def open_array(path: Path, *, where: str) -> StoredArray:
    """Open the zarr array in the folder `path`; `where` names it in errors."""
    try:
        metadata = json.loads((path / "zarr.json").read_bytes())
    except FileNotFoundError:
        raise UpsDataError(f"{where}: {path / 'zarr.json'} is missing; copy or make the dataset again") from None
    except ValueError as e:
        raise UpsDataError(f"{where}: {path / 'zarr.json'} is damaged ({e}); copy or make the dataset again") from None
    layout = _direct_layout(metadata)
    return DirectArray(path, *layout, where=where) if layout else ZarrArray(path, where=where)


class DirectArray:
    """An array in the layout of `ArrayWriter`: whole rows, chunked and sharded along the first axis only."""

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        dtype: np.dtype,
        chunk_rows: int,
        object_chunks: int,
        codec: str,
        *,
        where: str,
    ) -> None:
        self.shape, self.dtype, self.chunk_rows = shape, dtype, chunk_rows
        self.mapped = codec == "none"
        self._path, self._where, self._codec, self._object_chunks = path, where, codec, object_chunks
        self._chunk_shape = (chunk_rows, *shape[1:])
        self._chunk_bytes = int(np.prod(self._chunk_shape)) * dtype.itemsize
        self._objects: dict[int, tuple[memoryview, np.ndarray]] = {}
        self._checked = bytearray(-(-shape[0] // chunk_rows))
        self._views: dict[int, np.ndarray] = {}  # of checked raw chunks
        self.fetch_seconds = 0.0

    def chunk(self, number: int, out: np.ndarray | None = None) -> np.ndarray:
        view = self._views.get(number)
        if view is not None:
            return view
        begun = time.perf_counter()
        body = self._fetch(number)
        self.fetch_seconds += time.perf_counter() - begun
        if body is None:
            return np.full(self._chunk_shape, np.nan, self.dtype)
        if self.mapped:
            view = self._views[number] = np.frombuffer(body, self.dtype).reshape(self._chunk_shape)
            return view
        if out is None:
            out = np.empty(self._chunk_shape, self.dtype)
        codecs.decode(self._codec, body, out)
        return out

    def locate(self, numbers: np.ndarray) -> tuple[list[Any], np.ndarray, np.ndarray]:
        """Where chunks of a mapped array lie: `(n,)` numbers → buffers, `(n,)` number of the buffer of each, `(n,)`
        offset in bytes. Nothing is done chunk by chunk but checking those that have not been.

        Raises:
            UpsDataError: as `chunk`.
        """
        begun = time.perf_counter()
        objects, places = np.divmod(numbers, self._object_chunks)
        buffers: list[Any] = []
        buffer, offset = np.empty((2, len(numbers)), np.int64)
        for number in np.unique(objects).tolist():
            here = objects == number
            data, index = self._object(number)
            buffer[here], offset[here] = len(buffers), index[places[here], 0].view(np.int64)
            buffers.append(data)
        if not np.frombuffer(self._checked, np.uint8)[numbers].all():
            for number in np.unique(numbers).tolist():
                self._fetch(number)
        absent = offset < 0  # ABSENT is -1 as a signed number
        if absent.any():
            buffer[absent], offset[absent] = len(buffers), 0
            buffers.append(np.full(self._chunk_shape, np.nan, self.dtype))
        self.fetch_seconds += time.perf_counter() - begun
        return buffers, buffer, offset

    def _fetch(self, number: int) -> memoryview | None:
        """The stored bytes of a chunk without their checksum, checked; None where the chunk is absent."""
        data, index = self._object(number // self._object_chunks)
        offset, length = (int(v) for v in index[number % self._object_chunks])
        if offset == ABSENT:
            return None
        end = offset + length - codecs.CHECKSUM_BYTES
        if not self._checked[number]:
            self._check(number, data[offset:end], data[end : end + codecs.CHECKSUM_BYTES])
        return data[offset:end]

    def _check(self, number: int, body: memoryview, stored: memoryview) -> None:
        intact = codecs.checksum(body) == stored
        if intact and self.mapped:
            intact = len(body) == self._chunk_bytes
        elif intact:
            intact = codecs.decoded_bytes(body) == self._chunk_bytes
        if not intact:
            rows = f"rows {number * self.chunk_rows} to {min((number + 1) * self.chunk_rows, self.shape[0]) - 1}"
            raise UpsDataError(f"{self._where}, {rows}: the stored bytes are damaged; copy or make the shard again")
        self._checked[number] = 1

    def _object(self, number: int) -> tuple[memoryview, np.ndarray]:
        # Two threads may open the same object at once; either result serves.
        if number not in self._objects:
            self._objects[number] = self._map(number)
        return self._objects[number]

    def _map(self, number: int) -> tuple[memoryview, np.ndarray]:
        """Map one object and read the index at its end."""
        path = self._path.joinpath("c", str(number), *["0"] * (len(self.shape) - 1))
        try:
            with open(path, "rb") as f:
                data = memoryview(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as e:  # ValueError: an empty file cannot be mapped
            raise UpsDataError(f"{self._where}: {path} cannot be read ({e}); copy or make the shard again") from None
        index_bytes = 16 * self._object_chunks
        end = len(data) - codecs.CHECKSUM_BYTES
        index = data[max(0, end - index_bytes) : max(0, end)]
        if len(index) < index_bytes or crc32c.crc32c(index).to_bytes(4, "little") != data[end:]:
            raise UpsDataError(f"{self._where}: the index of {path} is damaged; copy or make the shard again")
        table = np.frombuffer(index, "<u8").reshape(-1, 2)
        present = table[table[:, 0] != ABSENT]
        limit = np.uint64(end - index_bytes)
        if ((present > limit) | (present.sum(1, keepdims=True) > limit)).any() or (present[:, 1] < 4).any():
            raise UpsDataError(f"{self._where}: the index of {path} points outside it; copy or make the shard again")
        return data, table


class ZarrArray:
    """Any other zarr array, through zarr-python.

    Decoded by `zarrs` where the array has no checksums. Where it has, by zarr-python's own pipeline: `zarrs` 0.2.3
    reads a chunk inside a shard as a partial value and strips its crc32c unread, so damage would be served.
    """

    mapped = False
    fetch_seconds = 0.0

    def __init__(self, path: Path, *, where: str) -> None:
        # Imported late: most processes never need it, and it starts threads that do not survive a fork.
        import zarrs  # noqa: F401, registers the pipeline

        checked = b'"crc32c"' in (path / "zarr.json").read_bytes()
        pipeline = "zarr.core.codec_pipeline.BatchedCodecPipeline" if checked else "zarrs.ZarrsCodecPipeline"
        with zarr.config.set({"codec_pipeline.path": pipeline}):
            array = zarr.open_array(path, mode="r")
        self._array, self._where = array, where
        self.shape, self.dtype, self.chunk_rows = array.shape, array.dtype, array.chunks[0]

    def chunk(self, number: int, out: np.ndarray | None = None) -> np.ndarray:
        if out is None:
            out = np.empty((self.chunk_rows, *self.shape[1:]), self.dtype)
        start = number * self.chunk_rows
        stop = min(start + self.chunk_rows, self.shape[0])
        try:
            out[: stop - start] = self._array[start:stop]
        except Exception as e:  # whatever the codec raises, the reader of the message needs the place
            raise UpsDataError(
                f"{self._where}, rows {start} to {stop - 1}: {type(e).__name__}: {e}; copy or make the shard again"
            ) from e
        out[stop - start :] = np.nan
        return out


def _direct_layout(metadata: dict[str, Any]) -> tuple[tuple[int, ...], np.dtype, int, int, str] | None:
    """(shape, dtype, chunk rows, chunks of an object, codec) if the metadata are those that `ArrayWriter` writes."""
    try:
        shape, dtype = tuple(metadata["shape"]), np.dtype(metadata["data_type"])
        object_shape = metadata["chunk_grid"]["configuration"]["chunk_shape"]
        (sharding,) = metadata["codecs"]
        inner = sharding["configuration"]
        chunk_rows, *row_shape = inner["chunk_shape"]
        names = [c["name"] for c in inner["codecs"]]
        codec = inner["codecs"][1]["configuration"]["cname"] if names == ["bytes", "blosc", "crc32c"] else "none"
        whole_rows = tuple(row_shape) == shape[1:] == tuple(object_shape[1:])
        if not (
            whole_rows
            and metadata["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "/"}}
            and object_shape[0] % chunk_rows == 0
            and sharding["name"] == "sharding_indexed"
            and inner["index_location"] == "end"
            and [c["name"] for c in inner["index_codecs"]] == ["bytes", "crc32c"]
            and names in (["bytes", "crc32c"], ["bytes", "blosc", "crc32c"])
            and inner["codecs"][0]["configuration"]["endian"] == "little"
            and codec in codecs.CODECS
        ):
            return None
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    return shape, dtype, chunk_rows, object_shape[0] // chunk_rows, codec
