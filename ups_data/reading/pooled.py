"""A chunk of the pool, and the memory that it may share with others."""

import threading
from collections.abc import Sequence

import numpy as np

from ups_data.store.arrays.direct import DirectArray
from ups_data.store.object_store import Ranges

ALMOST_ALL = 0.9  # of the bytes that came together have to be those of chunks, to be kept as they came


class PooledChunk:
    """A chunk that one thread decodes and others may wait for."""

    __slots__ = ("_done", "_waited", "array", "error", "shared")

    def __init__(self) -> None:
        self.array: np.ndarray | None = None
        self.error: BaseException | None = None
        self.shared: Shared | None = None  # what it lies in, if it was not copied out of it
        self._done = False
        self._waited: threading.Event | None = None  # made by the first who waits: most chunks are never waited for

    def finish(self) -> None:
        """Under the pool's lock."""
        self._done = True
        if self._waited is not None:
            self._waited.set()

    def result(self, lock: threading.Lock) -> np.ndarray:
        """The chunk, once it is decoded. Raises what whoever decodes it met."""
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


class Shared:
    """Memory that came with several chunks in it: it takes room until the last of them is dropped.

    Attributes:
        bytes: of the chunks in it that the pool has had.
        chunks: how many of them it still has.
    """

    __slots__ = ("bytes", "chunks")

    def __init__(self) -> None:
        self.bytes = self.chunks = 0

    def joined(self, size: int, pooled: bool) -> None:
        """A chunk of so many bytes lies in it; `pooled`: it has not been dropped already. Under the pool's lock."""
        if pooled:
            self.bytes, self.chunks = self.bytes + size, self.chunks + 1

    def let_go(self) -> int:
        """One of them is dropped: the bytes that this gives back. Under the pool's lock."""
        self.chunks -= 1
        return 0 if self.chunks else self.bytes


def as_they_came(arrays: Sequence[DirectArray], stored: Ranges) -> list[tuple[np.ndarray, Shared] | None]:
    """Raw chunks as views of the memory that they came in; None for those that have to be copied out of it: they are
    absent or not aligned, or much else came with them.

    Args:
        arrays: that each of the chunks is one of.
        stored: where they lie, checked.
    """
    sizes = [array.chunk_bytes for array in arrays]
    wanted: dict[int, int] = {}
    for buffer, length, size in zip(stored.buffer.tolist(), stored.length.tolist(), sizes, strict=True):
        wanted[buffer] = wanted.get(buffer, 0) + (size if length >= 0 else 0)
    views = {number: memoryview(stored.buffers[number]) for number in wanted}
    shared = {n: Shared() for n, size in wanted.items() if size >= ALMOST_ALL * views[n].nbytes}
    found: list[tuple[np.ndarray, Shared] | None] = []
    places = zip(arrays, sizes, stored.buffer.tolist(), stored.offset.tolist(), stored.length.tolist(), strict=True)
    for array, size, buffer, offset, length in places:
        if length < 0 or buffer not in shared:
            found.append(None)
            continue
        chunk = np.frombuffer(views[buffer], array.dtype, size // array.dtype.itemsize, offset)
        if not chunk.flags.aligned:
            found.append(None)
            continue
        found.append((chunk.reshape(array.chunk_shape), shared[buffer]))
    return found
