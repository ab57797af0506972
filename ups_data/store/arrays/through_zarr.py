"""Any zarr array that this project did not write, read through zarr-python."""

import itertools
import math

import numpy as np
import zarr
from zarr.codecs import BloscCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer
from zarr.registry import register_codec

from ups_data.errors import UpsDataError
from ups_data.schema import limits
from ups_data.schema.blosc_header import claimed_size
from ups_data.store.arrays.metadata import ARRAY, HARMLESS, blocks_of, codec_names, parsed
from ups_data.store.arrays.stored import bounded_bytes, place_of
from ups_data.store.arrays.zarr_store import StoreOfZarr
from ups_data.store.object_store import joined_key
from ups_data.store.root import Root, open_store
from ups_data.store.seal import ArraySeal, get

SLACK = 64 * 1024  # of a codec that was applied before blosc


class CheckedBlosc(BloscCodec):
    """zarr's blosc, of chunks that were looked at."""

    def _looked_at(self, chunk: Buffer, spec: ArraySpec) -> Buffer:
        copy = chunk.to_bytes()
        most = math.prod(spec.shape) * spec.dtype.to_native_dtype().itemsize + SLACK
        if claimed_size(copy) > most:
            raise ValueError(f"a chunk of {claimed_size(copy):,} bytes in the place of one of at most {most:,}")
        return spec.prototype.buffer.from_bytes(copy)

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        return await super()._decode_single(self._looked_at(chunk_bytes, chunk_spec), chunk_spec)


register_codec("blosc", CheckedBlosc)  # beside zarr's own, which stays the one that others get
BLOSC = f"{CheckedBlosc.__module__}.{CheckedBlosc.__qualname__}"


class ZarrArray:
    """Any other zarr array, through zarr-python.

    Decoded by `zarrs` where the array is files and has no checksums. Where it has, by zarr-python's own pipeline:
    `zarrs` 0.2.3 reads a chunk inside a shard as a partial value and strips its crc32c unread, so damage would be
    served. In a shard, the digests of the files that a chunk is read from are checked first, once.

    Args:
        root: a folder or a store.
        key: of the array there; empty: the root is the array.
        seal: what its files are compared with; None: an array that belongs to no shard.
    """

    mapped = False
    fetch_seconds = 0.0

    def __init__(self, root: Root, key: str = "", *, where: str, seal: ArraySeal | None = None) -> None:
        store, file = open_store(root), joined_key(key, ARRAY)
        called, name = store.name(file), store.name(key)
        text = seal.read(ARRAY, where=where) if seal else get(store, file, limits.METADATA_BYTES, where)
        foreign = codec_names(parsed(text, called, where)) - HARMLESS
        if foreign:
            raise UpsDataError(f"{where}: {name} is coded by {sorted(foreign)}; make the dataset again")
        # Imported late: most processes never need it, and it starts threads that do not survive a fork.
        import zarrs  # noqa: F401, registers the pipeline

        self._path = store.local_path(key)
        plain = b'"crc32c"' not in text and self._path is not None
        pipeline = "zarrs.ZarrsCodecPipeline" if plain else "zarr.core.codec_pipeline.BatchedCodecPipeline"
        with zarr.config.set({"codec_pipeline.path": pipeline, "codecs.blosc": BLOSC}):
            try:
                array = zarr.open_array(self._path or StoreOfZarr(store, key, text, seal), mode="r")
            except Exception as e:  # whatever zarr finds wrong with the metadata
                raise UpsDataError(f"{where}: {called}: {_line(e)}; copy or make the dataset again") from e
        if len(array.shape) < 2 or 0 in array.shape or array.dtype.kind not in "fiu":
            raise UpsDataError(f"{where}: {name} holds {array.dtype} {array.shape}; copy or make the dataset again")
        self._array, self._where = array, where
        self._seal, self._checked = seal, set[str]()
        self.shape, self.dtype, chunk_shape = array.shape, array.dtype, array.chunks
        whole = chunk_shape[2:] == self.shape[2:] and self.shape[1] % chunk_shape[1] == 0
        # Chunks that cut more than rows and points are read together, as whole rows.
        self.chunk_shape = chunk_shape if whole else (chunk_shape[0], *self.shape[1:])
        self.chunk_rows = self.chunk_shape[0]
        self.blocks, self.block_points = blocks_of(self.shape, self.chunk_shape)
        self.chunk_bytes = bounded_bytes(self.chunk_shape, self.dtype, where)
        self.read_bytes = 0

    def chunk(self, number: int, out: np.ndarray | None = None) -> np.ndarray:
        """See `StoredArray.chunk`."""
        if out is None:
            out = np.empty(self.chunk_shape, self.dtype)
        row_chunk, block = divmod(number, self.blocks)
        start = row_chunk * self.chunk_rows
        stop = min(start + self.chunk_rows, self.shape[0])
        slots = self.chunk_shape[1]
        self._check(start, stop, block * slots, (block + 1) * slots)
        try:
            out[: stop - start] = self._array[start:stop, block * slots : (block + 1) * slots]
        except Exception as e:  # whatever the codec raises, the reader of the message needs the place
            raise UpsDataError(
                f"{self._where}, {place_of(self, number)}: {_line(e)}; copy or make the shard again"
            ) from e
        out[stop - start :] = self._array.fill_value
        # What zarr fetched is not to be had: decoded bytes stand for it.
        self.read_bytes += (stop - start) * self.chunk_bytes // self.chunk_rows
        return out

    def _check(self, start: int, stop: int, first_slot: int, end_slot: int) -> None:
        """The files that hold those rows and slots: there if and only if the seal lists them, and intact."""
        if self._seal is None:
            return
        size = self._array.shards or self._array.chunks
        bounds = [(start, stop), (first_slot, end_slot), *((0, n) for n in self.shape[2:])]
        spans = [range(low // n, (high - 1) // n + 1) for (low, high), n in zip(bounds, size, strict=True)]
        for place in itertools.product(*spans):
            name = self._array.metadata.encode_chunk_key(place)
            if name in self._checked:
                continue
            if self._seal.lists(name):
                self._seal.check(name, where=self._where)
            elif self._path is not None and (self._path / name).exists():
                raise UpsDataError(f"{self._where}: {name} is not among the shard's files; copy the shard again")
            self._checked.add(name)


def _line(error: Exception) -> str:
    """What a library says, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
