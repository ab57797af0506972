"""Reading an array that this project wrote, without zarr.

Where the store is zero-copy, raw chunks are handed out as views of its memory, and compressed ones are decoded straight
into their destination; whoever used what was handed out asks afterwards whether the object is still the one that was
opened. A chunk's crc32c is checked the first time this process touches it (every time it comes, from a store that
fetches it anew), against the one behind it and, in a shard, against the shard's seal.
"""

import threading
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import StoreError, UnreachableError, UpsDataError
from ups_data.store.arrays import codecs
from ups_data.store.arrays.metadata import DirectLayout, object_name
from ups_data.store.arrays.objects import Listed, StoredObject, open_objects
from ups_data.store.arrays.stored import Verify, bounded_bytes, place_of
from ups_data.store.object_store import AGAIN, ObjectStore, Ranges, Wanted, joined_key
from ups_data.store.seal import ArraySeal


class DirectArray:
    """An array in the layout of `ArrayWriter`: chunks of whole rows or of whole blocks, packed in objects of rows.

    Args:
        key: of the array in the store.
        where: what messages call it.
        seal: what its objects are compared with; None: an array that belongs to no shard.
    """

    def __init__(
        self,
        store: ObjectStore,
        key: str,
        layout: DirectLayout,
        *,
        where: str,
        seal: ArraySeal | None = None,
        verify: Verify = "first",
    ) -> None:
        self.shape, self.dtype, self.chunk_shape = layout.shape, layout.dtype, layout.chunk_shape
        self.chunk_rows = layout.chunk_shape[0]
        self.blocks, self.block_points = layout.blocks, layout.block_points
        self.mapped = layout.codec == "none" and (store.zero_copy or store.in_place)
        self.kept_raw = layout.codec == "none" and store.own_memory and not self.mapped
        self._store, self._key, self._where, self._seal = store, key, where, seal
        self.codec, self._fill = layout.codec, layout.fill
        self._verify, self._once = verify, verify != "always" and store.verify_once
        self._object_chunks = layout.object_rows * layout.blocks
        rows = self._object_chunks // layout.blocks * self.chunk_rows
        self._one_object = self.shape[0] <= rows
        self.chunk_bytes = bounded_bytes(layout.chunk_shape, layout.dtype, where)
        self._objects: dict[int, StoredObject] = {}
        self._views: dict[int, np.ndarray] = {}  # of checked raw chunks
        self._lock = threading.Lock()
        self.fetch_seconds = 0.0
        self.read_bytes = 0

    def chunk(self, number: int, out: np.ndarray | None = None) -> np.ndarray:
        """See `StoredArray.chunk`."""
        view = self._views.get(number)
        if view is not None and self._verify != "always":
            return view
        numbers, zero = np.array([number]), np.zeros(1, np.int64)
        if self.mapped:
            buffers, _, offset = self.locate(numbers)
            size = self.chunk_bytes // self.dtype.itemsize
            view = np.frombuffer(buffers[-1], self.dtype, size, offset[0]).reshape(self.chunk_shape)
            return self._views.setdefault(number, view) if self._store.zero_copy else view
        out = np.empty(self.chunk_shape, self.dtype) if out is None else out
        stored = self.stored(numbers)
        try:
            self.decode(stored, [out], zero, zero)
        except (ValueError, RuntimeError):  # the object was changed after this chunk was checked, or nobody checked
            self.check_unchanged(self.rows_of(numbers))
            raise self._damaged(number, "the stored bytes are damaged") from None
        self.check_unchanged(self.rows_of(numbers))
        return out

    def chunks(self, numbers: NDArray[np.int64]) -> np.ndarray:
        """Several chunks of an array that is not mapped, decoded, `(n, *chunk_shape)`; read at once.

        Raises:
            UpsDataError: as `chunk`.
        """
        out = np.empty((len(numbers), *self.chunk_shape), self.dtype)
        places = np.arange(len(numbers)) * self.chunk_bytes
        try:
            self.decode(self.stored(numbers), [out], np.zeros(len(numbers), np.int64), places)
        except (ValueError, RuntimeError):
            for number in numbers.tolist():
                self.chunk(number)  # says which one is damaged
            raise
        self.check_unchanged(self.rows_of(numbers))
        return out

    def decode(
        self,
        stored: Ranges,
        outs: list[np.ndarray],
        out: NDArray[np.int64],
        place: NDArray[np.int64],
        *,
        past: bool = False,
    ) -> None:
        """Decode chunks of this array, or of others with as large ones, in one call: number i into `outs[out[i]]`,
        contiguous, from byte `place[i]` on. `check_unchanged` comes after it.

        Args:
            past: they are not read again soon.

        Raises:
            ValueError, RuntimeError: a chunk is damaged.
        """
        memory = [o.reshape(-1).view(np.uint8) for o in outs]
        there = stored.length >= 0
        if not there.all():
            for number in np.flatnonzero(~there).tolist():
                absent = memory[out[number]][place[number] : place[number] + self.chunk_bytes]
                absent.view(self.dtype)[...] = self._fill
            stored, out, place = stored.part(there), out[there], place[there]
        codecs.decode(self.codec, stored, memory, out, place, self.chunk_bytes, past=past)

    def locate(self, numbers: np.ndarray) -> tuple[list[Any], np.ndarray, np.ndarray]:
        """Where chunks of a mapped array lie: `(n,)` numbers → buffers, `(n,)` the number of the buffer of each chunk,
        `(n,)` its offset there in bytes.

        Raises:
            UpsDataError: as `chunk`.
        """
        stored = self.stored(numbers)
        buffers, buffer, offset = stored.buffers, stored.buffer, stored.offset
        if offset.min(initial=0) < 0:
            there = offset < 0
            buffer[there], offset[there] = len(buffers), 0
            buffers.append(np.full(self.chunk_shape, self._fill, self.dtype))
        return buffers, buffer, offset

    def ranges(self, numbers: NDArray[np.int64]) -> list[Wanted]:
        """What `stored` reads of the store: the ranges of those chunks with their checksums, object by object, without
        those that are absent. For whoever reads ahead.

        Raises:
            UpsDataError: an object is missing, or its index is damaged.
        """
        return [part.wanted for part in self._parts(numbers)]

    def stored(self, numbers: np.ndarray) -> Ranges:
        """Where chunks are stored, checked; those that are absent have offset and length -1. Python works chunk by
        chunk only on those that are to be compared with their checksums, or where files are not mapped.

        Raises:
            UpsDataError: as `chunk`.
        """
        begun = time.perf_counter()
        parts = self._parts(numbers)
        try:
            found = self._store.get_ranges([part.wanted for part in parts])
            try:
                self._compare(numbers, parts, found)
            except UpsDataError:
                if self._store.zero_copy:
                    raise
                found = self._store.get_again([part.wanted for part in parts])  # damaged on the way, perhaps
                self._compare(numbers, parts, found)
        except StoreError as error:
            kind = UnreachableError if isinstance(error, UnreachableError) else UpsDataError
            raise kind(f"{self._where}: {error}") from None
        size = int(found.length.sum())
        found.length = found.length - codecs.CHECKSUM_BYTES  # not in place: a store may keep what it returned
        if len(found) < len(numbers) or len(parts) > 1:
            found = _placed(found, np.concatenate([part.here for part in parts]), len(numbers))
        with self._lock:
            self.fetch_seconds += time.perf_counter() - begun
            self.read_bytes += size
        return found

    def _parts(self, numbers: NDArray[np.int64]) -> list["_Part"]:
        """Those chunks, object by object, without those that are absent."""
        if self._one_object:
            return [_part(self._opened([0])[0], np.arange(len(numbers)), numbers)]
        which = numbers // self._object_chunks
        objects = np.unique(which).tolist()
        parts = []
        for number, opened in zip(objects, self._opened(objects), strict=True):
            here = np.flatnonzero(which == number)
            parts.append(_part(opened, here, numbers[here] % self._object_chunks))
        return parts

    def _compare(self, numbers: NDArray[np.int64], parts: list["_Part"], found: Ranges) -> None:
        """Compare with their checksums the chunks that have not been, as far as `verify` asks for it."""
        first = 0
        for opened, here, places, _ in parts:
            if not opened.all_checked:
                unchecked = np.flatnonzero(~opened.checked[places])
                if len(unchecked) and not self._intact(opened, places[unchecked], found.part(first + unchecked)):
                    for which in unchecked.tolist():
                        self._check(int(numbers[here[which]]), opened, int(places[which]), found.body(first + which))
                if self._once:
                    opened.checked[places] = True
                    opened.all_checked = not len(unchecked) and bool(opened.checked.all())
            first += len(here)

    def rows_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first row of each of those chunks."""
        return numbers // self.blocks * self.chunk_rows

    def absent_is_nan(self, number: int) -> bool:
        """Whether a chunk is absent, and NaN is read in its place."""
        opened = self._opened([number // self._object_chunks])[0]
        return bool(np.isnan(self._fill) and opened.offsets[number % self._object_chunks] < 0)

    def check_unchanged(self, rows: np.ndarray) -> None:
        """To be called after chunks of those rows were used where `locate` found them.

        Raises:
            UpsDataError: an object that they lie in is not as it was when it was opened.
        """
        span = self._object_chunks // self.blocks * self.chunk_rows
        for number in [0] if self._one_object else np.unique(rows // span).tolist():
            opened = self._objects.get(number)
            if opened is not None:
                last = min((number + 1) * span, self.shape[0]) - 1
                opened.check_unchanged(f"{self._where}, rows {number * span} to {last}")

    def let_go(self) -> None:
        """See `Object.let_go`, of all objects that are open."""
        for opened in list(self._objects.values()):
            opened.object.let_go()

    def _intact(self, opened: StoredObject, places: NDArray[np.int64], stored: Ranges) -> bool:
        """Whether `_check` has nothing to say of any of those chunks; a third of its time for each."""
        bodies, raw = stored.bodies(), self.codec == "none"
        size = self.chunk_bytes + codecs.CHECKSUM_BYTES if raw else self.chunk_bytes
        crcs, behind = codecs.checksums(bodies, opened.object.let_go)
        good = (crcs == behind) & (crcs == (behind if opened.crcs is None else opened.crcs[places]))
        return bool(good.all()) and all((len(b) if raw else codecs.decoded_bytes(b)) == size for b in bodies)

    def _check(self, number: int, opened: StoredObject, place: int, stored: memoryview) -> None:
        """Compare a chunk with the checksum behind it, and with the seal's."""
        body, crc = stored[: -codecs.CHECKSUM_BYTES], stored[-codecs.CHECKSUM_BYTES :]
        wrong, intact = "the stored bytes are damaged", codecs.checksum(body) == crc
        if intact and opened.crcs is not None and int(opened.crcs[place]) != int.from_bytes(crc, "little"):
            wrong, intact = "the stored bytes are not those that were written there", False
        if intact:
            intact = (len(body) if self.codec == "none" else codecs.decoded_bytes(body)) == self.chunk_bytes
        if not intact:
            raise self._damaged(number, wrong)

    def _damaged(self, number: int, what: str) -> UpsDataError:
        return UpsDataError(f"{self._where}, {place_of(self, number)}: {what}; {AGAIN}")

    def _opened(self, numbers: list[int]) -> list[StoredObject]:
        """Objects, opened together when they are first asked for."""
        # Two threads may open the same object at once; either result serves.
        missing = [number for number in numbers if number not in self._objects]
        if missing:
            listed = [self._listed(number) for number in missing]
            found = open_objects(self._store, listed, self._object_chunks, self._where)
            for number, opened in zip(missing, found, strict=True):
                lengths = opened.lengths[opened.offsets >= 0]
                if self.codec == "none" and (lengths != self.chunk_bytes + codecs.CHECKSUM_BYTES).any():
                    name = self._store.name(opened.object.key)
                    raise UpsDataError(f"{self._where}: the index of {name} is damaged; {AGAIN}")
                opened.checked[:] = self._verify == "never"
                self._objects[number] = opened
        return [self._objects[number] for number in numbers]

    def _listed(self, number: int) -> Listed:
        name = object_name(number, len(self.shape))
        if self._seal is not None:
            return self._seal.object(number, self._object_chunks, name, self._where)
        return Listed(joined_key(self._key, name))


class _Part(NamedTuple):
    """Chunks that lie in one object: which of those asked for they are, their places there, and their ranges."""

    opened: StoredObject
    here: NDArray[np.int64]
    places: NDArray[np.int64]
    wanted: Wanted


def _part(opened: StoredObject, here: NDArray[np.int64], places: NDArray[np.int64]) -> _Part:
    start = opened.offsets[places]
    if not opened.full:
        there = start >= 0
        here, places, start = here[there], places[there], start[there]
    return _Part(opened, here, places, (opened.object, start, start + opened.lengths[places]))


def _placed(found: Ranges, here: NDArray[np.int64], count: int) -> Ranges:
    """Ranges at their places among `count`; the others have offset and length -1."""
    buffer, (offset, length) = np.zeros(count, np.int64), np.full((2, count), -1)
    buffer[here], offset[here], length[here] = found.buffer, found.offset, found.length
    return Ranges(found.buffers, buffer, offset, length)
