"""`CachedStore`: another store with a cache before it."""

import hashlib
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ups_data import _native as built
from ups_data.errors import StoreError, UpsDataError
from ups_data.points.lookup.numbers import distinct
from ups_data.store.cached.filling import Filler, Part
from ups_data.store.cached.ledger import Ledger
from ups_data.store.cached.mirror import BrokenMirrorError
from ups_data.store.cached.objects import CachedObject
from ups_data.store.counts import StoreCounts
from ups_data.store.kernel import advice
from ups_data.store.kernel.warmth import Warmth
from ups_data.store.object_store import Object, ObjectStore, Ranges, Wanted

FILLERS = 4  # threads that fill ahead
WAITING = 64  # blocks that may wait for them


class CachedStore(ObjectStore):
    """A store whose chunks are kept in a folder of this machine, for all processes that share it, and for later runs.

        store = CachedStore(open_store("s3://bucket/run"), "/nvme/cache", 200 * 2**30)

    What is kept are the chunks of sealed objects, by the object's digest; small files are asked for again. They lie in
    sparse copies of the objects, which are mapped, and are used where they lie, as though they had always been there.

    Args:
        store: where the objects are.
        folder: of the cache; made if it is missing.
        bound: bytes that it takes at most; None: what is free on its disk, but for a tenth.

    Raises:
        UpsDataError: the folder cannot be used.
    """

    verify_once = True
    reads_ahead = False  # it has threads of its own that do

    def __init__(self, store: ObjectStore, folder: str | Path, bound: int | None = None) -> None:
        self.store, self.folder = store, Path(folder)
        try:
            self._ledger = Ledger(self.folder)
            self.bound = bound if bound is not None else self._ledger.room_of_disk()
        except OSError as error:
            raise UpsDataError(
                f"the cache {folder} cannot be used ({error.strerror or error}): choose a folder on a local disk that "
                "can be written to"
            ) from None
        self._filler = Filler(store, self._ledger, self.bound)
        self._mine = threading.local()
        self._fills, self._disk = Warmth(), Warmth()
        self._failed: dict[tuple[int, int], StoreError] = {}
        self._ahead: SimpleQueue[list[Part] | None] | None = None
        self._lock = threading.Lock()
        self._hits = 0
        self._closed = False

    def __reduce__(self) -> tuple[Any, ...]:
        return CachedStore, (self.store, self.folder, self.bound)

    @property
    def in_place(self) -> bool:  # type: ignore[override]
        """See `ObjectStore`."""
        return built.native is not None

    def name(self, key: str) -> str:
        """As the store behind it says."""
        return self.store.name(key)

    def get(self, key: str, limit: int) -> bytes:
        """See `ObjectStore.get`: from the store behind it."""
        return self.store.get(key, limit)

    def get_first(self, key: str, size: int) -> bytes | None:
        """See `ObjectStore.get_first`: from the store behind it."""
        return self.store.get_first(key, size)

    def put(self, key: str, data: bytes) -> None:
        """See `ObjectStore.put`."""
        self.store.put(key, data)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `ObjectStore.list`."""
        return self.store.list(prefix)

    def local_path(self, key: str) -> Path | None:
        """See `ObjectStore.local_path`."""
        return self.store.local_path(key)

    def open(self, key: str, size: int | None) -> Object:
        """See `ObjectStore.open`: of an object whose digest nobody knows nothing is kept."""
        return self.store.open(key, size)

    def open_sealed(self, key: str, size: int, digest: str) -> Object:
        """See `ObjectStore.open_sealed`."""
        source = self.store.open_sealed(key, size, digest)
        name = hashlib.sha256(f"{digest} {size}".encode()).hexdigest()
        return CachedObject(
            source, self._ledger.objects / name[:2] / f"{name[2:]}.data", self._ledger, self._filler.keep
        )

    def get_ranges(self, wanted: Sequence[Wanted]) -> Ranges:
        """See `ObjectStore.get_ranges`: views of the mirrors inside `reading`, copies elsewhere."""
        if getattr(self._mine, "there", None) is not None:
            return self._found(wanted)
        with self.reading(lambda: wanted):
            found = self._found(wanted)
            bodies = [bytes(found.body(number)) for number in range(len(found))]
        return Ranges(bodies, np.arange(len(bodies)), np.zeros(len(bodies), np.int64), found.length)

    @contextmanager
    def reading(self, wanted: Callable[[], Sequence[Wanted]]) -> Iterator[None]:
        """See `ObjectStore.reading`: what is lacking is fetched, and until this ends nothing of it is taken out."""
        if getattr(self._mine, "there", None) is not None:
            yield
            return
        parts = _parts(wanted())
        if self._disk.cold:
            self._advise(parts)
        if not self._fills.cold:  # most likely all of it is there
            with self._seen(parts) as there:
                if all(opened in there and there[opened][numbers].all() for opened, numbers in parts):
                    self._count(parts, sum(len(n) for _, n in parts))
                    yield
                    self._used(parts)
                    return
        filled = self._filler.fill(parts)
        self._failed.update(filled.failed)
        self._count(parts, filled.present)
        self._fills.delivered(filled.fetched)
        with self._seen(parts):
            yield
        self._used(parts)

    @contextmanager
    def _seen(self, parts: Sequence[Part]) -> Iterator[dict[CachedObject, NDArray[np.bool_]]]:
        """Which chunks of those objects can be read where they are, and stay there until this ends, in this thread."""
        with self._ledger.reading():
            self._mine.there = {o: there for o, _ in parts if (there := o.there()) is not None}
            try:
                yield self._mine.there
            finally:
                self._mine.there = None

    @property
    def looks_ahead(self) -> bool:  # type: ignore[override]
        """See `ObjectStore`: as long as chunks are fetched, or the disk has to be read."""
        return self._fills.cold or self._disk.cold

    def ahead(self, wanted: Sequence[Wanted]) -> None:
        """See `ObjectStore.ahead`: threads fill the cache."""
        parts = _parts(wanted)
        if not parts or not self._fills.cold:
            self._advise(parts)
            return
        with self._lock:
            if self._closed:
                return
            if self._ahead is None:
                self._ahead = SimpleQueue()
                for number in range(FILLERS):
                    arguments = weakref.ref(self), self._ahead
                    threading.Thread(target=_fill, args=arguments, name=f"ups_data_cache_{number}", daemon=True).start()
            queue = self._ahead
        if queue.qsize() < WAITING:
            queue.put(parts)

    def counts(self) -> StoreCounts:
        """See `ObjectStore.counts`."""
        return self.store.counts() + StoreCounts(cache_hits=self._hits)

    def delivered(self, size: int) -> None:
        """See `ObjectStore.delivered`."""
        self._disk.delivered(size)

    def get_again(self, wanted: Sequence[Wanted]) -> Ranges:
        """See `ObjectStore.get_again`: what the mirrors have is compared before anybody uses it again."""
        for opened, numbers in _parts(wanted):
            self._filler.doubt(opened, numbers)
        sources = [(o.source if isinstance(o, CachedObject) else o, start, stop) for o, start, stop in wanted]
        return self.store.get_again(sources)

    def _found(self, wanted: Sequence[Wanted]) -> Ranges:
        """Views of what is present; the rest from the store behind, in memory of its own."""
        buffers: list[Any] = []
        buffer, offset, lacking = [], [], list[Wanted]()
        for opened, start, stop in wanted:
            there = np.zeros(len(start), bool)
            if isinstance(opened, CachedObject) and (numbers := opened.numbers(start, stop)) is not None:
                there = self._present(opened, numbers)
                for number in numbers[~there].tolist() if self._failed else ():
                    if (error := self._failed.pop((id(opened), number), None)) is not None:
                        raise error
            if not there.all():
                source = opened.source if isinstance(opened, CachedObject) else opened
                lacking.append((source, start[~there], stop[~there]))
            buffer.append(np.where(there, len(buffers), -1))
            offset.append(np.where(there, start, 0))
            buffers.append(opened.mapped if isinstance(opened, CachedObject) and there.any() else b"")
        none = np.empty(0, np.int64)
        found = Ranges(
            buffers,
            np.concatenate(buffer) if buffer else none,
            np.concatenate(offset) if offset else none,
            np.concatenate([stop - start for _, start, stop in wanted]) if buffer else none,
        )
        if lacking:
            rest, absent = self.store.get_ranges(lacking), np.flatnonzero(found.buffer < 0)
            found.buffer[absent], found.offset[absent] = rest.buffer + len(buffers), rest.offset
            found.buffers = [*buffers, *rest.buffers]
        return found

    def _present(self, opened: CachedObject, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """`(n,)`, which of those chunks can be read where they are."""
        there: NDArray[np.bool_] | None = self._mine.there.get(opened)
        there = opened.there() if there is None else there
        if there is None or opened.mapped is None:
            return np.zeros(len(numbers), bool)
        return there[numbers]

    def _count(self, parts: Sequence[Part], present: int) -> None:
        """Chunks that were there before this process asked for them ahead."""
        fresh = 0
        for opened, numbers in parts:
            if opened.fresh:
                chosen = set(numbers.tolist())
                fresh += len(opened.fresh & chosen)
                opened.fresh -= chosen
        with self._lock:
            self._hits += max(0, present - fresh)

    def _used(self, parts: Sequence[Part]) -> None:
        """When what was used is needed again matters if there is not room for all."""
        if self._ledger.used > self.bound // 2:
            for opened, numbers in parts:
                if opened.mirror is not None:
                    try:
                        opened.mirror.use(numbers)
                    except (OSError, BrokenMirrorError):
                        continue

    def _advise(self, parts: Sequence[Part]) -> None:
        maps = []
        for opened, numbers in parts:
            if opened.address and opened.mirror is not None:
                layout = opened.mirror.layout
                maps.append((opened.address, layout.start[numbers], layout.stop[numbers]))
        if maps:
            advice.will_need(*advice.as_addresses(maps))

    def close(self) -> None:
        """Fill nothing ahead any more; the threads that do end once they have done what they were given."""
        self._closed = True
        queue: SimpleQueue[list[Part] | None] | None = getattr(self, "_ahead", None)
        self._ahead = None
        if queue is not None:
            for _ in range(FILLERS):
                queue.put(None)

    __del__ = close


def _parts(wanted: Sequence[Wanted]) -> list[Part]:
    """The chunks that ranges are, object by object, each once."""
    numbers: dict[CachedObject, list[NDArray[np.int64]]] = {}
    for opened, start, stop in wanted:
        if isinstance(opened, CachedObject) and (found := opened.numbers(start, stop)) is not None and len(found):
            numbers.setdefault(opened, []).append(found)
    return [(opened, distinct(np.concatenate(found))) for opened, found in numbers.items()]


def _fill(store: "weakref.ref[CachedStore]", parts: "SimpleQueue[list[Part] | None]") -> None:
    """What a thread does that fills ahead."""
    while (some := parts.get()) is not None:
        owner = store()
        if owner is None:
            return
        owner._filler.fill(some)  # what fails is met again by whoever needs it
        del owner, some
