"""The variance of the gradient itself in every mode, before and after training, and whether it is the predicted one.

`gradient_variance.py configs/compare_burgers.yaml data.root=DIR out=RUN --check "1 stratified 0.05"`: the table is of
σ_w² ÷ σ_b² (see `ups_data/training/noise/gradients.py`). `--check` takes the gradients of many whole batches of B
samples, in a mode at a ratio, and compares their variance with (σ_b² + σ_w²) / B. What training has left in RUN is the
later stage; if there is nothing yet, it is trained first.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, `benchmarks` is not on the path

from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import typer
from rich.console import Console

from ups_data.cli.errors import run
from ups_data.cli.tables.sheet import Sheet
from ups_data.errors import UpsDataError
from ups_data.models.protocol import query_sets_of
from ups_data.training.config import TrainConfig, load_config
from ups_data.training.device import device_of
from ups_data.training.loaders import open_manifest
from ups_data.training.loop import train
from ups_data.training.noise import GradientNoise, measure_noise
from ups_data.training.noise.advice import variance_at
from ups_data.training.noise.draws import Draws
from ups_data.training.noise.gradients import between_samples, gradient_of
from ups_data.training.noise.measure import measurable_modes
from ups_data.training.runs.checkpoint import CHECKPOINT
from ups_data.training.runs.rng import seed_all
from ups_data.training.runs.trained import weights_of
from ups_data.training.step import batch_losses
from ups_data.training.targets import model_of

app = typer.Typer(add_completion=False, help=__doc__)


class Setting(NamedTuple):
    """Samples of a batch, and the points of each."""

    batch_size: int
    mode: str
    ratio: float


@app.command()
def main(
    config: Annotated[Path, typer.Argument(help="YAML file; configs/ has some.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="section.key=value; data.root=DIR out=RUN.")] = None,
    steps: Annotated[
        int, typer.Option(min=1, help="Of the training between the stages, with a tenth of the points.")
    ] = 600,
    modes: Annotated[str, typer.Option(help="With commas; default: all, and lattice on grids.")] = "",
    ratios: Annotated[str, typer.Option(help="Queries ÷ points, with commas.")] = "0.02,0.1,0.5",
    samples: Annotated[int, typer.Option(min=2, help="Samples that are measured.")] = 24,
    draws: Annotated[int, typer.Option(min=1, help="Of each sample, by mode and ratio.")] = 2,
    check: Annotated[str, typer.Option(help="'B MODE RATIO', several with commas.")] = "",
    batches: Annotated[int, typer.Option(min=4, help="Of each check.")] = 100,
    json_file: Annotated[Path | None, typer.Option("--json", help="Receives every figure.")] = None,
) -> None:
    settings = load_config(config, overrides or [])
    checks = [setting_of(text) for text in check.split(",") if text.strip()]
    if not (Path(settings.out) / CHECKPOINT).exists():
        keys = [f"training.max_steps={steps}", "training.epochs=100000", "training.validate_every=100000"]
        keys += ["training.query_sample_ratio=0.1", "training.query_sampling_mode=stratified"]
        train(load_config(config, [*(overrides or []), *keys]), console=Console(quiet=True))
    named = [mode for mode in modes.split(",") if mode] or every_mode(settings)
    asked = [float(ratio) for ratio in ratios.split(",")]
    found: list[dict[str, Any]] = []
    for stage, trained in (("start", None), ("trained", settings.out)):
        noise = measure_noise(settings, run=trained, modes=named, ratios=asked, samples=samples, draws=draws)
        held = [
            {**made._asdict(), **compared(noise.gradient, made, measured(settings, trained, made, batches))}
            for made in checks
        ]
        found.append({"stage": stage, **noise.to_json(), "checks": held})
        print_stage(stage, noise.gradient, held)
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=1))


def setting_of(text: str) -> Setting:
    """`"4 stratified 0.1"`.

    Raises:
        UpsDataError: it is something else.
    """
    try:
        size, mode, ratio = text.split()
        return Setting(int(size), mode, float(ratio))
    except ValueError:
        raise UpsDataError(
            f"--check {text!r}: give a batch size, a mode and a ratio, such as '4 stratified 0.1'"
        ) from None


def every_mode(config: TrainConfig) -> list[str]:
    """Those that the dataset can be drawn in."""
    manifest = open_manifest(config)
    return [*measurable_modes(manifest), *(["lattice"] if manifest.grid is not None else [])]


def measured(config: TrainConfig, trained: str | None, setting: Setting, batches: int) -> GradientNoise:
    """Of the gradients of whole batches, each of samples chosen at random and of other points."""
    manifest, device = open_manifest(config), device_of(config.training.device)
    seed_all(config.training.seed)
    model = model_of(config, manifest).to(device)
    if trained is not None:
        weights_of(trained, model, trained_on=manifest)
    weights = config.loss_weights()
    sampling = config.training.measured(setting.ratio, setting.mode)
    of = Draws(config, manifest, sampling, query_sets_of(model, weights), device)
    random, gradients = np.random.default_rng(1), []
    for draw in range(batches):
        numbers = random.choice(len(of), setting.batch_size, replace=False).tolist()
        batch = of.batch(numbers, 1000 + draw)  # draws that the prediction has not seen
        gradients.append(gradient_of(model, batch_losses(model, batch, weights=weights).total))
    return between_samples([torch.as_tensor(gradient) for gradient in gradients])


def compared(noise: GradientNoise, setting: Setting, seen: GradientNoise) -> dict[str, float]:
    """Predicted and measured variance of a batch's gradient."""
    predicted = (noise.between + variance_at(noise, setting.mode, setting.ratio)) / setting.batch_size
    return {
        "batches": seen.samples,
        "predicted": predicted,
        "measured": seen.between,
        "measured_error": seen.between_error,
        "quotient": predicted / seen.between,
    }


def print_stage(stage: str, noise: GradientNoise, held: list[dict[str, Any]]) -> None:
    """The table of a stage."""
    ratios = sorted({ratio for of in noise.within.values() for ratio in of})
    table = Sheet("mode", *(f"ratio {ratio:g}" for ratio in ratios), title=stage, text=("mode",))
    for mode, of in noise.within.items():
        cells = (f"{of[r].variance / noise.between:.3g} ± {of[r].error / noise.between:.2g}" for r in ratios)
        table.add_row(mode, *cells)
    console = Console()
    console.print(table, f"σ_b² {noise.between:.4g} ± {noise.between_error:.2g}, |G|² {noise.signal:.4g}")
    for row in held:
        console.print(
            f"{row['batch_size']} {row['mode']} {row['ratio']:g}: predicted {row['predicted']:.4g}, measured "
            f"{row['measured']:.4g} ± {row['measured_error']:.2g}, {row['quotient']:.2f}"
        )


if __name__ == "__main__":
    run(app)
