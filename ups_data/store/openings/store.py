"""A store whose shards are opened from their split's opening."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np

from ups_data.errors import StoreError
from ups_data.schema import ShardSpec
from ups_data.schema.trajectories import SEAL
from ups_data.store.counts import StoreCounts
from ups_data.store.object_store import Object, ObjectStore, Pending, Ranges, Wanted
from ups_data.store.openings.format import INDEX, entries, header_bytes, opening_key, unpacked

# Read at once beside the header; a larger opening is read shard by shard, as they are asked for.
FIRST_BYTES = 4 * 1024**2
AT_ONCE_BYTES = 64 * 1024**2


class OpenedSplit(ObjectStore):
    """A store before which the opening of a split answers for what it holds; everything else comes from the store.

    What is missing or damaged in the opening, or older than the manifest, is read from the shards.

    Args:
        shards: of the split, in the manifest's order.
    """

    def __init__(self, store: ObjectStore, split: str, shards: Sequence[ShardSpec]) -> None:
        self.store, self._key = store, opening_key(split)
        self._shards = list(shards)
        self._numbers = {spec.path: number for number, spec in enumerate(shards)}
        self._parts: dict[int, dict[str, memoryview]] = {}
        self._lock = threading.Lock()
        self.zero_copy, self.verify_once = store.zero_copy, store.verify_once
        self.in_place, self.reads_ahead = store.in_place, store.reads_ahead
        self.own_memory = store.own_memory

    def get(self, key: str, limit: int) -> bytes:
        """See `ObjectStore.get`."""
        found = self._look_up(key)
        return self.store.get(key, limit) if found is None or len(found) > limit else bytes(found)

    def get_tails(self, opened: Sequence[Object], length: int) -> Ranges:
        """See `ObjectStore.get_tails`."""
        found = [self._look_up(f"{o.key}{INDEX}") for o in opened]
        known = [tail for tail in found if tail is not None and len(tail) == length]
        if len(known) < len(found):
            return self.store.get_tails(opened, length)
        count = len(known)
        return Ranges(list(known), np.arange(count), np.zeros(count, np.int64), np.full(count, length))

    def _look_up(self, key: str) -> memoryview | None:
        shard, separator, name = key.partition(".zarr/")
        number = self._numbers.get(f"{shard}.zarr") if separator else None
        if number is None:
            return None
        part = self._parts.get(number)
        if part is None:
            with self._lock:
                part = self._parts.get(number)
                if part is None:
                    part = self._parts[number] = self._read(number)
        return part.get(name)

    def _read(self, number: int) -> dict[str, memoryview]:
        """What the opening has of a shard; nothing if it cannot be used."""
        start, length, digest = self._entries[number] if self._entries else (0, 0, b"")
        if not length:
            return {}
        body = self._bytes(start, start + length)
        part = None if body is None else unpacked(body, digest)
        if part is None or SEAL not in part:
            return {}
        is_current = f"sha256:{hashlib.sha256(part[SEAL]).hexdigest()}" == self._shards[number].digest
        return part if is_current else {}

    def _bytes(self, start: int, stop: int) -> memoryview | None:
        for first, data in (self._first, self._rest):
            if first <= start and stop <= first + len(data):
                return data[start - first : stop - first]
        return self._fetched(start, stop)

    def _fetched(self, start: int, stop: int) -> memoryview | None:
        opened = Object(self._key, stop)
        try:
            return self.store.get_ranges([(opened, np.array([start]), np.array([stop]))]).body(0)
        except StoreError:
            return None

    @cached_property
    def _first(self) -> tuple[int, memoryview]:
        """The header, and what comes with it."""
        return 0, memoryview(self.store.get_first(self._key, header_bytes(len(self._shards)) + FIRST_BYTES) or b"")

    @cached_property
    def _entries(self) -> list[tuple[int, int, bytes]] | None:
        return entries(self._first[1], len(self._shards))

    @cached_property
    def _rest(self) -> tuple[int, memoryview]:
        """The rest of an opening that is not too large to be read at once."""
        read, end = len(self._first[1]), max((s + n for s, n, _ in self._entries or ()), default=0)
        if not read < end <= AT_ONCE_BYTES:
            return 0, memoryview(b"")
        return read, self._fetched(read, end) or memoryview(b"")

    def name(self, key: str) -> str:
        """See `ObjectStore.name`."""
        return self.store.name(key)

    def open(self, key: str, size: int | None) -> Object:
        """See `ObjectStore.open`."""
        return self.store.open(key, size)

    def open_sealed(self, key: str, size: int, digest: str) -> Object:
        """See `ObjectStore.open_sealed`."""
        return self.store.open_sealed(key, size, digest)

    def get_ranges(self, wanted: Sequence[Wanted]) -> Ranges:
        """See `ObjectStore.get_ranges`."""
        return self.store.get_ranges(wanted)

    def ahead(self, wanted: Sequence[Wanted]) -> None:
        """See `ObjectStore.ahead`."""
        self.store.ahead(wanted)

    def delivered(self, size: int) -> None:
        """See `ObjectStore.delivered`."""
        self.store.delivered(size)

    @contextmanager
    def reading(self, wanted: Callable[[], Sequence[Wanted]]) -> Iterator[None]:
        """See `ObjectStore.reading`."""
        with self.store.reading(wanted):
            yield

    @property
    def looks_ahead(self) -> bool:  # type: ignore[override]
        """See `ObjectStore`."""
        return self.store.looks_ahead

    def get_again(self, wanted: Sequence[Wanted]) -> Ranges:
        """See `ObjectStore.get_again`."""
        return self.store.get_again(wanted)

    def begin(self, wanted: Sequence[Wanted]) -> Pending:
        """See `ObjectStore.begin`."""
        return self.store.begin(wanted)

    def counts(self) -> StoreCounts:
        """See `ObjectStore.counts`."""
        return self.store.counts()

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `ObjectStore.list`."""
        return self.store.list(prefix)

    def local_path(self, key: str) -> Path | None:
        """See `ObjectStore.local_path`."""
        return self.store.local_path(key)


def opened_split(store: ObjectStore, split: str, shards: Sequence[ShardSpec]) -> ObjectStore:
    """The store as a loader of a split reads it: with the split's opening, unless its files are at hand."""
    return store if store.local_path(opening_key(split)) is not None else OpenedSplit(store, split, shards)
