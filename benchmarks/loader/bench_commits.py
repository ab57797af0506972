"""This loader against that of another checkout, and short epochs against long ones, in turn.

    python benchmarks/loader/bench_commits.py --other ~/old --other-python ~/old-venv/bin/python
    python benchmarks/loader/bench_commits.py --other ~/old --other-python ~/old-venv/bin/python --start
    python benchmarks/loader/bench_commits.py --epochs

Every figure is the median of the ratios of rounds that alternate; each run is a process of its own.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, `benchmarks` is not on the path

import json
import os
import subprocess
from collections.abc import Iterator
from statistics import median
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.progress import track

from benchmarks.loader.bench_loader import CACHE
from benchmarks.loader.bench_workloads import CLOUD_PASSES, FULL, Case

app = typer.Typer(add_completion=False, help=__doc__)
ROOT, ONE = Path(__file__).parents[2], Path(__file__).with_name("one_rate.py")
START = Path(__file__).with_name("one_start.py")
LONG_EPOCHS = {"grid2d": 16, "points": CLOUD_PASSES}  # repeats of each sample


class Run(NamedTuple):
    """What is measured: a dataset, and the options of its loader."""

    name: str
    root: Path
    options: dict[str, Any]
    sampling: dict[str, Any]


@app.command()
def main(
    other: Annotated[Path | None, typer.Option(help="Another checkout of this project.")] = None,
    other_python: Annotated[str, typer.Option(help="The Python that it is installed in.")] = sys.executable,
    epochs: Annotated[bool, typer.Option("--epochs", help="Short epochs against long ones, of this checkout.")] = False,
    codecs: Annotated[str, typer.Option(help="One after another.")] = "none,lz4",
    blocks: Annotated[int, typer.Option(help="Of grids that are stored in blocks.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, help="Each of both sides.")] = 5,
    seconds: Annotated[float, typer.Option(help="Of a run, at least.")] = 4.0,
    cache: Annotated[Path, typer.Option(help="Where bench_loader.py keeps its data.")] = CACHE,
    only: Annotated[str, typer.Option(help="Names of workloads that are measured; all by default.")] = "",
    start: Annotated[bool, typer.Option("--start", help="Import and first batch, in place of rates.")] = False,
) -> None:
    """Print a ratio for each workload."""
    console = Console()
    if start:
        assert other is not None
        _starts(
            console, other, other_python, rounds, [run for run in _workloads(cache, codecs, blocks) if only in run.name]
        )
        return
    runs = [run for run in (_short(cache) if epochs else _workloads(cache, codecs, blocks)) if only in run.name]
    for run in runs:
        rates: list[tuple[float, float]] = []
        for _ in track(range(rounds), run.name, console=Console(stderr=True), transient=True):
            if epochs:
                long = {**run.options, "repeats": LONG_EPOCHS[run.name]}
                rates.append(
                    (_rate(ROOT, sys.executable, run, seconds), _rate(ROOT, sys.executable, run, seconds, long))
                )
            else:
                assert other is not None
                rates.append((_rate(ROOT, sys.executable, run, seconds), _rate(other, other_python, run, seconds)))
        ratios = [ours / theirs for ours, theirs in rates]
        ours, theirs = (median(side) for side in zip(*rates, strict=True))
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
        console.print(f"{run.name:28} {ours:9.0f} / {theirs:9.0f} samples/s  ratio {median(ratios):.3f}  ({spread})")


def _starts(console: Console, other: Path, other_python: str, rounds: int, runs: list[Run]) -> None:
    """Seconds to import and to a first batch, ours over the other's: below 1 is faster."""
    for run in runs:
        sides: tuple[list[list[float]], list[list[float]]] = ([], [])
        for _ in range(rounds):
            for side, checkout, python in zip(sides, (ROOT, other), (sys.executable, other_python), strict=True):
                command = [python, str(START), str(run.root), json.dumps(run.options), json.dumps(run.sampling)]
                said = _said(command, checkout).split()
                side.append([*map(float, said), sum(map(float, said))])
        for number, what in enumerate(("import", "first batch", "both")):
            ours, theirs = ([took[number] for took in side] for side in sides)
            ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
            spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
            took = f"{median(ours):.3f} / {median(theirs):.3f} s"
            console.print(f"{run.name:22} {what:11} {took}  {median(ratios):.3f}  ({spread})")


def _rate(checkout: Path, python: str, run: Run, seconds: float, options: dict[str, Any] | None = None) -> float:
    given = json.dumps(run.options if options is None else options)
    command = [python, str(ONE), str(run.root), given, json.dumps(run.sampling), str(seconds)]
    return float(_said(command, checkout))


def _said(command: list[str], checkout: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, cwd=checkout)
    return done.stdout


def _options(case: Case) -> dict[str, Any]:
    return {
        "split": case.split,
        "batch_size": case.batch,
        "horizon": case.horizon,
        "input_queries": False,
        "inputs": case.draws_inputs,
        "repeats": CLOUD_PASSES if case.draws_inputs else 1,
    }


def _workloads(cache: Path, codecs: str, blocks: int) -> Iterator[Run]:
    from benchmarks.loader.bench_files import make_workload

    for codec in codecs.split(","):
        for name, workload in FULL.items():
            case = make_workload(workload, cache, codec, blocks, peers=False)
            mode = "blocks" if case.draws_inputs else "stratified"
            sampling = {"num_queries": case.queries, "mode": mode}
            yield Run(f"{name} {codec}", case.dataset, _options(case), sampling)
            if case.blocked is not None:
                yield Run(
                    f"{name} {codec}, {blocks} blocks", case.blocked, _options(case), {**sampling, "mode": "blocks"}
                )


def _short(cache: Path) -> Iterator[Run]:
    from benchmarks.loader.bench_files import make_workload

    for name in LONG_EPOCHS:
        case = make_workload(FULL[name], cache, "none", peers=False)
        mode = "blocks" if case.draws_inputs else "stratified"
        yield Run(name, case.dataset, {**_options(case), "repeats": 1}, {"num_queries": case.queries, "mode": mode})


if __name__ == "__main__":
    from ups_data.cli.errors import run as run_app

    run_app(app)
