"""The steps of `ups-data quickstart --problem airfoils`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ups_data.cli.drawings.airfoils import plot_drawn_points, plot_pressure, plot_speed
from ups_data.cli.pictures import plot_losses
from ups_data.cli.tours.diffusion_reaction import run_command

CASES, EPOCHS = 80, 24


def make_airfoils(out: Path) -> Path:
    """The dataset's folder: airfoils that are simulated, and converted."""
    run_command("simulate", "airfoils", "--out", out / "simulation", "--cases", CASES)
    root = out / "shards"
    run_command("convert", out / "simulation", "--out", root, "--blocks", 16)
    return root


def train_airfoils(root: Path, out: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Train on a tenth of the points; the run's history."""
    run = out / "train"
    options = [f"training.epochs={EPOCHS}", "training.validate_every=8", "training.query_sample_ratio=0.1"]
    run_command("train", "train_airfoils", f"data.root={root}", f"out={run}", *options, *overrides)
    history: dict[str, Any] = json.loads((run / "history.json").read_text())
    return history


def evaluate_airfoils(out: Path) -> None:
    """Every measure on the test shapes, beside predicting the training mean."""
    run_command("evaluate", out / "train", "--split", "test", "--json", out / "evaluation.json")


def draw_airfoils(out: Path, history: dict[str, Any]) -> dict[str, str]:
    """Draw a batch's points, the curves and predictions of validation shapes; file → what it shows."""
    from ups_data.training import load_trained
    from ups_data.training.loaders import train_loader
    from ups_data.training.runs.trained import trained_run

    model, loader = load_trained(out / "train")
    drawn = next(iter(train_loader(trained_run(out / "train").config)))
    plot_drawn_points(drawn, out / "points.png")
    plot_losses({"10 %": history["epochs"]}, out / "losses.png")
    batch = next(iter(loader))
    predicted = model.predict(batch)
    plot_pressure(batch, predicted["cp"], out / "pressure.png")
    plot_speed(batch, predicted["velocity"], out / "speed.png")
    return {
        "points.png": "what a step sees of a shape: the surface, and the points where the flow is asked for",
        "losses.png": "training loss, and the error on validation shapes",
        "pressure.png": "cp around shapes that the model has not seen",
        "speed.png": "speed around one of them: exact, predicted, and the difference",
    }
