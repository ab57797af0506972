"""`ups-data train`."""

import os
from typing import Annotated

import typer

from ups_data.cli.shipped import find_config, shipped_configs

CONFIG_HELP = f"YAML file, or a configuration that ships with ups_data: {', '.join(shipped_configs())}."


def train(
    config: Annotated[str, typer.Argument(help=CONFIG_HELP)],
    overrides: Annotated[list[str] | None, typer.Argument(help="section.key=value, for example data.root=DIR.")] = None,
    allow_env: Annotated[
        bool, typer.Option("--allow-env", help="Let ${oc.env:NAME} in the configuration read environment variables.")
    ] = False,
) -> None:
    """Train the reference operator on a dataset.

    SIGTERM, or Ctrl-C once, ends the run after the step in hand, saved. The same command then goes on from there, as it
    does after a kill from the last checkpoint. Under torchrun, all ranks train one model:
    torchrun --nproc-per-node 4 -m ups_data.cli train CONFIG
    """
    if "WORLD_SIZE" in os.environ:  # torch's advice against an option of DDP that is meant to be on
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from rich.console import Console

    from ups_data.cli.tables.training import summary
    from ups_data.errors import shown
    from ups_data.training.config import load_config
    from ups_data.training.loop import train as train_model
    from ups_data.training.ranks.group import is_first, same_on_every_rank
    from ups_data.training.runs.stop import StopSignals

    console = Console(emoji=False, quiet=not is_first())
    with StopSignals() as stop:
        with same_on_every_rank():
            settings = load_config(find_config(config), overrides or [], allow_env=allow_env)
        result = train_model(settings, console=console, stop=stop)
    if result.finished:
        console.print(summary(result), f"checkpoint, history and metrics: {shown(result.out)}")
    else:
        console.print(f"the same command goes on from {shown(result.out)}")
