"""The decoded chunks that samples are views of."""

import math
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
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
        self._buffers = Buffers()
        self._chunks: OrderedDict[tuple[StoredArray, int], Future[np.ndarray]] = OrderedDict()
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
        buffers = [self._chunk(array, number) for number in chunks.tolist()]
        self._mine.seconds = self.seconds_of_thread() + time.perf_counter() - begun
        return buffers, buffer, np.zeros_like(buffer)

    def seconds_of_thread(self) -> float:
        """What this thread has spent so far on compressed chunks, or on waiting for another thread's."""
        return getattr(self._mine, "seconds", 0.0)

    def _chunk(self, array: StoredArray, number: int) -> np.ndarray:
        key = (array, number)
        with self._lock:
            future = self._chunks.get(key)
            mine = future is None
            if future is None:
                future = self._chunks[key] = Future()
                self._bytes += _chunk_bytes(array)
                self.decoded_chunks += 1
                self.decoded_bytes += _chunk_bytes(array)
                while self._bytes > self._limit and len(self._chunks) > 1:
                    (old, _), _ = self._chunks.popitem(last=False)
                    self._bytes -= _chunk_bytes(old)
            else:
                self._chunks.move_to_end(key)
        if mine:
            begun, fetched = time.perf_counter(), array.fetch_seconds
            try:
                out = self._buffers.array(array.chunk_shape, array.dtype)
                future.set_result(array.chunk(number, out))
                self.decode_seconds += time.perf_counter() - begun - (array.fetch_seconds - fetched)
            except BaseException as e:
                with self._lock:
                    if self._chunks.pop(key, None) is not None:
                        self._bytes -= _chunk_bytes(array)
                future.set_exception(e)
        return future.result()


def _chunk_bytes(array: StoredArray) -> int:
    return math.prod(array.chunk_shape) * array.dtype.itemsize
