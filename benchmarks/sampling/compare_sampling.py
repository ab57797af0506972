"""Trains one configuration with points chosen in several ways, and says what each way costs and reaches.

`compare_sampling.py configs/compare_burgers.yaml data.root=DIR --modes uniform,stratified,importance:error --ratios
0.3,0.1 --also "stratified cosine:1.0:0.2" --seeds 0,1,2 --out DIR`. Dense training is always among them. The same
command goes on where it was interrupted, run by run; without costs.json it only measures what steps take again.

With `--budget SECONDS` every way trains for as long: `--budget 60 --to-dense --batch-sizes 1,4 --rates 0.5,1,2`. What a
step takes is timed first (`--time-only` ends there), or read from `--step-seconds FILE`.
"""

import json
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, `benchmarks` is not on the path

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.sampling.comparison import Variant, compare, configs_of, costs_of, variants
from benchmarks.sampling.comparison_auto import check_named
from benchmarks.sampling.comparison_budget import HEADER as EQUAL_TIME
from benchmarks.sampling.comparison_budget import Budget, as_json, kept_costs, read_step_seconds, with_batch_sizes
from benchmarks.sampling.comparison_table import HEADER, markdown, rows
from benchmarks.sampling.comparison_times import Costs
from ups_data.cli.errors import run
from ups_data.cli.tables.sheet import Sheet
from ups_data.errors import UpsDataError

app = typer.Typer(add_completion=False, help=__doc__)

MODES = "uniform,stratified,blocks,importance:gradient,importance:error"


@app.command()
def main(
    config: Annotated[Path, typer.Argument(help="YAML file; configs/ has some.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="section.key=value, for example data.root=DIR.")] = None,
    modes: Annotated[
        str, typer.Option(help="importance:METRIC names the metric; stratified=0.7+importance=0.3:error is a mixture.")
    ] = MODES,
    ratios: Annotated[
        str, typer.Option(help="Numbers, or schedules over the run: cosine:1.0:0.2.")
    ] = "0.5,0.3,0.1,0.05",
    also: Annotated[str, typer.Option(help="Further ones: 'MODE RATIO' or 'MODE RATIO BATCH', with commas.")] = "",
    dense_epochs: Annotated[
        str, typer.Option(help="Lengths of further dense runs: what dense training reaches when time is short.")
    ] = "",
    seeds: Annotated[str, typer.Option(help="Of model, order and points.")] = "0,1,2",
    out: Annotated[Path, typer.Option(help="Receives table.md, curves.png, costs.json and every run.")] = Path(
        "runs/comparison"
    ),
    rounds: Annotated[int, typer.Option(min=1, help="Steps of each way that are timed, in turn, after all runs.")] = 25,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once; they share the machine's cores.")] = 1,
    budget: Annotated[
        float | None, typer.Option(help="Seconds of training for each run, instead of the configuration's epochs.")
    ] = None,
    to_dense: Annotated[
        bool, typer.Option("--to-dense", help="With --budget: in which part of it is dense training's error reached?")
    ] = False,
    curves: Annotated[
        bool, typer.Option("--curves", help="With --budget: shorter runs of every way, and a picture of them.")
    ] = False,
    batch_sizes: Annotated[str, typer.Option(help="With --budget: every way with each of them.")] = "",
    rates: Annotated[
        str, typer.Option(help="With --budget: learning rates, times the configuration's, that every way is tuned on.")
    ] = "0.5,1,2",
    step_seconds: Annotated[
        Path | None, typer.Option(help="With --budget: JSON, way → seconds of a step, which is then not timed.")
    ] = None,
    time_only: Annotated[
        bool, typer.Option("--time-only", help="With --budget: time the steps, train nothing.")
    ] = False,
) -> None:
    console = Console()
    chosen = variants(parts(modes), parts(ratios), parts(also), whole(dense_epochs, "--dense-epochs"))
    check_named(chosen, budget)
    if budget is not None:
        sizes, factors = whole(batch_sizes, "--batch-sizes"), numbers(rates, "--rates")
        chosen = with_batch_sizes([variant for variant in chosen if variant.epochs is None], sizes)
        of_runs = (config, overrides or [], chosen, whole(seeds, "--seeds"), budget, out)
        costs = timed(of_runs, console, rounds, step_seconds)
        if not time_only:
            compare_at_equal_time(of_runs, console, costs, jobs, factors, to_dense=to_dense, curves=curves)
        return
    if to_dense or curves or batch_sizes or step_seconds or time_only:
        raise UpsDataError(
            "--to-dense, --curves, --batch-sizes, --step-seconds and --time-only are for runs of equal time: give "
            "--budget SECONDS too"
        )
    configs = configs_of(config, overrides or [], chosen, whole(seeds, "--seeds"), out)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(""))
    with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[running]}"), console=console) as bar:
        task = bar.add_task(f"{len(configs)} runs", total=None, running="")
        records = compare(
            configs,
            jobs=jobs,
            progress=lambda done, total, running: bar.update(task, completed=done, total=total, running=running),
        )
        task = bar.add_task("steps timed", total=None, running="")
        costs = costs_of(
            configs,
            out / "costs.json",
            rounds=rounds,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    found = rows(records, costs)
    (out / "table.md").write_text(markdown(found))
    draw(records, costs, out / "curves.png")
    title = f"{config.name}, {records[0]['epochs'][0]['steps']} steps an epoch"
    table = Sheet(*HEADER, title=title, folds=HEADER[:1])
    for row in found:
        table.add_row(*row.cells())
    console.print(table, f"{out}: table.md, curves.png, costs.json, runs")


Runs = tuple[Path, list[str], list[Variant], list[int], float, Path]


def timed(of_runs: Runs, console: Console, rounds: int, step_seconds: Path | None) -> Costs:
    """`--budget`: what a step of each way takes, also in costs.json."""
    config, overrides, chosen, *_, out = of_runs
    given = None if step_seconds is None else read_step_seconds(step_seconds)
    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console) as bar:
        task = bar.add_task("steps timed", total=None)
        return kept_costs(
            config,
            overrides,
            chosen,
            out,
            rounds=rounds,
            given=given,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def compare_at_equal_time(
    of_runs: Runs, console: Console, costs: Costs, jobs: int, rates: list[float], *, to_dense: bool, curves: bool
) -> None:
    """`--budget`: the table, the same as budget.json, and a picture."""
    config, *_, seconds, out = of_runs
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(""))
    with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[running]}"), console=console) as bar:
        task = bar.add_task("steps", total=None, running="")
        made = Budget(
            *of_runs,
            costs,
            rates=rates,
            jobs=jobs,
            progress=lambda done, total, running: bar.update(task, completed=done, total=total, running=running),
        )
        found = made.rows(to_dense=to_dense, curves=curves)
    (out / "table.md").write_text(markdown(found, EQUAL_TIME))
    (out / "budget.json").write_text(json.dumps({"seconds": seconds, "rows": as_json(found)}, indent=1))
    if curves:
        draw_lengths([out / "budget.json"], out / "curves.png")
    table = Sheet(*EQUAL_TIME, title=f"{config.name}, {seconds:g} s of training each", folds=EQUAL_TIME[:1])
    for row in found:
        table.add_row(*row.cells())
    console.print(table, f"{out}: table.md, budget.json, costs.json, runs")


def numbers(text: str, option: str) -> list[float]:
    """`0.5,1` as a list.

    Raises:
        UpsDataError: they are none, or not above 0.
    """
    try:
        found = [float(part) for part in parts(text)]
    except ValueError:
        found = []
    if not found or not all(0 < number < math.inf for number in found):
        raise UpsDataError(f"{option} {text!r}: give numbers above 0, such as 0.5,1,2")
    return found


def parts(text: str) -> list[str]:
    """What stands between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def whole(text: str, option: str) -> list[int]:
    """`0,1,2` as a list."""
    try:
        return [int(part) for part in parts(text)]
    except ValueError:
        raise UpsDataError(f"{option} {text!r}: give whole numbers, such as 1,2") from None


def draw_lengths(tables: list[Path], path: Path) -> None:
    from benchmarks.sampling.budget_plot import plot_lengths

    plot_lengths(tables, path)


def draw(records: list[dict], costs: Costs, path: Path) -> None:
    from benchmarks.sampling.comparison_plot import plot_comparison

    plot_comparison(records, costs, path)


if __name__ == "__main__":
    run(app)
