"""After training: measures of a rollout, a prediction on a finer grid, an operator trained on stored latents.

python examples/write_shards.py data/waves
python examples/evaluate_and_predict.py data/waves
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from ups_data.schema import Manifest
from ups_data.training import TrainConfig, evaluate_run, train
from ups_data.training.latents import write_latents
from ups_data.training.prediction import Asked, predict_run
from ups_data.training.prediction.files import set_aside, write_predictions

QUIET = Console(quiet=True)


def configured(root: Path, out: Path, *, data: dict | None = None, **training: object) -> TrainConfig:
    """The built-in model, small, on a quarter of the points."""
    return TrainConfig.model_validate(
        {
            "data": {"root": str(root), "batch_size": 8, **(data or {})},
            "model": {"dim": 32, "depth": 1, "tokens": 8},
            "training": {"epochs": 8, "lr": 5e-3, "query_sample_ratio": 0.25, "device": "cpu", **training},
            "out": str(out),
        }
    )


def main(root: Path, folder: Path) -> None:
    """Everything in the folder of the run."""
    train(configured(root, folder), console=QUIET)
    report = evaluate_run(folder, split="valid", rollout=4).values
    for step in report["steps"]:
        persistence = step["baselines"]["persistence"]["nrmse"]
        print(f"step {step['step']}: nRMSE {step['nrmse']:.3f}, persistence {persistence:.3f}")

    asked = Asked(split="valid", resolution="64x64", rollout=4)
    with set_aside(folder / "predicted") as aside, TemporaryDirectory() as scratch:
        trajectories = predict_run(folder, root, Path(scratch), asked)
        write_predictions(trajectories, aside / "predictions", "shards", split="valid", source={"run": str(folder)})
    found = Manifest.load(folder / "predicted")
    shape = " × ".join(map(str, found.grid.shape))
    print(f"predicted: {found.split('valid').num_trajectories} runs on {shape} points")

    write_latents(folder, root)
    fresh = configured(
        root, folder / "operator", data={"latents": str(root / "latents")}, start_from=str(folder), epochs=2
    )
    print(f"operator: nRMSE {train(fresh, console=QUIET).valid_nrmse:.3f}, encoded nothing")


if __name__ == "__main__":
    given = Path(sys.argv[1] if len(sys.argv) > 1 else "data/waves")
    main(given, Path("runs/waves"))
