"""Trains one configuration with points chosen in several ways, and says what each way costs and reaches.

`compare_sampling.py configs/train_diffusion_reaction.yaml data.root=DIR --modes uniform,stratified,importance:error
--ratios 0.3,0.1,cosine:1.0:0.2 --seeds 0,1,2 --out DIR`. Dense training is always among them. The same command goes on
where it was interrupted, run by run.
"""

from pathlib import Path
from typing import Annotated

import typer
from _cli import run
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ups_data.training.comparison import compare, configs_of, variants
from ups_data.training.comparison_table import HEADER, markdown, rows

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
    seeds: Annotated[str, typer.Option(help="Of model, order and points.")] = "0,1,2",
    out: Annotated[Path, typer.Option(help="Receives table.md, curves.png and every run.")] = Path("runs/comparison"),
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once; they share the machine's cores.")] = 1,
) -> None:
    console = Console()
    chosen = variants(modes.split(","), ratios.split(","))
    configs = configs_of(config, overrides or [], chosen, [int(s) for s in seeds.split(",")], out)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"))
    with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[running]}"), console=console) as bar:
        task = bar.add_task(f"{len(configs)} runs", total=None, running="")
        records = compare(
            configs,
            jobs=jobs,
            progress=lambda done, total, running: bar.update(task, completed=done, total=total, running=running),
        )
    found = rows(records)
    (out / "table.md").write_text(markdown(found))
    draw(records, out / "curves.png")
    table = Table(*HEADER, title=f"{config.name}, {records[0]['epochs'][0]['steps']} steps an epoch")
    for row in found:
        table.add_row(*row.cells())
    console.print(table, f"{out}: table.md, curves.png, runs")


def draw(records: list[dict], path: Path) -> None:
    from ups_data.training.comparison_plot import plot_comparison

    plot_comparison(records, path)


if __name__ == "__main__":
    run(app)
