"""The objects of an array, as zarr-python reads them where they are not files."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import numpy as np
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from ups_data.errors import MissingObjectError
from ups_data.store.arrays.metadata import ARRAY
from ups_data.store.object_store import ObjectStore, joined_key
from ups_data.store.seal import ArraySeal


class StoreOfZarr(Store):
    """A read-only store of zarr's over the objects of one array.

    Args:
        key: of the array.
        metadata: its `zarr.json`, already compared with the seal.
        seal: what it does not list is not there; None: an array that belongs to no shard.
    """

    def __init__(self, store: ObjectStore, key: str, metadata: bytes, seal: ArraySeal | None) -> None:
        super().__init__(read_only=True)
        self._store, self._key, self._metadata, self._seal = store, key, metadata, seal

    def _read(self, name: str, asked: ByteRequest | None) -> bytes | memoryview | None:
        if name == ARRAY:
            return self._metadata
        if self._seal is not None and not self._seal.lists(name):
            return None
        size = None if self._seal is None else self._seal.seal.files[f"{self._seal.array}/{name}"][0]
        try:
            opened = self._store.open(joined_key(self._key, name), size)
        except MissingObjectError:
            if self._seal is None:
                return None
            raise
        start, stop = _bounds(asked, opened.size)
        return self._store.get_ranges([(opened, np.array([start]), np.array([stop]))]).body(0) if start < stop else b""

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        data = await asyncio.to_thread(self._read, key, byte_range)
        return None if data is None else prototype.buffer.from_bytes(bytes(data))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return list(await asyncio.gather(*(self.get(key, prototype, asked) for key, asked in key_ranges)))

    async def exists(self, key: str) -> bool:
        return await asyncio.to_thread(self._read, key, RangeByteRequest(0, 0)) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoreOfZarr) and (self._store, self._key) == (other._store, other._key)

    supports_writes = supports_deletes = supports_listing = False

    async def set(self, key: str, value: Buffer) -> None:
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        raise NotImplementedError

    def list(self) -> AsyncIterator[str]:
        raise NotImplementedError

    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        raise NotImplementedError

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        raise NotImplementedError


def _bounds(asked: ByteRequest | None, size: int) -> tuple[int, int]:
    if isinstance(asked, RangeByteRequest):
        return asked.start, min(asked.end, size)
    if isinstance(asked, OffsetByteRequest):
        return asked.offset, size
    if isinstance(asked, SuffixByteRequest):
        return max(0, size - asked.suffix), size
    return 0, size
