"""The limit: one process, one copy from the page cache into reused buffers, prepared indices, no shuffling of memory.

It draws nothing, allocates nothing and hands over nothing: a loader that keeps up with it costs no more than its bytes.
"""

from collections.abc import Iterator

import numpy as np

from benchmarks.loader.bench_workloads import CLOUD_PASSES, Case, touched_bytes

PREPARED = 8  # sets of indices that take turns
BLOCKS = 4  # contiguous pieces of one draw from a cloud


class Limit:
    """Dense frames by `np.copyto`, queries and their coordinates by `np.take` into place."""

    def __init__(self, case: Case) -> None:
        self._case, self._frames, self._coords = case, case.frames(), case.coords()
        _, points, channels = self._frames.shape
        targets, dtype = max(1, case.horizon), self._frames.dtype
        self._x = np.empty((case.batch, points, channels), dtype)
        self._c = np.empty((case.batch, case.queries, self._coords.shape[-1]), np.float32)
        self._y = np.empty((case.batch, targets, case.queries, channels), dtype)
        rng = np.random.default_rng(0)
        self._index = [np.sort(rng.choice(points, case.queries, replace=False)) for _ in range(PREPARED)]
        self._order = rng.permutation(case.samples).tolist()

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        """One epoch: x (B, N, C), c (B, Q, d), y (B, K, Q, C), the same memory every time."""
        case, frames, coords = self._case, self._frames, self._coords
        ahead = range(1, case.horizon + 1) if case.horizon else (0,)
        for number, (trajectory, row) in enumerate(self._order):
            place, index = number % case.batch, self._index[number % PREPARED]
            np.copyto(self._x[place], frames[row])
            np.take(coords[trajectory % len(coords)], index, axis=0, out=self._c[place], mode="clip")
            for k, step in enumerate(ahead):
                np.take(frames[row + step], index, axis=0, out=self._y[place, k], mode="clip")
            if place == case.batch - 1:
                yield {"x": self._x, "c": self._c, "y": self._y}

    def bytes_read(self) -> float:
        """Bytes per sample: a whole frame, and the pages that the queries of the next ones lie on."""
        _, points, channels = self._frames.shape
        point_bytes = channels * self._frames.itemsize
        return points * point_bytes + self._case.horizon * touched_bytes(points, self._case.queries, point_bytes)


class CloudLimit:
    """Two draws per cloud as contiguous copies: what reading stored blocks could reach."""

    def __init__(self, case: Case) -> None:
        self._case, self._clouds = case, case.frames()
        count, points, channels = self._clouds.shape
        self._block = case.queries // BLOCKS
        self._out = np.empty((2, 1, case.queries, channels), self._clouds.dtype)
        self._rng = np.random.default_rng(0)
        self._order = np.repeat(np.arange(count), CLOUD_PASSES)
        shape = (len(self._order), 2, BLOCKS)
        self._starts = (self._rng.integers(0, points // self._block, shape) * self._block).tolist()

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        """One epoch: x and y (1, Q, C), the same memory every time."""
        block = self._block
        # Another pairing of clouds and blocks every time: all of the data are read, not what a cache holds of them.
        for cloud, draws in zip(self._rng.permutation(self._order).tolist(), self._starts, strict=True):
            for out, starts in zip(self._out, draws, strict=True):
                for place, start in enumerate(starts):
                    np.copyto(out[0, place * block : (place + 1) * block], self._clouds[cloud, start : start + block])
            yield {"x": self._out[0], "y": self._out[1]}

    def bytes_read(self) -> float:
        """Bytes per sample: those that it hands out."""
        return float(self._out.nbytes)
