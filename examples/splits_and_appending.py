"""A long series split by time with a gap, a second series appended, and two datasets merged.

python examples/splits_and_appending.py data/series
"""

import sys
from pathlib import Path

import numpy as np

from ups_data.conversion.convert import convert
from ups_data.conversion.splitting.by_time import ByTime
from ups_data.conversion.splitting.naming import save_split_file
from ups_data.schema import Manifest
from ups_data.writing.joining.merge import merge

STEPS, SIZE, MEMORY = 200, 16, 0.9  # each frame keeps nine tenths of the last one


def write_series(file: Path, seed: int) -> None:
    """An autocorrelated series (1, STEPS, SIZE, SIZE, 1): a run of one simulation."""
    rng = np.random.default_rng(seed)
    u = rng.standard_normal((STEPS, SIZE, SIZE, 1)).astype(np.float32)
    for t in range(1, STEPS):
        u[t] = MEMORY * u[t - 1] + np.sqrt(1 - MEMORY**2) * u[t]
    np.savez(file, u=u[None])


def told(manifest: Manifest) -> str:
    """Trajectories and frames of each split."""
    return ", ".join(
        f"{name} {split.num_trajectories} of {sum(sum(s.steps) for s in split.shards)} frames"
        for name, split in manifest.splits.items()
    )


def main(folder: Path) -> None:
    """Runs 0 and 1, then 2; and run 3 from a folder of its own."""
    for name in ("runs", "others"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    # Two frames that are 22 steps apart have less than a tenth in common: 0.9 ** 22.
    rule = ByTime("train=..150,valid=150..", gap="22")
    write_series(folder / "runs/a.npz", 0)
    write_series(folder / "runs/b.npz", 1)
    print(f"converted: {told(convert(folder / 'runs', folder / 'dataset', split=rule))}")
    write_series(folder / "runs/c.npz", 2)
    print(f"appended: {told(convert(folder / 'runs', folder / 'dataset', split=rule))}")
    write_series(folder / "others/d.npz", 3)
    convert(folder / "others", folder / "other", split=rule)
    merged = merge(folder / "dataset", folder / "other", folder / "all")
    print(f"merged: {told(merged)}")
    print(f"named: {save_split_file(merged, folder / 'splits.json')} runs, in {folder / 'splits.json'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data/series"))
