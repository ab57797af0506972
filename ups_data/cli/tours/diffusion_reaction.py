"""The steps of `ups-data quickstart`, for diffusion–reaction."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ups_data.cli.pictures import plot_losses, plot_prediction, plot_sample
from ups_data.cli.throughput import Throughput, default_horizon, measure, open_loader
from ups_data.errors import UpsDataError
from ups_data.sampling import QuerySampling
from ups_data.schema import Manifest

RATIOS = {"dense": 1.0, "10 %": 0.1}
SECONDS = 2.0  # that each loader is measured


def convert_simulations(out: Path, data: Path | None) -> Path:
    """The dataset's folder, made from the simulations in `data`, or from new ones."""
    if data is None:
        data = out / "simulation.h5"
        run_command("simulate", data, "--trajectories", 24)
    root = out / "shards"
    run_command("convert", data, "--out", root)
    if "valid" not in Manifest.load(root).splits:
        raise UpsDataError(f"{data}: one trajectory leaves none to validate on: give a file with at least two")
    return root


def run_command(name: str, *arguments: object) -> None:
    """Run a command as its user would; each in a process of its own, so that peak memory is its own."""
    status = subprocess.run([sys.executable, "-m", "ups_data.cli", name, *map(str, arguments)]).returncode
    if status:
        sys.exit(status)


def measure_loaders(root: Path) -> dict[str, Throughput]:
    """Batches of 8 as fast as the loader makes them, for each ratio."""
    return {
        name: measure(open_loader(root, batch_size=8, ratio=ratio, mode="stratified"), SECONDS)
        for name, ratio in RATIOS.items()
    }


def train_runs(
    root: Path, out: Path, overrides: Sequence[str], begin: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Train with each ratio; name → the run's history.

    Args:
        begin: called with the name of each run before it starts.
    """
    histories = {}
    for name, ratio in RATIOS.items():
        begin(name)
        folder = out / f"train-{ratio:g}"
        horizon = default_horizon(Manifest.load(root), "train")
        options = [f"data.root={root}", f"data.horizon={horizon}", f"out={folder}", *overrides]
        run_command("train", "quickstart", *options, f"training.query_sample_ratio={ratio}")
        histories[name] = json.loads((folder / "history.json").read_text())
    return histories


def draw_tour(root: Path, out: Path, histories: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Draw the sampled batch, the loss curves and a prediction; file → what it shows."""
    from ups_data.training import load_trained

    few = QuerySampling(ratio=0.1, mode="stratified")
    plot_sample(root, out / "sample.png", split="train", sampling=few, number=10)
    plot_losses({name: h["epochs"] for name, h in histories.items()}, out / "losses.png")

    model, loader = load_trained(out / f"train-{RATIOS['10 %']:g}")
    batch = next(iter(loader))
    name = next(iter(batch.target_queries.values))
    truth = batch.target_queries.values[name][-1]
    predicted = model.predict(batch)[name][-1]
    frames = {"truth": truth, "predicted": predicted, "difference": predicted - truth}
    if name in batch.inputs.fields:
        frames = {"input": batch.inputs.fields[name][-1], **frames}
    plot_prediction(
        {title: f[:, 0].numpy() for title, f in frames.items()},
        batch.inputs.coords[0].numpy(),
        batch.inputs.grid_shape,
        out / "prediction.png",
    )
    return {
        "sample.png": "a dense input, and the points drawn from its target",
        "losses.png": "loss and validation error of both runs",
        "prediction.png": "a validation frame, predicted by the run on 10 % of the points",
    }
