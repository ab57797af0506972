"""Points that do not count: heat flows around obstacles; a model learns it from a tenth of the other points.

python examples/masked_obstacle.py runs/obstacle
"""

import sys
from pathlib import Path

import numpy as np

from ups_data import QueryLoader, QuerySampling, ShardWriter
from ups_data.training import TrainConfig, train
from ups_data.training.evaluation.run import evaluate_run


def heat_around(obstacle: np.ndarray, start: np.ndarray, frames: int, steps: int = 40) -> np.ndarray:
    """`(frames, H, W, 1)`: explicit diffusion, no flux into the obstacle; NaN inside it."""
    u, found = start.copy(), []
    for _ in range(frames):
        found.append(np.where(obstacle, np.nan, u))
        for _ in range(steps):
            change = np.zeros_like(u)
            for axis in (0, 1):
                for step in (1, -1):
                    open_face = ~obstacle & ~np.roll(obstacle, step, axis)
                    change += np.where(open_face, np.roll(u, step, axis) - u, 0.0)
            u += 0.2 * change
    return np.stack(found)[..., None].astype(np.float32)


def write(root: Path, runs: int, size: int = 24, frames: int = 5) -> None:
    """Runs with a square obstacle of their own, in two splits; NaN says where it is."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:size, 0:size] / size
    with ShardWriter(root, mask_nan=True, blocks=4) as writer:
        for run in range(runs):
            row, column = rng.integers(4, size - size // 4 - 4, 2)
            obstacle = np.zeros((size, size), bool)
            obstacle[row : row + size // 4, column : column + size // 4] = True
            phase = rng.uniform(0, 2 * np.pi, 2)
            start = np.sin(2 * np.pi * x + phase[0]) * np.cos(2 * np.pi * y + phase[1])
            writer.add({"heat": heat_around(obstacle, start, frames)}, split="valid" if run % 5 == 4 else "train")


def main(out: Path, runs: int = 40, epochs: int = 30) -> tuple[float, float]:
    """Returns the evaluated nRMSE of the model, and that of the persistence baseline."""
    root = out / "dataset"
    if not root.exists():
        write(root, runs)
    loader = QueryLoader(root, split="train", batch_size=4, sampling=QuerySampling(ratio=0.1), horizon=1)
    batch = next(iter(loader))
    hole = ~batch.inputs.mask  # beside the dense input, whose holes hold 0
    drawn = batch.target_queries.index.shape[1]
    print(f"{int(hole.sum(-1)[0])} of {hole.shape[-1]} points have no value, {drawn} of the others are drawn")
    config = TrainConfig.model_validate(
        {
            "data": {"root": str(root), "batch_size": 4, "horizon": 1},
            "out": str(out / "run"),
            "model": {"dim": 32, "depth": 2, "heads": 2},
            "training": {"epochs": epochs, "query_sample_ratio": 0.1, "lr": 2e-3},
        }
    )
    train(config)
    report = evaluate_run(out / "run", split="valid").values
    model, persistence = report["nrmse"], report["baselines"]["persistence"]["nrmse"]
    print(f"nRMSE over the points that count: {model:.3f}, of the persistence baseline {persistence:.3f}")
    return model, persistence


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/obstacle"))
