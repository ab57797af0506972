"""The benchmark's workloads: their sizes, the random fields that fill them, and what a measured system is told.

Only numpy is imported here: a measured process imports this module, and should hold nothing that its system does not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

CLOUD_PASSES = 16  # samples per cloud and epoch
PAGE = 4096  # bytes that the kernel maps at once
PARTS = ("fetch", "decode", "assemble", "wait")  # where a loader's time goes


@dataclass(frozen=True)
class Workload:
    """Sizes of one workload.

    Attributes:
        shape: of a frame: a grid in array order, or (N,) for points.
        channels: of a frame; for points the first three are positions.
        queries: points drawn per frame.
        batch: samples.
        horizon: target frames; 0: the input frame is the target, and the encoder's points are drawn too.
        copies: a compressed dataset holds every trajectory so many times, which makes it larger than the loader's pool.
        blocks: of the stored frames; 1: whole frames.
    """

    name: str
    trajectories: int
    steps: int
    shape: tuple[int, ...]
    channels: int
    queries: int
    batch: int
    horizon: int
    copies: int = 1
    blocks: int = 1

    @property
    def folder(self) -> str:
        """A name that tells the data apart."""
        sizes = (self.trajectories, self.steps, *self.shape, self.channels)
        return f"{self.name}-{'x'.join(map(str, sizes))}-h{self.horizon}"


FULL = {
    "grid2d": Workload("grid2d", 32, 21, (128, 128), 4, queries=1638, batch=16, horizon=1, copies=12),
    "grid3d": Workload("grid3d", 8, 12, (64, 64, 64), 4, queries=5243, batch=4, horizon=4, copies=5),
    "points": Workload("points", 16, 1, (1 << 20,), 7, queries=16384, batch=1, horizon=0, copies=4, blocks=256),
}
SMALL = {
    "grid2d": Workload("grid2d", 4, 6, (32, 32), 4, queries=102, batch=4, horizon=1),
    "grid3d": Workload("grid3d", 3, 8, (12, 12, 12), 4, queries=35, batch=2, horizon=4),
    "points": Workload("points", 4, 1, (4096,), 7, queries=256, batch=1, horizon=0, blocks=64),
}


@dataclass(frozen=True)
class Case:
    """What every measured system is told: where the data lie and what a sample is.

    Attributes:
        folder: of the files that the systems read: `frames.npy` (rows, N, C), `coords.npy` (G, N, d) with G = 1 or one
            per trajectory, `store-<codec>.zarr`, `tar/`.
        dataset: folder of the shards, and the split to read.
        steps: frames of each trajectory, one after another in `frames.npy`.
        draws_inputs: the encoder's points are drawn like the queries (the points workload); else its frame is dense.
        blocked: folder of the same shards in blocks, where they are compared.

    The other attributes are `Workload`'s.
    """

    name: str
    folder: Path
    dataset: Path
    split: str
    codec: str
    steps: tuple[int, ...]
    queries: int
    batch: int
    horizon: int
    draws_inputs: bool
    blocked: Path | None = None

    @cached_property
    def samples(self) -> np.ndarray:
        """(samples, 2) int64: trajectory and row of the input frame of each sample."""
        offsets = np.cumsum([0, *self.steps[:-1]])
        pairs = [
            (trajectory, offset + step)
            for trajectory, (offset, steps) in enumerate(zip(offsets, self.steps, strict=True))
            for step in range(steps - self.horizon)
        ]
        return np.array(pairs, np.int64)

    def frames(self) -> np.ndarray:
        """The raw frames, mapped: (rows, N, C)."""
        return np.asarray(np.load(self.folder / "frames.npy", mmap_mode="r"))

    def coords(self) -> np.ndarray:
        """(G, N, d) float32, in memory."""
        return np.load(self.folder / "coords.npy")


def chunk_points(case: Case) -> int:
    """Points of a stored chunk of a cloud: a draw is four of them."""
    return case.queries // 4


def touched_bytes(points: int, drawn: int, point_bytes: int) -> float:
    """Bytes of the pages that `drawn` random ones of `points` mapped points lie on, in expectation."""
    pages = max(1.0, points * point_bytes / PAGE)
    return pages * (1 - (1 - 1 / pages) ** drawn) * PAGE if pages > 1 else float(points * point_bytes)


def trajectories(workload: Workload) -> Iterator[np.ndarray]:
    """The frames of one trajectory after another, each (T, N, C) float32."""
    for number in range(workload.trajectories):
        rng = np.random.default_rng(number)
        if workload.name == "points":
            yield cloud(rng, workload.shape[0], workload.channels)[None]
        else:
            yield smooth_frames(rng, workload.steps, workload.shape, workload.channels).reshape(
                workload.steps, -1, workload.channels
            )


def smooth_frames(rng: np.random.Generator, steps: int, grid: tuple[int, ...], channels: int) -> np.ndarray:
    """Periodic random fields whose modes fall as k^-2.5 and turn slowly in time: (T, *grid, C) float32, std 1."""
    waves = [np.fft.fftfreq(n, 1 / n) for n in grid[:-1]] + [np.fft.rfftfreq(grid[-1], 1 / grid[-1])]
    k = np.sqrt(sum(w**2 for w in np.meshgrid(*waves, indexing="ij")))
    k.flat[0] = np.inf  # no mean
    frames = np.empty((steps, *grid, channels), np.float32)
    for channel in range(channels):
        modes = k**-2.5 * (rng.standard_normal(k.shape) + 1j * rng.standard_normal(k.shape))
        turn = np.exp(0.1j * rng.standard_normal(k.shape))  # of each mode, from one step to the next
        for step in range(steps):
            frames[step, ..., channel] = np.fft.irfftn(modes, s=grid, axes=range(len(grid)))
            modes *= turn
    return frames / frames.std()


def cloud(rng: np.random.Generator, points: int, channels: int) -> np.ndarray:
    """Random positions in the unit cube and waves over them: (N, 3 + C) float32."""
    positions = rng.random((points, 3), dtype=np.float32)
    waves = rng.standard_normal((3, channels - 3)).astype(np.float32)
    return np.concatenate([positions, np.sin(6 * positions @ waves)], axis=1)
