"""What was fetched ahead, in front of the store that it comes from."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import StoreError
from ups_data.store.counts import StoreCounts
from ups_data.store.object_store import Object, ObjectStore, Pending, Ranges, Wanted

Places = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]  # starts, ascending; stops; numbers in `Ranges`


class Window(ObjectStore):
    """A store that has the ranges of coming blocks before they are asked for. Threads share it.

    A block's ranges are `fetch`ed as one; whoever makes the block says so with `use`. What was not fetched ahead
    comes from the store behind, as do ranges that could not be fetched: then the error is that of the read itself.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.zero_copy, self.verify_once = store.zero_copy, store.verify_once
        self.own_memory = store.own_memory
        self._alive: list[Fetched] = []
        self._lock = threading.Lock()
        self._mine = threading.local()

    def fetch(self, wanted: Sequence[Wanted]) -> "Fetched":
        """Begin to fetch ranges; `release` them once they were used."""
        fetched = Fetched(wanted, self.store.begin(wanted))
        with self._lock:
            self._alive.append(fetched)
        return fetched

    def release(self, fetched: "Fetched") -> None:
        """Nobody uses those any more."""
        fetched.pending.cancel()
        with self._lock:
            self._alive = [other for other in self._alive if other is not fetched]

    def use(self, fetched: "Fetched | None") -> None:
        """This thread reads what was fetched, until it says otherwise."""
        self._mine.fetched = fetched

    def get_ranges(self, wanted: Sequence[Wanted]) -> Ranges:
        """See `ObjectStore.get_ranges`."""
        mine: Fetched | None = getattr(self._mine, "fetched", None)
        if mine is None or self.zero_copy:
            return self.store.get_ranges(wanted)
        counts = [len(start) for _, start, _ in wanted]
        count = sum(counts)
        found = Ranges([], np.full(count, -1), np.zeros(count, np.int64), np.zeros(count, np.int64))
        mine.look_up(wanted, found)
        if count and found.buffer.min() < 0:
            for other in list(self._alive):
                other.look_up(wanted, found)
            self._look_behind(wanted, found)
        return found

    def _look_behind(self, wanted: Sequence[Wanted], found: Ranges) -> None:
        """Read from the store what nobody has fetched."""
        left, first = [], 0
        for opened, start, stop in wanted:
            missing = found.buffer[first : first + len(start)] < 0
            left.append((opened, start[missing], stop[missing]))
            first += len(start)
        missing = found.buffer < 0
        if missing.any():
            read = self.store.get_ranges([some for some in left if len(some[1])])
            found.buffer[missing] = read.buffer + len(found.buffers)
            found.offset[missing], found.length[missing] = read.offset, read.length
            found.buffers += read.buffers

    def get_again(self, wanted: Sequence[Wanted]) -> Ranges:
        """See `ObjectStore.get_again`."""
        return self.store.get_again(wanted)

    def name(self, key: str) -> str:
        """See `ObjectStore.name`."""
        return self.store.name(key)

    def get(self, key: str, limit: int) -> bytes:
        """See `ObjectStore.get`."""
        return self.store.get(key, limit)

    def open_sealed(self, key: str, size: int, digest: str) -> Object:
        """See `ObjectStore.open_sealed`."""
        return self.store.open_sealed(key, size, digest)

    def get_tails(self, opened: Sequence[Object], length: int) -> Ranges:
        """See `ObjectStore.get_tails`."""
        return self.store.get_tails(opened, length)

    def open(self, key: str, size: int | None) -> Object:
        """See `ObjectStore.open`."""
        return self.store.open(key, size)

    def delivered(self, size: int) -> None:
        """See `ObjectStore.delivered`."""
        self.store.delivered(size)

    def counts(self) -> StoreCounts:
        """See `ObjectStore.counts`."""
        return self.store.counts()

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `ObjectStore.list`."""
        return self.store.list(prefix)

    def local_path(self, key: str) -> Path | None:
        """See `ObjectStore.local_path`."""
        return self.store.local_path(key)


class Fetched:
    """Ranges that are fetched together.

    Attributes:
        pending: the ranges, in the order in which they were asked for.
    """

    def __init__(self, wanted: Sequence[Wanted], pending: Pending) -> None:
        self._wanted, self.pending = wanted, pending
        self._places: dict[str, Places] | None = None
        self._lock = threading.Lock()

    def look_up(self, wanted: Sequence[Wanted], found: Ranges) -> None:
        """Fill in those of the ranges that are among these and not found yet, waiting for them."""
        places, first, body = self._sorted(), 0, None
        for opened, start, stop in wanted:
            here = slice(first, first + len(start))
            first += len(start)
            of_object = places.get(opened.key)
            if of_object is None or not len(start):
                continue
            starts, stops, numbers = of_object
            at = np.minimum(np.searchsorted(starts, start), len(starts) - 1)
            hit = (starts[at] == start) & (stops[at] == stop) & (found.buffer[here] < 0)
            if not hit.any():
                continue
            if body is None:
                try:
                    body = self.pending.result()
                except (StoreError, CancelledError):  # whoever reads now finds out anew, and says for what it was read
                    return
                base = len(found.buffers)
                found.buffers += body.buffers
            which, to = numbers[at[hit]], np.flatnonzero(hit) + here.start
            found.buffer[to] = body.buffer[which] + base
            found.offset[to], found.length[to] = body.offset[which], body.length[which]

    def _sorted(self) -> dict[str, Places]:
        with self._lock:
            if self._places is None:
                places: dict[str, list[Places]] = {}
                first = 0
                for opened, start, stop in self._wanted:
                    numbers = np.arange(first, first + len(start))
                    places.setdefault(opened.key, []).append((start, stop, numbers))
                    first += len(start)
                self._places = {key: _in_order(parts) for key, parts in places.items()}
            return self._places


def _in_order(parts: Sequence[Places]) -> Places:
    start, stop, numbers = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(start, kind="stable")
    return start[order], stop[order], numbers[order]
