"""Reading an array that this project wrote, without zarr.

The shard object is mapped: raw chunks are handed out as views of the map, and compressed ones are decoded straight into
their destination; whoever used what was handed out asks afterwards whether the object is still the file that was
opened. A chunk's crc32c is checked the first time this process touches it, against the one behind it and, in a shard,
against the shard's seal.
"""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ups_data import _native as built
from ups_data.errors import UpsDataError
from ups_data.store.arrays import codecs
from ups_data.store.arrays.metadata import DirectLayout, object_name
from ups_data.store.arrays.objects import StoredObject
from ups_data.store.arrays.stored import Verify, bounded_bytes, place_of
from ups_data.store.seal import ArraySeal


class DirectArray:
    """An array in the layout of `ArrayWriter`: chunks of whole rows or of whole blocks, packed in objects of rows."""

    def __init__(
        self, path: Path, layout: DirectLayout, *, where: str, seal: ArraySeal | None = None, verify: Verify = "first"
    ) -> None:
        self.shape, self.dtype, self.chunk_shape = layout.shape, layout.dtype, layout.chunk_shape
        self.chunk_rows = layout.chunk_shape[0]
        self.blocks, self.block_points = layout.blocks, layout.block_points
        self.mapped = layout.codec == "none" and built.native is not None
        self._path, self._where, self.codec, self._fill = path, where, layout.codec, layout.fill
        self._seal, self._verify = seal, verify
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
        view = self._views.get(number)
        if view is not None and self._verify != "always":
            return view
        numbers, zero = np.array([number]), np.zeros(1, np.int64)
        if self.mapped:
            buffers, _, offset = self.locate(numbers)
            size = self.chunk_bytes // self.dtype.itemsize
            view = np.frombuffer(buffers[-1], self.dtype, size, offset[0]).reshape(self.chunk_shape)
            self._views[number] = view
            return view
        if out is None:
            out = np.empty(self.chunk_shape, self.dtype)
        stored = self.stored(numbers)
        try:
            self.decode(stored, [out], zero, zero)
        except (ValueError, RuntimeError):  # the object was changed after this chunk was checked, or nobody checked
            self.check_unchanged(self.rows_of(numbers))
            raise self._damaged(number, "the stored bytes are damaged") from None
        self.check_unchanged(self.rows_of(numbers))
        return out

    def decode(
        self,
        stored: codecs.Stored,
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

    def stored(self, numbers: np.ndarray) -> codecs.Stored:
        """Where chunks are stored, checked; those that are absent have offset and length -1. Python works chunk by
        chunk only on those that were not checked yet, or where files are not mapped.

        Raises:
            UpsDataError: as `chunk`.
        """
        begun = time.perf_counter()
        found = self._stored_in(0, numbers) if self._one_object else self._stored_in_several(numbers)
        there = found.length >= 0
        with self._lock:
            self.fetch_seconds += time.perf_counter() - begun
            self.read_bytes += int(found.length.sum(where=there)) + codecs.CHECKSUM_BYTES * int(there.sum())
        return found

    def _stored_in(self, number: int, numbers: NDArray[np.int64]) -> codecs.Stored:
        """The same of chunks that all lie in one object."""
        opened, places = self._object(number), numbers - number * self._object_chunks
        offset, length = opened.offsets[places], opened.lengths[places] - codecs.CHECKSUM_BYTES
        if opened.data is None:
            bodies: list[Any] = [self._fetch(n) or b"" for n in numbers.tolist()]
            start = np.minimum(offset, 0)
        else:
            if not opened.all_checked:
                unchecked = places[~opened.checked[places]].tolist()
                for place in unchecked:
                    self._fetch(place + number * self._object_chunks)
                opened.all_checked = not unchecked and bool(opened.checked.all())
            bodies, start = [opened.data], offset
        length[offset < 0] = -1
        buffer = np.arange(len(numbers)) if opened.data is None else np.zeros(len(numbers), np.int64)
        return codecs.Stored(bodies, buffer, start, length)

    def _stored_in_several(self, numbers: NDArray[np.int64]) -> codecs.Stored:
        objects = numbers // self._object_chunks
        buffers: list[Any] = []
        buffer, offset, length = np.empty((3, len(numbers)), np.int64)
        for number in set(objects.tolist()):
            here = np.flatnonzero(objects == number)
            found = self._stored_in(number, numbers[here])
            buffer[here], offset[here], length[here] = found.buffer + len(buffers), found.offset, found.length
            buffers += found.buffers
        return codecs.Stored(buffers, buffer, offset, length)

    def rows_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first row of each of those chunks."""
        return numbers // self.blocks * self.chunk_rows

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
                opened.check_unchanged(f"rows {number * span} to {last}")

    def _fetch(self, number: int) -> memoryview | None:
        """The stored bytes of a chunk without their checksum, checked; None where the chunk is absent."""
        opened, place = self._object(number // self._object_chunks), number % self._object_chunks
        offset = int(opened.offsets[place])
        if offset < 0:
            return None
        end = offset + int(opened.lengths[place]) - codecs.CHECKSUM_BYTES
        if not opened.checked[place]:
            stored = opened.bytes(offset, end + codecs.CHECKSUM_BYTES)
            self._check(number, opened, stored[: -codecs.CHECKSUM_BYTES], stored[-codecs.CHECKSUM_BYTES :])
            opened.checked[place] = self._verify != "always"
            return stored[: -codecs.CHECKSUM_BYTES]
        return opened.bytes(offset, end)

    def _check(self, number: int, opened: StoredObject, body: memoryview, stored: memoryview) -> None:
        wrong, intact = "the stored bytes are damaged", codecs.checksum(body) == stored
        if intact and opened.crcs is not None and int(opened.crcs[number % self._object_chunks]) != _number(stored):
            wrong, intact = "the stored bytes are not those that were written there", False
        if intact:
            intact = (len(body) if self.codec == "none" else codecs.decoded_bytes(body)) == self.chunk_bytes
        if not intact:
            raise self._damaged(number, wrong)

    def _damaged(self, number: int, what: str) -> UpsDataError:
        return UpsDataError(f"{self._where}, {place_of(self, number)}: {what}; copy or make the shard again")

    def _object(self, number: int) -> StoredObject:
        # Two threads may open the same object at once; either result serves.
        opened = self._objects.get(number)
        if opened is None:
            path = self._path / object_name(number, len(self.shape))
            sealed = None
            if self._seal is not None:
                sealed = self._seal.object(number, self._object_chunks, path, self._where)
            opened = StoredObject(path, self._object_chunks, where=self._where, sealed=sealed)
            lengths = opened.lengths[opened.offsets >= 0]
            if self.codec == "none" and (lengths != self.chunk_bytes + codecs.CHECKSUM_BYTES).any():
                raise UpsDataError(f"{self._where}: the index of {path} is damaged; copy or make the shard again")
            opened.checked[:] = self._verify == "never"
            self._objects[number] = opened
        return opened


def _number(stored: memoryview) -> int:
    return int.from_bytes(stored, "little")
