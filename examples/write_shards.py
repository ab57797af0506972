"""Write a dataset from Python: waves that are carried along on a periodic grid.

python examples/write_shards.py data/waves
ups-data inspect data/waves
"""

import sys
from pathlib import Path

import numpy as np

from ups_data import ShardWriter

SIZE, STEPS, SPEED = 32, 9, 0.05  # grid points along each axis, frames, domain lengths per frame


def wave(seed: int) -> np.ndarray:
    """One trajectory, `(STEPS, SIZE, SIZE, 1)` float32: a sum of plane waves that moves along x."""
    rng = np.random.default_rng(seed)
    x = np.arange(SIZE) / SIZE
    y, x = np.meshgrid(x, x, indexing="ij")  # x runs along the last axis
    frames = np.zeros((STEPS, SIZE, SIZE))
    for _ in range(3):
        (kx, ky), phase = rng.integers(-2, 3, 2), rng.uniform(0, 2 * np.pi)
        for step in range(STEPS):
            frames[step] += np.sin(2 * np.pi * (kx * (x - SPEED * step) + ky * y) + phase)
    return frames[..., None].astype(np.float32)


def write_waves(root: Path, trajectories: int = 16) -> None:
    """Three quarters of the trajectories for training, the others for validation."""
    with ShardWriter(root, codec="lz4") as writer:  # the manifest is written at the end: all or nothing
        for seed in range(trajectories):
            writer.add(
                {"height": wave(seed)},
                split="train" if seed < 3 * trajectories // 4 else "valid",
                time=0.1 * np.arange(STEPS),
                params={"speed": SPEED},
                units={"height": "m"},
            )


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "data/waves")
    write_waves(folder)
    print(f"{folder}: written")
