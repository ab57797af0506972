"""How many points pay on a dataset: the noise of the model's own gradient, the advice, and a run that takes it itself.

python examples/write_shards.py data/waves
python examples/how_many_points.py data/waves
"""

import sys
from pathlib import Path

from rich.console import Console

from ups_data.training import TrainConfig, train
from ups_data.training.noise import advise, measure_noise


def configured(root: Path, out: Path, **training: object) -> TrainConfig:
    """The built-in model, small."""
    return TrainConfig.model_validate(
        {
            "data": {"root": str(root), "batch_size": 8},
            "model": {"dim": 32, "depth": 1, "tokens": 8},
            "training": {"epochs": 2, "lr": 5e-3, "device": "cpu", **training},
            "out": str(out),
        }
    )


def main(root: Path, folder: Path) -> None:
    """Few samples and draws, so that it takes seconds; `ups-data noise` and `ups-data suggest-points` take more."""
    config = configured(root, folder)
    noise = measure_noise(config, ratios=(0.05, 0.2), samples=6, draws=1)
    print(f"between samples {noise.gradient.between:.3g} ± {noise.gradient.between_error:.2g}")
    for mode, of_mode in noise.gradient.within.items():
        for ratio, within in of_mode.items():
            print(f"{mode} {ratio:g}: {within.variance / noise.gradient.between:.2f} of that within a sample")
    advice = advise(noise, batch_size=8, ratio=1.0, mode="uniform")
    print(f"advice: {advice.queries} points of {advice.batch_size} samples, {advice.mode}: {advice.reason}")

    # The same, measured by the run itself before its first step; every point comes once before any comes twice.
    keys = {"query_sample_ratio": "auto", "query_sampling_mode": "stratified", "query_cycle": True, "max_steps": 10}
    result = train(configured(root, folder, **keys), console=Console(quiet=True))
    [chosen] = result.points
    print(f"auto: ratio {chosen['ratio']:g} from epoch {chosen['epoch'] + 1} on, nRMSE {result.valid_nrmse:.3f}")


if __name__ == "__main__":
    given = Path(sys.argv[1] if len(sys.argv) > 1 else "data/waves")
    main(given, Path("runs/how-many-points"))
