"""Trains the reference operator: `train.py CONFIG [key=value …]`.

SIGTERM, or Ctrl-C once, ends the run after the step in hand, saved; the same command then goes on from there, as it
does after a kill from the last checkpoint.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ups_data.cli.errors import run
from ups_data.training.config import load_config
from ups_data.training.loop import TrainResult, train
from ups_data.training.runs.stop import StopSignals

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    config: Annotated[Path, typer.Argument(help="YAML file; configs/ has some.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="section.key=value, for example data.root=DIR.")] = None,
) -> None:
    console = Console()
    with StopSignals() as stop:
        result = train(load_config(config, overrides or []), console=console, stop=stop)
    if result.finished:
        console.print(summary(result), f"checkpoint, history and metrics: {result.out}")
    else:
        console.print(f"the same command goes on from {result.out}")


def summary(result: TrainResult) -> Table:
    """What the run reached, against what it had to beat."""
    table = Table("", "nRMSE on the dense validation grid")
    rows = {"untrained": result.untrained_nrmse, "no change": result.persistence_nrmse, "trained": result.valid_nrmse}
    for name, value in rows.items():
        if value is not None:
            table.add_row(name, f"{value:.4f}")
    return table


if __name__ == "__main__":
    run(app)
