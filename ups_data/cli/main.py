"""`ups-data`: every command in one program.

Commands import what they need when they run: `ups-data --help` loads neither torch nor zarr.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from ups_data.cli.commands.bench import bench
from ups_data.cli.commands.convert import convert
from ups_data.cli.commands.evaluate import evaluate
from ups_data.cli.commands.importance import importance
from ups_data.cli.commands.inspect import inspect
from ups_data.cli.commands.latents import latents
from ups_data.cli.commands.points.noise import noise, suggest_points
from ups_data.cli.commands.predict import predict
from ups_data.cli.commands.quickstart import quickstart
from ups_data.cli.commands.runs.report import report
from ups_data.cli.commands.sharing.card import card
from ups_data.cli.commands.sharing.export import export
from ups_data.cli.commands.simulate import simulate
from ups_data.cli.commands.storage.cache import cache
from ups_data.cli.commands.storage.copy import copy
from ups_data.cli.commands.storage.merge import merge
from ups_data.cli.commands.storage.seal import seal
from ups_data.cli.commands.train import train
from ups_data.cli.commands.verify import verify
from ups_data.cli.errors import new_app, run

COMMANDS = (
    *(convert, inspect, card, verify, copy, merge, export),
    *(train, evaluate, predict, report, latents, noise, suggest_points),
    *(importance, seal, cache, bench, simulate),
    quickstart,
)

app = new_app()
for command in COMMANDS:
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            print(f"ups-data {version('ups_data')}")
        except PackageNotFoundError:
            print("ups-data, not installed: run from a checkout")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Turns simulations into datasets, and trains neural operators on subsets of their points."""


def main() -> None:
    """Run the command that the process was started with."""
    run(app, "ups-data")
