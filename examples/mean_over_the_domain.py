"""A mesh whose cells shrink towards a wall: means over points, means over the domain, and what each mode makes of them.

python examples/mean_over_the_domain.py data/graded
"""

import sys
from pathlib import Path

import numpy as np

from ups_data import QueryLoader, QuerySampling, ShardWriter

DRAWS = 400
MODES = {
    "uniform": {"mode": "uniform"},
    "stratified": {"mode": "stratified"},
    "importance by volume": {"mode": "importance", "importance_metric": "volume"},
    "half of each": {"mode": {"stratified": 0.5, "importance": 0.5}, "importance_metric": "volume"},
}


def graded_mesh(points: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres of cells over a wall at y = 0, their areas, and a boundary layer's velocity."""
    random = np.random.default_rng(0)
    x, s = random.random((2, points))
    y = (np.exp(6 * s) - 1) / (np.exp(6) - 1)  # evenly in s, so cells grow with exp(6 s)
    velocity = 1 - np.exp(-y / 0.02)
    area = np.exp(6 * s) / np.exp(6 * s).sum()
    return tuple(a.astype(np.float32) for a in (np.stack([x, y], axis=1), area[:, None], velocity[:, None]))


def main(root: Path) -> None:
    """Draw a hundred of the points again and again."""
    coords, area, velocity = graded_mesh()
    if not (root / "dataset.json").exists():
        with ShardWriter(root) as writer:
            writer.add({"velocity": velocity[None]}, coords=coords, static={"cell_area": area})
    print(f"mean over points {velocity.mean():.3f}, mean over the domain {(area * velocity).sum() / area.sum():.3f}")
    for name, options in MODES.items():
        sampling = QuerySampling(num_queries=100, measure="volume", **options)
        loader = QueryLoader(root, split="train", batch_size=50, sampling=sampling, horizon=0, repeats=DRAWS)
        estimates = []
        for batch in loader:
            queries = batch.target_queries
            estimates += (queries.weight * queries.values["velocity"][..., 0]).mean(-1).tolist()
        print(f"{name}: {np.mean(estimates):.3f} ± {np.std(estimates):.3f} in {len(estimates)} draws")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data/graded"))
