"""Datasets that `ShardWriter` makes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ups_data import ShardWriter
from ups_data.trajectory import PointSet

from .values import frames, paths, positions

STEPS = (7, 7, 5, 9, 7)
POINTS = (320, 260, 350, 300, 290)


def make(name: str, root: Path) -> None:
    """Write the dataset of that name into the folder `root`."""
    WRITTEN[name](root)


def _grid(root: Path, *, shape: tuple[int, ...], **options: Any) -> None:
    """Two fields in time, one without, two parameters; one trajectory more in the split `valid`."""
    with ShardWriter(root, **options) as writer:
        for run, steps in enumerate((*STEPS, 6)):
            writer.add(
                {"u": frames(run, steps, shape, 2), "p": frames(100 + run, steps, shape, 1)},
                static={"k": frames(200 + run, 1, shape, 1)[0]},
                split="train" if run < len(STEPS) else "valid",
                time=_times(run, steps),
                params={"nu": run / 8, "rho": 1 + run / 4},
                key=f"{run:04d}",
            )


def _cloud(root: Path, *, points: tuple[int, ...], dim: int, moves: bool = False, **options: Any) -> None:
    """Points with two fields in time and one without."""
    with ShardWriter(root, **options) as writer:
        for run, (steps, count) in enumerate(zip(STEPS, points, strict=True)):
            still, seed = positions(300 + run, (count, dim)), 400 + 2 * run
            writer.add(
                {"u": frames(run, steps, (count,), 2), "p": frames(100 + run, steps, (count,), 1)},
                static={"mass": frames(200 + run, 1, (count,), 1)[0]},
                coords=paths(seed, steps, count, dim) if moves else still,
                time=_times(run, steps),
                params={"nu": run / 8},
                key=f"{run:04d}",
            )


def _sets(root: Path, *, surface: tuple[int, ...], volume: tuple[int, ...], **options: Any) -> None:
    """Two sets of points."""
    with ShardWriter(root, **options) as writer:
        for run, (steps, few, many) in enumerate(zip(STEPS, surface, volume, strict=True)):
            pressure, velocity = frames(run, steps, (few,), 1), frames(100 + run, steps, (many,), 3)
            normal = {"normal": frames(200 + run, 1, (few,), 3)[0]}
            sets = {
                "surface": PointSet(positions(300 + run, (few, 3)), {"pressure": pressure}, normal),
                "volume": PointSet(positions(400 + run, (many, 3)), {"velocity": velocity}),
            }
            writer.add(sets=sets, time=_times(run, steps), params={"nu": run / 8}, key=f"{run:04d}")


def _times(run: int, steps: int) -> np.ndarray:
    return run / 4 + np.arange(steps) / 2


BOTH = ("gradient", "variance")
EQUAL = (300,) * len(STEPS)
WRITTEN: dict[str, Callable[[Path], None]] = {
    "line": partial(_grid, shape=(96,)),
    "line-blocks": partial(_grid, shape=(96,), blocks=6, codec="lz4", seed=1),
    "plane": partial(_grid, shape=(24, 20), importance=BOTH, shard_bytes=50_000),
    "plane-lz4": partial(_grid, shape=(24, 20), codec="lz4", shard_bytes=50_000),
    "plane-zstd": partial(_grid, shape=(24, 20), codec="zstd", importance=BOTH, shard_bytes=50_000),
    "plane-blocks": partial(_grid, shape=(24, 20), blocks=16, importance=BOTH),
    "plane-blocks-lz4": partial(_grid, shape=(24, 20), blocks=4, codec="lz4", importance=BOTH, shard_bytes=50_000),
    "plane-odd-blocks": partial(_grid, shape=(23, 19), blocks=9, codec="zstd"),
    "cube": partial(_grid, shape=(8, 9, 10)),
    "cube-blocks": partial(_grid, shape=(8, 8, 8), blocks=8, codec="zstd", cast="float16"),
    "cloud": partial(_cloud, points=EQUAL, dim=3, importance=BOTH),
    "cloud-blocks": partial(_cloud, points=EQUAL, dim=3, blocks=8, codec="lz4"),
    "particles": partial(_cloud, points=EQUAL, dim=2, moves=True, blocks=4, codec="zstd"),
    "ragged": partial(_cloud, points=POINTS, dim=2, importance=("variance",), shard_bytes=50_000),
    "ragged-blocks": partial(_cloud, points=POINTS, dim=3, blocks=8, codec="lz4"),
    "ragged-particles": partial(_cloud, points=POINTS, dim=2, moves=True),
    "sets": partial(_sets, surface=(200,) * 5, volume=(400,) * 5, importance=BOTH),
    "ragged-sets": partial(_sets, surface=(200, 180, 210, 190, 205), volume=POINTS, blocks=5, codec="zstd"),
}
