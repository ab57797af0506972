"""`ups-data quickstart`."""

from pathlib import Path
from typing import Annotated

import typer

from ups_data.errors import UpsDataError


def quickstart(
    data: Annotated[Path | None, typer.Option(help="A file of simulations, instead of simulating some.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for everything; must be new or empty.")] = Path("runs/quickstart"),
    overrides: Annotated[
        list[str] | None, typer.Argument(help="section.key=value for the configuration `quickstart`.")
    ] = None,
) -> None:
    """Simulate, convert, train and plot in three minutes.

    Trains twice, on all points and on a tenth of them, and compares the two.
    """
    if out.exists() and any(out.iterdir()):
        raise UpsDataError(f"{out} is not empty: remove it, or choose another --out")
    import time
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise UpsDataError('the pictures need matplotlib: pip install "ups_data[demo]"')
    from rich.console import Console

    from ups_data.cli.tables.throughput import several
    from ups_data.cli.tables.training import comparison
    from ups_data.cli.tour import RATIOS, convert_simulations, draw_tour, measure_loaders, train_runs
    from ups_data.errors import shown

    out.mkdir(parents=True, exist_ok=True)
    begun, console = time.perf_counter(), Console(emoji=False)
    console.rule("1. simulation files and shards")
    root = convert_simulations(out, data)
    console.rule("2. loader")
    console.print(several("loader, batches of 8, files in the page cache", measure_loaders(root)))
    console.rule("3. training")
    histories = train_runs(root, out, overrides or [], lambda name: console.print(f"[bold]{name}[/bold]"))
    console.rule("4. results")
    console.print(comparison(histories))
    files = {"shards": "the dataset", **{f"train-{r:g}": f"checkpoint and history, {n}" for n, r in RATIOS.items()}}
    files |= draw_tour(root, out, histories)
    console.print(f"took {time.perf_counter() - begun:.0f} s; everything is in {shown(out)}:")
    for file, what in files.items():
        console.print(f"  {file:14s} {what}")
