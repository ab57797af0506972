"""The steps of `ups-data quickstart`, for diffusion–reaction."""

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
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
TRAINING_SECONDS = 90.0  # that dense training takes at most
TIMED_STEPS, FEWEST_STEPS = 4, 20


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


def fitting_steps(root: Path, overrides: Sequence[str]) -> tuple[int, int, float]:
    """How many steps of dense training this machine does in the time that the tour has for it.

    Returns:
        those steps, all steps of the configuration, and the seconds that a step takes.
    """
    from rich.console import Console

    from ups_data.cli.shipped import find_config
    from ups_data.training import train
    from ups_data.training.config import load_config
    from ups_data.training.loaders import train_loader

    dense = [*_options(root, overrides), "training.query_sample_ratio=1", "training.checkpoint_every=0"]
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        config = load_config(find_config("quickstart"), [*dense, f"out={folder}/timed"])
        planned = config.training.steps_in_all(len(train_loader(config)))
        if planned <= FEWEST_STEPS:
            return planned, planned, 0.0
        quiet, enough = Console(quiet=True), lambda: len(ends) > TIMED_STEPS
        train(config, on_step=lambda _: ends.append(time.perf_counter()), stop=enough, console=quiet)
    seconds = statistics.median(after - before for before, after in itertools.pairwise(ends))
    return min(planned, max(FEWEST_STEPS, int(TRAINING_SECONDS / seconds))), planned, seconds


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
        options = [*_options(root, overrides), f"out={folder}", f"training.query_sample_ratio={ratio}"]
        run_command("train", "quickstart", *options)
        histories[name] = json.loads((folder / "history.json").read_text())
    return histories


def _options(root: Path, overrides: Sequence[str]) -> list[str]:
    """Of every run, but for its points and its folder."""
    return [f"data.root={root}", f"data.horizon={default_horizon(Manifest.load(root), 'train')}", *overrides]


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
