"""Datasets of every kind, and digests of the batches that a loader makes of them, wherever they lie."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from ups_data import QueryLoader, QuerySampling, ShardWriter
from ups_data.store.local import LocalStore
from ups_data.store.root import Root


def contents(folder: Path) -> dict[str, bytes]:
    """Key → bytes of all objects of a dataset in a folder."""
    store = LocalStore(folder)
    return {key: store.get(key, size) for key, size in store.list("")}


def write_blocks(root: Path, *, codec: str = "none", blocks: int = 4) -> None:
    """A grid in blocks: 16 × 12 points, a static field, a parameter; the trajectories are of two lengths."""
    rng = np.random.default_rng(0)
    with ShardWriter(root, codec=codec, blocks=blocks) as writer:
        for number, steps in enumerate((6, 6, 9)):
            frames = rng.standard_normal((steps, 16, 12, 2)).astype(np.float32).cumsum(1)
            static = rng.standard_normal((16, 12, 1)).astype(np.float32)
            writer.add({"u": frames}, static={"k": static}, params={"nu": 0.1 * number})


def digests(root: Root, *, epochs: int = 2, **options: Any) -> list[str]:
    """One for each batch."""
    options = {"split": "train", "batch_size": 4, "sampling": QuerySampling(ratio=0.25), **options}
    loader = QueryLoader(root, **options)
    found = []
    for _ in range(epochs):
        for batch in loader:
            digest = hashlib.sha256()
            batch.for_each_tensor(lambda t, digest=digest: digest.update(t.contiguous().numpy().tobytes()))
            found.append(digest.hexdigest())
    return found
