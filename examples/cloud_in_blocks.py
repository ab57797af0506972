"""A point cloud in blocks: a sample that needs a few per cent of the points reads a few per cent of the bytes.

python examples/cloud_in_blocks.py data/cloud
"""

import sys
from pathlib import Path

import numpy as np

from ups_data import QueryLoader, QuerySampling, ShardWriter

POINTS, BLOCKS, QUERIES = 100_000, 128, 2_000


def write_clouds(root: Path, clouds: int = 4) -> None:
    """Bodies of unequal size with a pressure on their surface; every block is a sample of the whole surface."""
    rng = np.random.default_rng(0)
    with ShardWriter(root, blocks=BLOCKS) as writer:
        for number in range(clouds):
            normals = rng.normal(size=(POINTS + 1000 * number, 3))
            coords = (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)
            pressure = (np.sin(3 * coords[:, 0]) * coords[:, 1])[None, :, None]  # (T = 1, N, C = 1)
            writer.add({"pressure": pressure.astype(np.float32)}, coords=coords * [1.0, 0.5, 0.3])


def main(root: Path) -> None:
    """Write the clouds if they are not there; then compare the bytes that a sample takes."""
    if not (root / "dataset.json").exists():
        write_clouds(root)
    for mode in ("stratified", "blocks"):
        few = QuerySampling(num_queries=QUERIES, mode=mode)
        # The encoder's points are drawn too, independently of the queries; each cloud is shown 16 times an epoch.
        # Threads would have read for the next epochs too when the bytes are counted.
        loader = QueryLoader(
            root,
            split="train",
            batch_size=4,
            sampling=few,
            inputs=few,
            horizon=0,
            repeats=16,
            drop_last=False,
            threads=0,
        )
        for batch in loader:
            assert batch.inputs.fields["pressure"].shape == (len(batch), QUERIES, 1)
            assert batch.target_queries.coords.shape == (len(batch), QUERIES, 3)
        stats = loader.stats
        print(f"{mode:10s} {stats.read_bytes / stats.samples / 1e3:8.1f} kB read for a sample")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data/cloud"))
