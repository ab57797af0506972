"""`ups-data noise` and `ups-data suggest-points`."""

from pathlib import Path
from typing import Annotated

import typer

from ups_data.cli.commands.train import CONFIG_HELP

Config = Annotated[str, typer.Argument(help=CONFIG_HELP)]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="section.key=value; if out=DIR holds a checkpoint, its weights are measured.")
]
Modes = Annotated[str | None, typer.Option(help="Sampling modes, with commas; default: all that the dataset has.")]
Ratios = Annotated[str, typer.Option(help="Queries ÷ points, with commas.")]
Samples = Annotated[int, typer.Option(min=2, help="Samples that are measured, chosen at random.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write every figure into this file.")]
AFTER = "Optimiser steps that a copy of the model takes first, as the run would; a tenth of the points if it draws all."
TRIAL = 200  # such steps before advice: the noise of a new model is that of a run's first moments
RATIOS = "0.02,0.05,0.1,0.2,0.5"


def noise(
    config: Config,
    overrides: Overrides = None,
    modes: Modes = None,
    ratios: Ratios = RATIOS,
    samples: Samples = 24,
    after: Annotated[int, typer.Option(min=0, help=AFTER)] = 0,
    json_file: JsonFile = None,
) -> None:
    """Measure how noisy a step's gradient is, and what it costs.

    The variance between samples, and within a sample over draws of its points, by mode and ratio, of the
    configuration's own model, losses and data; seconds of a step's parts.
    """
    from rich.console import Console

    from ups_data.cli.measured import measured
    from ups_data.cli.tables.noise import costs_line, noise_table
    from ups_data.training.evaluation.outputs import check_outputs, write_json

    check_outputs(None, json_file)
    _, found = measured(config, overrides or [], modes, ratios, samples, after)
    console = Console(emoji=False)
    console.print(noise_table(found), noise_table(found, judged=True), costs_line(found))
    if json_file is not None:
        write_json(found.to_json(), json_file)


def suggest_points(
    config: Config,
    overrides: Overrides = None,
    modes: Modes = None,
    ratios: Ratios = RATIOS,
    samples: Samples = 24,
    after: Annotated[
        int | None, typer.Option(min=0, help=f"{AFTER} Default: {TRIAL}, or 0 if out=DIR holds a checkpoint.")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Suggest how many points of how many samples to draw.

    The setting that makes most progress per second, by the noise and the costs that `ups-data noise` measures.
    """
    from rich.console import Console

    from ups_data.cli.measured import measured, suggested
    from ups_data.cli.tables.noise import costs_line, noise_table
    from ups_data.training.evaluation.outputs import check_outputs, write_json

    check_outputs(None, json_file)
    settings, found = measured(config, overrides or [], modes, ratios, samples, after, trial=TRIAL)
    advice = suggested(settings, found)
    console = Console(emoji=False)
    console.print(noise_table(found, judged=True), costs_line(found))
    console.print(
        f"data.batch_size={advice.batch_size} training.query_sample_ratio={advice.ratio:g} "
        f"training.query_sampling_mode={advice.mode}",
        f"({advice.queries:,} queries of a sample): {advice.reason}",
        sep="\n",
    )
    if json_file is not None:
        write_json({**advice.to_json(), "after": found.after}, json_file)
