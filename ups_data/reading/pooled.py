"""A chunk of the pool."""

import threading

import numpy as np


class PooledChunk:
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
