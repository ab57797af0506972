"""Times this loader at several ratios: what a sample costs, and what its queries cost."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, `benchmarks` is not on the path

import time
from statistics import median
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.loader.bench_loader import CACHE
from benchmarks.loader.bench_workloads import FULL, SMALL

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    ratios: Annotated[str, typer.Option(help="Queries ÷ points, one after another.")] = "0.5,0.2,0.1,0.05,0.02",
    mode: Annotated[str, typer.Option(help="How points are drawn.")] = "stratified",
    threads: Annotated[int | None, typer.Option(help="Of the loader; default: its own.")] = None,
    cache: Annotated[Path, typer.Option(help="Where bench_loader.py keeps its data.")] = CACHE,
    rounds: Annotated[int, typer.Option(min=1, help="Every ratio runs once per round; medians count.")] = 5,
    small: Annotated[bool, typer.Option("--small", help="Tiny sizes: does it run?")] = False,
) -> None:
    from benchmarks.loader.bench_files import make_workload
    from ups_data import QueryLoader, QuerySampling
    from ups_data.cli.tables.sheet import Sheet

    case = make_workload((SMALL if small else FULL)["grid2d"], cache, "none")
    points = case.frames().shape[1]
    counts = [1, *(max(1, round(float(ratio) * points)) for ratio in ratios.split(","))]
    loaders = {
        count: QueryLoader(
            case.dataset,
            split=case.split,
            batch_size=case.batch,
            sampling=QuerySampling(num_queries=count, mode=mode),  # type: ignore[arg-type]
            threads=threads,
            input_queries=False,
        )
        for count in counts
    }
    seconds: dict[int, list[float]] = {count: [] for count in counts}
    for number in range(rounds + 1):
        for count, loader in loaders.items():
            begun = time.perf_counter()
            samples = sum(len(batch) for batch in loader)
            if number:  # the first round opens files and fills caches
                seconds[count].append((time.perf_counter() - begun) / samples)
    headers = ("queries", "ratio", "µs per sample", "of that, queries", "ns per query")
    table = Sheet(*headers, title=f"grid2d, {points:,} points, mode {mode}")
    base = median(seconds[1])
    for count in counts:
        whole = median(seconds[count])
        cost = whole - base
        table.add_row(
            f"{count:,}",
            f"{count / points:.2g}",
            f"{whole * 1e6:.1f}",
            f"{cost * 1e6:.1f}",
            f"{cost / count * 1e9:.1f}",
        )
    Console().print(table)


if __name__ == "__main__":
    from ups_data.cli.errors import run

    run(app)
