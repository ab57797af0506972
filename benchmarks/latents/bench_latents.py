"""What stored latents save: steps of an operator on them and with its frozen encoder, in turn, on the same batches."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, `benchmarks` is not on the path

import json
import tempfile
import time
from collections.abc import Iterator
from statistics import mean, median
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console

from ups_data import QueryBatch, ShardWriter
from ups_data.cli.errors import run
from ups_data.cli.tables.sheet import Sheet
from ups_data.models.protocol import query_sets_of
from ups_data.training import TrainConfig, train
from ups_data.training.latents import write_latents
from ups_data.training.latents.start import beside_latents, started
from ups_data.training.loaders import open_manifest, train_loader
from ups_data.training.optimiser import Optimiser
from ups_data.training.ranks.group import Group
from ups_data.training.runs.rng import seed_all
from ups_data.training.step import TrainStep, loss_context
from ups_data.training.targets import model_of

app = typer.Typer(add_completion=False, help=__doc__)


def write_waves(root: Path, grid: int, trajectories: int, frames: int = 17) -> None:
    """Two channels of waves that travel, on a periodic grid."""
    x = 2 * np.pi * np.arange(grid) / grid
    time_, y, x = np.meshgrid(0.2 * np.arange(frames), x, x, indexing="ij")
    with ShardWriter(root) as writer:
        for number in range(trajectories):
            u = np.stack([np.sin(k * x + y + time_ + number) for k in (1, 2)], axis=-1).astype(np.float32)
            writer.add({"u": u}, split="valid" if number == 0 else "train", time=np.arange(float(frames)))


class Steps:
    """Steps of a training, one at a time, with their seconds and losses. The loader works when it is asked."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.config = TrainConfig.model_validate(values)
        seed_all(0)
        self.model = started(model_of(self.config, open_manifest(self.config)), self.config)
        loader = train_loader(self.config, query_sets_of(self.model, self.config.loss_weights()))
        self.loader = beside_latents(loader, self.config, self.model)
        optimiser = Optimiser(self.model, self.config.training, len(self.loader), torch.device("cpu"))
        self.step = TrainStep(self.model, optimiser, None, Group(), self.config.training)
        self.batches = self._batches()
        self.seconds: dict[str, list[float]] = {"batch": [], "step": [], "encode": []}
        self.losses: list[float] = []

    def _batches(self) -> Iterator[QueryBatch]:
        while True:
            yield from self.loader

    def one(self) -> None:
        begun = time.perf_counter()
        batch = next(self.batches)
        arrived = time.perf_counter()
        loss = self.step(batch, loss_context(self.config.loss_weights(), epoch=0))
        done = time.perf_counter()
        with torch.no_grad():
            self.model.encode(batch)  # type: ignore[operator]  # nothing, where there are latents
        encoded = time.perf_counter()
        for name, value in zip(self.seconds, (arrived - begun, done - arrived, encoded - done), strict=True):
            self.seconds[name].append(value)
        self.losses.append(loss["total"])


def measure(folder: Path, grid: int, ratio: float, batch_size: int, rounds: int) -> dict[str, Any]:
    """Steps in turn: medians in seconds, and the largest relative difference between losses.

    Batches are made several at once, so of what they take, the mean counts.
    """
    root = folder / "data"
    write_waves(root, grid, trajectories=5)
    values: dict[str, Any] = {
        "data": {"root": str(root), "batch_size": batch_size, "threads": 0, "prefetch": 1},
        "training": {
            "epochs": 1,
            "device": "cpu",
            "query_sample_ratio": ratio,
            "loss_weights": {"inverse_encoding": 0},
        },
        "out": str(folder / "run"),
    }
    train(TrainConfig.model_validate(values), console=Console(quiet=True))
    latents = write_latents(folder / "run", root)
    training = {**values["training"], "start_from": values["out"]}
    fly = Steps({**values, "training": {**training, "frozen": ["normalizer", "encoder"]}})
    stored = Steps({**values, "training": training, "data": {**values["data"], "latents": str(latents)}})
    for number in range(rounds + 2):
        for steps in (fly, stored)[:: 1 if number % 2 else -1]:
            steps.one()
    of = {"batch": mean, "step": median, "encode": median}
    each = {n: {k: of[k](v[2:]) for k, v in s.seconds.items()} for n, s in (("fly", fly), ("stored", stored))}
    apart = max(abs(a - b) / abs(a) for a, b in zip(fly.losses, stored.losses, strict=True))
    return {**each, "largest_difference": apart}


@app.command()
def main(
    grid: Annotated[int, typer.Option(help="Points along each of two axes.")] = 128,
    ratio: Annotated[float, typer.Option(help="Queries ÷ points.")] = 0.1,
    batch_size: Annotated[int, typer.Option(min=1)] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="Steps of each, in turn; the median counts.")] = 40,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures into this file.")] = None,
) -> None:
    """Compare the same steps with a frozen encoder and with its stored latents."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), grid, ratio, batch_size, rounds)
    table = Sheet("latents", "batch, ms", "step, ms", "of it the encoder, ms")
    for name, shown in (("fly", "encoded in each step"), ("stored", "stored")):
        milliseconds = {kind: 1e3 * seconds for kind, seconds in found[name].items()}
        table.add_row(shown, *(f"{milliseconds[kind]:.2f}" for kind in ("batch", "step", "encode")))
    Console(emoji=False).print(table)
    print(f"largest difference between losses, relative: {found['largest_difference']:.1e}")
    if json_file is not None:
        json_file.write_text(json.dumps(found))


if __name__ == "__main__":
    run(app)
