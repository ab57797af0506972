"""Small datasets that tests make, and where the real files lie."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ups_data import ShardWriter
from ups_data.schema import MANIFEST, Manifest
from ups_data.schema.file import with_digest
from ups_data.store.sealing import write_seal

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
DIFFUSION_REACTION = SHARED / "pdebench" / "2D_diff-react_NA_NA.h5"
BURGERS = SHARED / "pdebench" / "1D_Burgers_Sols_Nu0.01.hdf5"
DARCY_PT = SHARED / "neuraloperator" / "darcy_train_16.pt"
BURGERS_PT = SHARED / "neuraloperator" / "burgers_train_16.pt"
CAR_PT = SHARED / "neuraloperator" / "mini_car.pt"


def real(path: Path) -> Path:
    """The real file, or a skip that says what is missing."""
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path


def fields(trajectory: int, steps: int, grid: tuple[int, ...], channels: int = 2) -> np.ndarray:
    """Random frames (T, *grid, C) float32 that tell trajectory, step, point and channel apart."""
    return np.random.default_rng(trajectory).standard_normal((steps, *grid, channels)).astype(np.float32)


def write_grid(
    root: Path,
    *,
    grid: tuple[int, ...] = (12, 10),
    steps: tuple[int, ...] = (7, 7, 5, 9, 7),
    split: str = "train",
    **options: object,
) -> list[np.ndarray]:
    """A dataset with one split of trajectories of those lengths; returns their frames."""
    runs = [fields(i, t, grid) for i, t in enumerate(steps)]
    with ShardWriter(root, **options) as writer:  # type: ignore[arg-type]
        for i, u in enumerate(runs):
            writer.add({"u": u}, split=split, time=0.5 * np.arange(len(u)), params={"nu": 0.1 * i}, key=f"{i:04d}")
    return runs


def reseal(root: Path) -> None:
    """Make what a test has changed in a dataset's shards what its seals and its manifest say."""
    manifest = Manifest.load(root)
    splits = {}
    for name, split in manifest.splits.items():
        sealed = [(spec, *write_seal(root / spec.path)) for spec in split.shards]
        shards = [spec.model_copy(update={"bytes": size, "digest": digest}) for spec, size, digest in sealed]
        splits[name] = split.model_copy(update={"shards": shards})
    manifest.model_copy(update={"splits": splits}).save(root)


def edit_manifest(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the JSON of a manifest, which gets the digest of what it says then."""
    manifest = json.loads((root / MANIFEST).read_text())
    del manifest["digest"]
    change(manifest)
    (root / MANIFEST).write_bytes(with_digest(json.dumps(manifest, indent=1)))
