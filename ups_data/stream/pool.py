"""The decoded chunks that samples are views of."""

import math
import threading
import time
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ups_data.shards.reader import DirectArray, StoredArray
from ups_data.stream.buffers import Buffers


class Pool:
    """Decoded chunks, the least recently used dropped beyond `limit` bytes.

    A chunk that several threads want at once is decoded once. Chunks of a mapped array are views of the map and take
    no room. A dropped chunk lives on while a sample still looks at it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffers = Buffers(keep=1024)  # what one batch drops, the next one fills
        self._chunks: OrderedDict[tuple[StoredArray, int], _Chunk] = OrderedDict()
        self._lock = threading.Lock()
        self._bytes = 0
        self.decoded_chunks = 0
        self.decoded_bytes = 0
        self.decode_seconds = 0.0  # over all threads
        self._mine = threading.local()

    def locate(
        self, array: StoredArray, numbers: NDArray[np.int64]
    ) -> tuple[list[Any], NDArray[np.int64], NDArray[np.int64]]:
        """Where decoded chunks of an array lie: buffers, the number of the buffer of each of them, its offset there.

        Raises:
            UpsDataError: the stored bytes are damaged, or not there.
        """
        if isinstance(array, DirectArray) and array.mapped:
            return array.locate(numbers)
        begun = time.perf_counter()
        chunks, buffer = np.unique(numbers, return_inverse=True)
        wanted, missing = self._claim(array, chunks.tolist())
        self._decode(array, missing)
        buffers = [chunk.result(self._lock) for chunk in wanted]
        self._mine.seconds = self.seconds_of_thread() + time.perf_counter() - begun
        return buffers, buffer, np.zeros_like(buffer)

    def seconds_of_thread(self) -> float:
        """What this thread has spent so far on compressed chunks, or on waiting for another thread's."""
        return getattr(self._mine, "seconds", 0.0)

    def _claim(self, array: StoredArray, numbers: list[int]) -> tuple[list["_Chunk"], list[tuple[int, "_Chunk"]]]:
        """The chunks of those numbers, and those among them that nobody has decoded or is decoding."""
        wanted, missing, size = [], [], _chunk_bytes(array)
        with self._lock:
            for number in numbers:
                chunk = self._chunks.get((array, number))
                if chunk is None:
                    chunk = self._chunks[array, number] = _Chunk()
                    missing.append((number, chunk))
                else:
                    self._chunks.move_to_end((array, number))
                wanted.append(chunk)
            self._bytes += len(missing) * size
            self.decoded_chunks += len(missing)
            self.decoded_bytes += len(missing) * size
            while self._bytes > self._limit and len(self._chunks) > 1:
                (old, _), _ = self._chunks.popitem(last=False)
                self._bytes -= _chunk_bytes(old)
        return wanted, missing

    def _decode(self, array: StoredArray, missing: list[tuple[int, "_Chunk"]]) -> None:
        for number, chunk in missing:
            begun, fetched = time.perf_counter(), array.fetch_seconds
            try:
                chunk.array = array.chunk(number, self._buffers.array(array.chunk_shape, array.dtype))
            except BaseException as e:
                chunk.error = e
            with self._lock:
                self.decode_seconds += max(0.0, time.perf_counter() - begun - (array.fetch_seconds - fetched))
                if chunk.error is not None and self._chunks.pop((array, number), None) is not None:
                    self._bytes -= _chunk_bytes(array)
                chunk.finish()


class _Chunk:
    """A chunk that one thread decodes and others may wait for."""

    __slots__ = ("_done", "_waited", "array", "error")

    def __init__(self) -> None:
        self.array: np.ndarray | None = None
        self.error: BaseException | None = None
        self._done = False
        self._waited: threading.Event | None = None  # made by the first who waits: most chunks are never waited for

    def finish(self) -> None:
        """Under the pool's lock."""
        self._done = True
        if self._waited is not None:
            self._waited.set()

    def result(self, lock: threading.Lock) -> np.ndarray:
        if not self._done:
            with lock:
                if not self._done and self._waited is None:
                    self._waited = threading.Event()
            if self._waited is not None:
                self._waited.wait()
        if self.error is not None:
            raise self.error
        assert self.array is not None
        return self.array


def _chunk_bytes(array: StoredArray) -> int:
    return math.prod(array.chunk_shape) * array.dtype.itemsize
