"""A dataset in this process's memory, fast or as slow as a remote store."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ups_data.errors import MissingObjectError, StoreError, UpsDataError
from ups_data.store.object_store import AGAIN, Object, ObjectStore, Ranges, Wanted, check_key

try:
    import obstore
    from obstore.store import MemoryStore as Memory
except ImportError:
    raise UpsDataError("MemoryStore needs obstore: install it with pip install 'ups_data[remote]'") from None


class MemoryStore(ObjectStore):
    """Objects in memory, by obstore: for tests, and for what a slow store costs.

        store = MemoryStore({key: source.get(key, size) for key, size in source.list("")}, latency=0.03)
        loader = QueryLoader(store, split="train", batch_size=16, sampling=QuerySampling(ratio=0.1))

    A pickled one takes its content along: a worker process has a copy of it.

    Args:
        objects: key → content, to begin with.
        latency: seconds that every `get` and every `get_ranges` takes at least. The ranges of one call are fetched at
            once, as a store does for as many requests as are in flight.
    """

    own_memory = True

    def __init__(self, objects: Mapping[str, bytes] | None = None, latency: float = 0.0) -> None:
        self.latency = latency
        self._store = Memory()
        for key, data in (objects or {}).items():
            self.put(key, data)

    def name(self, key: str) -> str:
        """`memory:` and the key."""
        return f"memory:{key}"

    def get(self, key: str, limit: int) -> bytes:
        """See `ObjectStore.get`."""
        time.sleep(self.latency)
        try:
            found = obstore.get(self._store, check_key(key))
            if found.meta["size"] <= limit:
                return bytes(found.bytes())
        except Exception as error:  # obstore's have no class in common
            raise self._unreadable(key, error) from None
        raise StoreError(f"{self.name(key)} is damaged, it is longer than {limit:,} bytes; {AGAIN}")

    def open(self, key: str, size: int | None) -> Object:
        """See `ObjectStore.open`."""
        check_key(key)
        try:
            return Object(key, obstore.head(self._store, key)["size"] if size is None else size)
        except Exception as error:
            raise self._unreadable(key, error) from None

    def get_ranges(self, wanted: Sequence[Wanted]) -> Ranges:
        """See `ObjectStore.get_ranges`."""
        time.sleep(self.latency)
        bodies: list[Any] = []
        for opened, start, stop in wanted:
            try:
                size = obstore.head(self._store, opened.key)["size"]  # `get_ranges` panics beyond the end
                if stop.max(initial=0) > size:
                    where = f"{self.name(opened.key)}, bytes {int(start[stop.argmax()])} to {int(stop.max())}"
                    raise StoreError(f"{where}: is damaged, the object holds {size:,} bytes; {AGAIN}")
                if len(start):
                    bodies += obstore.get_ranges(self._store, opened.key, starts=start.tolist(), ends=stop.tolist())
            except Exception as error:
                raise self._unreadable(opened.key, error) from None
        length = np.fromiter(map(len, bodies), np.int64, len(bodies))
        return Ranges(bodies, np.arange(len(bodies)), np.zeros(len(bodies), np.int64), length)

    def put(self, key: str, data: bytes) -> None:
        """See `ObjectStore.put`."""
        obstore.put(self._store, check_key(key), data)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `ObjectStore.list`."""
        for some in obstore.list(self._store, prefix=prefix or None):
            for found in some:
                yield found["path"], found["size"]

    @property
    def client_to_write(self) -> Any:
        """obstore's store, for writers."""
        return self._store

    def _unreadable(self, key: str, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        if isinstance(error, FileNotFoundError):
            return MissingObjectError(f"{self.name(key)} is missing and cannot be read; {AGAIN}")
        line = str(error).partition("\n")[0]  # obstore says more below, for its own makers
        return StoreError(f"{self.name(key)} cannot be read ({line}); {AGAIN}")

    def __getstate__(self) -> dict[str, Any]:
        objects = {key: bytes(obstore.get(self._store, key).bytes()) for key, _ in self.list("")}
        return {"objects": objects, "latency": self.latency}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]
