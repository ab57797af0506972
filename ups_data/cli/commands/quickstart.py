"""`ups-data quickstart`."""

from pathlib import Path
from typing import Annotated

import typer

from ups_data.errors import UpsDataError

PROBLEMS = ("diffusion-reaction", "airfoils")


def quickstart(
    data: Annotated[Path | None, typer.Option(help="A file of simulations, instead of simulating some.")] = None,
    problem: Annotated[str, typer.Option(help="diffusion-reaction, or airfoils: meshes.")] = "diffusion-reaction",
    out: Annotated[Path, typer.Option(help="Folder for everything; must be new or empty.")] = Path("runs/quickstart"),
    overrides: Annotated[
        list[str] | None, typer.Argument(help="section.key=value for the configuration that is trained.")
    ] = None,
) -> None:
    """Simulate, convert, train and plot in three minutes.

    diffusion-reaction: trains twice, on all points and on a tenth of them, and compares the two. airfoils: trains on a
    tenth of the points of surface and volume meshes, and predicts whole ones.
    """
    if problem not in PROBLEMS:
        raise UpsDataError(f"--problem {problem!r}: choose one of {', '.join(PROBLEMS)}")
    if problem == "airfoils" and data is not None:
        raise UpsDataError("--data is for diffusion-reaction: leave it out, or convert and train step by step")
    if out.exists() and any(out.iterdir()):
        raise UpsDataError(f"{out} is not empty: remove it, or choose another --out")
    import time
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise UpsDataError('the pictures need matplotlib: pip install "ups_data[demo]"')
    if problem == "airfoils":
        if find_spec("vtk") is None:
            raise UpsDataError('meshes are read by vtk: pip install "ups_data[demo,mesh]"')
        _airfoils(out, overrides or [])
        return
    from rich.console import Console

    from ups_data.cli.tables.throughput import several
    from ups_data.cli.tables.training import comparison
    from ups_data.cli.tours.diffusion_reaction import (
        RATIOS,
        convert_simulations,
        draw_tour,
        fitting_steps,
        measure_loaders,
        train_runs,
    )
    from ups_data.errors import shown

    out.mkdir(parents=True, exist_ok=True)
    begun, console = time.perf_counter(), Console(emoji=False)
    console.rule("1. simulation files and shards")
    root = convert_simulations(out, data)
    console.rule("2. loader")
    console.print(several("loader, batches of 8, files in the page cache", measure_loaders(root)))
    console.rule("3. training")
    options = overrides or []
    steps, planned, seconds = fitting_steps(root, options)
    if steps < planned:
        console.print(
            f"A dense step takes {seconds:.2f} s here: {steps} steps each instead of {planned}, so that the tour takes "
            f"three minutes. All of them: ups-data train quickstart data.root={shown(root)}"
        )
        # Few epochs are left: each is validated, so that there is a curve.
        options = [*options, f"training.max_steps={steps}", "training.validate_every=1"]
    histories = train_runs(root, out, options, lambda name: console.print(f"[bold]{name}[/bold]"))
    console.rule("4. results")
    console.print(comparison(histories))
    files = {"shards": "the dataset", **{f"train-{r:g}": f"checkpoint and history, {n}" for n, r in RATIOS.items()}}
    files |= draw_tour(root, out, histories)
    console.print(f"took {time.perf_counter() - begun:.0f} s; everything is in {shown(out)}:")
    for file, what in files.items():
        console.print(f"  {file:14s} {what}")


def _airfoils(out: Path, overrides: list[str]) -> None:
    import time

    from rich.console import Console

    from ups_data.cli.tours.airfoils import draw_airfoils, evaluate_airfoils, make_airfoils, train_airfoils
    from ups_data.errors import shown

    out.mkdir(parents=True, exist_ok=True)
    begun, console = time.perf_counter(), Console(emoji=False)
    console.rule("1. meshes and shards")
    root = make_airfoils(out)
    console.rule("2. training on a tenth of the points")
    history = train_airfoils(root, out, overrides)
    console.rule("3. whole test meshes")
    evaluate_airfoils(out)
    files = {"simulation": "VTK files, for ParaView", "shards": "the dataset", "train": "checkpoint and history"}
    files |= {"evaluation.json": "every measure"} | draw_airfoils(out, history)
    console.print(f"took {time.perf_counter() - begun:.0f} s; everything is in {shown(out)}:")
    for file, what in files.items():
        console.print(f"  {file:16s} {what}")
