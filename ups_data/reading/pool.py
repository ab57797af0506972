"""The decoded chunks that samples are views of."""

import math
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ups_data.batch import Fetched, Wanted
from ups_data.errors import UnreachableError
from ups_data.reading.pooled import PooledChunk, as_they_came
from ups_data.store.arrays import codecs
from ups_data.store.arrays.direct import DirectArray
from ups_data.store.arrays.stored import StoredArray
from ups_data.store.object_store import Ranges

KEPT_BYTES = 16 * 1024**2  # of dropped chunks of a kind, whose memory waits for use
UNUSED = 2  # references to an array that only the asking function has, `sys.getrefcount`'s own counted

# Buffers, `(n,)` the number of the buffer of each chunk, `(n,)` its offset there in bytes.
Located = tuple[list[Any], NDArray[np.int64], NDArray[np.int64]]
_Missing = tuple[Any, int, PooledChunk]  # array, number
Chunk = tuple[StoredArray, int]


class Pool:
    """Decoded chunks, the least recently used dropped beyond `limit` bytes, and those last that coming blocks read.

    A chunk that several threads want at once is decoded once. Chunks of a mapped array are views of the map and take
    no room. A dropped chunk lives on while a sample still looks at it.

    Args:
        limit: bytes.
        fits: whether all that may be asked for has room at once; see `passes_by`.
    """

    def __init__(self, limit: int, *, fits: bool = True) -> None:
        self._limit, self._too_small = limit, not fits
        # What one batch drops, the next one fills: chunks by shape and dtype, in the order in which they were dropped.
        self._dropped: dict[Any, deque[np.ndarray]] = {}
        self._chunks: OrderedDict[Chunk, PooledChunk] = OrderedDict()
        self._awaited: dict[Chunk, int] = {}  # by how many coming blocks
        self._lock = threading.Lock()
        self._bytes = 0
        self.decoded_chunks = 0
        self.decoded_bytes = 0
        self.decode_seconds = 0.0  # over all threads
        self._mine = threading.local()

    def fetch(self, wanted: Wanted) -> Fetched:
        """Make reads: what is kept is decoded, and of what is not the stored bytes are there, checked. Whoever gathers
        from it reads nothing.

        Raises:
            UpsDataError: the stored bytes are damaged, or not there.
        """
        kept = [read for read in wanted.reads if not read.past]
        # Fields of a pack list the same chunks: they are located once.
        keys = [[(array, numbers.tobytes()) for array, numbers in read.chunks] for read in kept]
        once = {
            key: chunks
            for read, names in zip(kept, keys, strict=True)
            for key, chunks in zip(names, read.chunks, strict=True)
        }
        located = dict(zip(once, self.locate(list(once.values())), strict=True))
        sources = {read: read.assemble([located[key] for key in names]) for read, names in zip(kept, keys, strict=True)}
        begun = time.perf_counter()
        for read in wanted.reads:
            if read.past:
                sources[read] = read.assemble([array.stored(numbers) for array, numbers in read.chunks])
        if len(sources) > len(kept):
            self._mine.seconds = self.seconds_of_thread() + time.perf_counter() - begun
        return Fetched(wanted, sources)

    def locate(self, wanted: Sequence[tuple[StoredArray, NDArray[np.int64]]]) -> list[Located]:
        """Where chunks of some arrays lie, decoded: of each array its buffers, and of each number asked for the buffer
        and its offset there. What nobody has decoded is decoded in as few calls as can be.

        Raises:
            UpsDataError: the stored bytes are damaged, or not there.
        """
        found: list[Located | None] = [
            array.locate(numbers) if isinstance(array, DirectArray) and array.mapped else None
            for array, numbers in wanted
        ]
        here = [place for place, located in enumerate(found) if located is None]
        if here:
            begun = time.perf_counter()
            asked = [(wanted[place][0], *np.unique(wanted[place][1], return_inverse=True)) for place in here]
            chunks, missing = self._claim([(array, numbers.tolist()) for array, numbers, _ in asked])
            try:
                self._decode(missing)
            except BaseException as e:  # not of a chunk: nobody may wait for what is not decoded any more
                self._give_up(missing, e)
                raise
            for place, of_array, (_, _, buffer) in zip(here, chunks, asked, strict=True):
                found[place] = [chunk.result(self._lock) for chunk in of_array], buffer, np.zeros_like(buffer)
            self._mine.seconds = self.seconds_of_thread() + time.perf_counter() - begun
        return [located for located in found if located is not None]

    def lacking(self, array: StoredArray, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of an array's chunks that nobody has decoded or is decoding. The others count as used now: whoever asks
        is going to use them, and they should still be there then."""
        with self._lock:
            here = [number for number in numbers.tolist() if (array, number) in self._chunks]
            for number in here:
                self._chunks.move_to_end((array, number))
        return numbers if not here else np.setdiff1d(numbers, np.array(here, np.int64))

    def expect(self, chunks: Sequence[Chunk]) -> None:
        """A coming block reads those chunks, until `expect_no_more`: others are dropped first, as far as there are any.
        To fetch a dropped one again keeps that block waiting."""
        with self._lock:
            for chunk in chunks:
                self._awaited[chunk] = self._awaited.get(chunk, 0) + 1

    def expect_no_more(self, chunks: Sequence[Chunk]) -> None:
        """The block that was to read those chunks was made, or nobody wants it any more."""
        with self._lock:
            for chunk in chunks:
                if self._awaited[chunk] == 1:
                    del self._awaited[chunk]
                else:
                    self._awaited[chunk] -= 1

    def passes_by(self, arrays: Sequence[StoredArray]) -> bool:
        """Whether blocks of these arrays are decoded into batches and not kept: the pool has no room for the data
        until they come again, a chunk is one block of one frame, and one call decodes them all."""
        return self._too_small and all(
            isinstance(a, DirectArray) and not a.mapped and a.chunk_rows == 1 and a.blocks > 1 for a in arrays
        )

    def decode_past(
        self, chunks: Sequence[tuple[Any, NDArray[np.int64]]], stored: Ranges, out: np.ndarray, *, past: bool
    ) -> None:
        """Decode stored chunks one after another into `out`, contiguous, and keep nothing. `check_unchanged` of the
        arrays comes after it.

        Args:
            chunks: arrays like one another that these are chunks of, or of more; to name the one that is damaged.
            past: what is in `out` is not read again soon.

        Raises:
            UpsDataError: as `locate`.
        """
        begun, count, array = time.perf_counter(), len(stored), chunks[0][0]
        try:
            places = np.arange(count) * array.chunk_bytes
            array.decode(stored, [out], np.zeros(count, np.int64), places, past=past)
        except (ValueError, RuntimeError):
            for array, numbers in chunks:
                for number in numbers.tolist():
                    array.chunk(number)  # says which one is damaged
            raise
        seconds = time.perf_counter() - begun
        self._mine.seconds = self.seconds_of_thread() + seconds
        with self._lock:
            self.decode_seconds += seconds
            self.decoded_chunks += count
            self.decoded_bytes += count * array.chunk_bytes

    def scratch(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Memory of this thread, until it asks for some again: uninitialised, and not paged in anew every time."""
        size = math.prod(shape) * dtype.itemsize
        memory = getattr(self._mine, "scratch", None)
        if memory is None or memory.nbytes < size:
            memory = self._mine.scratch = np.empty(size, np.uint8)
        return memory[:size].view(dtype).reshape(shape)

    def seconds_of_thread(self) -> float:
        """What this thread has spent so far on compressed chunks, or on waiting for another thread's."""
        return getattr(self._mine, "seconds", 0.0)

    def _claim(self, asked: list[tuple[StoredArray, list[int]]]) -> tuple[list[list[PooledChunk]], list[_Missing]]:
        """The chunks of those numbers, and those among them that nobody has decoded or is decoding."""
        wanted: list[list[PooledChunk]] = []
        missing: list[_Missing] = []
        with self._lock:
            for array, numbers in asked:
                of_array, fresh = [], 0
                for number in numbers:
                    chunk = self._chunks.get((array, number))
                    if chunk is None:
                        chunk = self._chunks[array, number] = PooledChunk()
                        missing.append((array, number, chunk))
                        fresh += 1
                    else:
                        self._chunks.move_to_end((array, number))
                    of_array.append(chunk)
                wanted.append(of_array)
                self._bytes += fresh * array.chunk_bytes
                self.decoded_chunks += fresh
                self.decoded_bytes += fresh * array.chunk_bytes
            self._drop()
        return wanted, missing

    def _drop(self) -> None:
        """Drop what is beyond the limit, under the lock."""
        spared = 0
        while self._bytes > self._limit and len(self._chunks) > 1:
            key, chunk = self._chunks.popitem(last=False)
            if spared < len(self._chunks) and key in self._awaited:
                self._chunks[key], spared = chunk, spared + 1
                continue
            old = key[0]
            self._bytes -= old.chunk_bytes if chunk.shared is None else chunk.shared.let_go()
            if chunk.array is not None and chunk.shared is None:
                kind = old.chunk_shape, old.dtype
                self._dropped.setdefault(kind, deque(maxlen=1 + KEPT_BYTES // old.chunk_bytes)).append(chunk.array)

    def _memory(self, array: StoredArray) -> np.ndarray:
        """Room for a chunk: that of one that was dropped and that nobody looks at any more, or fresh."""
        dropped = self._dropped.get((array.chunk_shape, array.dtype))
        for _ in range(len(dropped) if dropped else 0):
            try:
                old = dropped.popleft()  # type: ignore[union-attr]
            except IndexError:  # another thread was faster
                break
            if sys.getrefcount(old) <= UNUSED:
                return old
            dropped.append(old)  # type: ignore[union-attr]
        return np.empty(array.chunk_shape, array.dtype)

    def _decode(self, missing: list[_Missing]) -> None:
        """Decode together what can be, the rest one by one; so too where one of them is damaged, and the others are to
        be had without it."""
        kinds: dict[Any, list[_Missing]] = {}
        for entry in missing:
            array = entry[0]
            kind = (array.codec, array.chunk_bytes) if isinstance(array, DirectArray) else None
            kinds.setdefault(kind, []).append(entry)
        for kind, alike in kinds.items():
            if kind is None or not self._decoded_at_once(alike):
                for array, number, chunk in alike:
                    self._decode_one(array, number, chunk)

    def _give_up(self, missing: list[_Missing], error: BaseException) -> None:
        with self._lock:
            for array, number, chunk in missing:
                if chunk.array is None and chunk.error is None:
                    self._fail(array, number, chunk, error)

    def _fail(self, array: StoredArray, number: int, chunk: PooledChunk, error: BaseException) -> None:
        """Take a chunk out again, under the lock: whoever waits for it gets the error, the next one tries anew."""
        chunk.error = error
        if self._chunks.pop((array, number), None) is not None:
            self._bytes -= array.chunk_bytes
        chunk.finish()

    def _decode_one(self, array: StoredArray, number: int, chunk: PooledChunk) -> None:
        begun, fetched = time.perf_counter(), array.fetch_seconds
        error = None
        try:
            chunk.array = array.chunk(number, self._memory(array))
        except BaseException as e:
            error = e
        with self._lock:
            self.decode_seconds += max(0.0, time.perf_counter() - begun - (array.fetch_seconds - fetched))
            if error is None:
                chunk.finish()
            else:
                self._fail(array, number, chunk, error)

    def _decoded_at_once(self, missing: list[_Missing]) -> bool:
        """Decode chunks of one codec and size; False where one of them is damaged."""
        of_arrays: dict[DirectArray, list[_Missing]] = {}
        for entry in missing:
            of_arrays.setdefault(entry[0], []).append(entry)
        missing = [entry for entries in of_arrays.values() for entry in entries]
        try:
            stored = codecs.joined([a.stored(np.array([n for _, n, _ in entries])) for a, entries in of_arrays.items()])
            fetched = time.perf_counter()
            arrays = [array for array, _, _ in missing]
            kept = as_they_came(arrays, stored) if arrays[0].kept_raw else [None] * len(arrays)
            copied = np.flatnonzero([one is None for one in kept])
            memory = [self._memory(arrays[number]) for number in copied.tolist()]
            if memory:
                where = np.arange(len(memory))
                arrays[0].decode(stored.part(copied), memory, where, np.zeros_like(where))
            for array, entries in of_arrays.items():
                array.check_unchanged(array.rows_of(np.array([number for _, number, _ in entries])))
        except UnreachableError:
            raise  # a store that does not answer is not asked for one chunk after another
        except Exception:
            return False
        with self._lock:
            self.decode_seconds += time.perf_counter() - fetched
            for (array, number, chunk), one in zip(missing, kept, strict=True):
                if one is None:
                    chunk.array = memory.pop(0)
                else:
                    chunk.array, chunk.shared = one
                    chunk.shared.joined(array.chunk_bytes, self._chunks.get((array, number)) is chunk)
                chunk.finish()
        return True
