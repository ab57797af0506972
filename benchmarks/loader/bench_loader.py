"""Times this loader against the limit of one process and against other loaders, on grids and points."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, `benchmarks` is not on the path

import json
import os
from contextlib import ExitStack
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.loader.bench_process import Measured
from benchmarks.loader.bench_report import Measurement, figures, machine, table_of
from benchmarks.loader.bench_workloads import FULL, SMALL, Case

# ups_data is imported late: every measured process imports this module, and the limit needs no torch.

app = typer.Typer(add_completion=False, help=__doc__)

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ups_data" / "bench"
ROUND_SECONDS, SMALL_ROUND_SECONDS = 1.0, 0.02
OURS = ("ups_data", "in blocks")


@app.command()
def main(
    workload: Annotated[str, typer.Option(help="grid2d, grid3d, points, or all.")] = "all",
    data: Annotated[Path | None, typer.Option(help="Your own dataset (make_shards.py) instead of a workload.")] = None,
    codec: Annotated[str, typer.Option(help="none, lz4 or zstd; your own dataset has its own.")] = "none",
    blocks: Annotated[int, typer.Option(min=1, help="On grids: this loader also on shards of blocks.")] = 1,
    threads: Annotated[int | None, typer.Option(help="Of this loader; default: its own.")] = None,
    num_workers: Annotated[int, typer.Option(min=0, help="Worker processes of this loader.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure into this file.")] = None,
    cache: Annotated[
        Path, typer.Option(help="Where the data are made and kept: 4 GB, and 4 more per compressed codec.")
    ] = CACHE,
    rounds: Annotated[int, typer.Option(min=1, help="Every system runs once per round; medians count.")] = 5,
    small: Annotated[bool, typer.Option("--small", help="Tiny sizes: does it run? The figures mean nothing.")] = False,
    store: Annotated[str, typer.Option(help="http: a web server on this machine; folder: local files.")] = "folder",
    latency: Annotated[float, typer.Option(help="Of the web server, in seconds.")] = 0.03,
    store_cache: Annotated[Path | None, typer.Option(help="The second epoch out of a cache in that folder.")] = None,
    pack: Annotated[bool, typer.Option("--pack", help="From a web server: points in packs.")] = False,
    cold: Annotated[bool, typer.Option("--cold", help="Local files that are not in memory.")] = False,
) -> None:
    from benchmarks.loader.bench_files import make_workload, open_dataset

    if store not in ("folder", "http"):
        raise typer.BadParameter(f"--store {store}: choose folder or http")
    if store == "http" or cold:
        from benchmarks.remote.bench_store import main as bench_store

        for name in FULL if workload == "all" else [workload]:
            given = {"pack": pack, "cache": store_cache, "cold": cold, "rounds": rounds, "data": cache, "small": small}
            bench_store(name, latency, **given, consume=0, shards=0, others=True, json_file=json_file)
        return

    sizes = SMALL if small else FULL
    check(workload, codec)
    console = Console()
    console.print(f"data in {cache}", highlight=False)
    options = {"rounds": rounds, "blocks": blocks, "threads": threads, "num_workers": num_workers, "small": small}
    report: dict[str, Any] = {"machine": machine(), "options": options, "workloads": {}}
    for name in [str(data)] if data is not None else list(sizes) if workload == "all" else [workload]:
        case = open_dataset(data, cache) if data is not None else make_workload(sizes[name], cache, codec, blocks)
        results = measure(case, rounds, SMALL_ROUND_SECONDS if small else ROUND_SECONDS, threads, num_workers)
        systems = figures(results)
        console.print(table_of(title(name, case), systems))
        report["workloads"][name] = {"codec": case.codec, **sample_of(case), "systems": systems}
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=1) + "\n")
        console.print(f"figures in {json_file}", highlight=False)


def check(workload: str, codec: str) -> None:
    from ups_data import UpsDataError

    for option, value, known in (("workload", workload, (*FULL, "all")), ("codec", codec, ("none", "lz4", "zstd"))):
        if value not in known:
            raise UpsDataError(f"--{option} {value!r}: choose one of {', '.join(known)}")


def systems_of(case: Case) -> list[str]:
    """What is measured: on the user's own dataset, only what needs no other copy than a zarr store."""
    if case.draws_inputs:
        return ["cloud limit", "ups_data", "memmap", "zarr chunks"]
    ours = ["ups_data"] if case.blocked is None else ["ups_data", "in blocks"]
    return ["limit", *ours, "zarr"] if case.name == "data" else ["limit", *ours, "memmap", "webdataset", "zarr"]


def measure(case: Case, rounds: int, seconds: float, threads: int | None, num_workers: int) -> dict[str, Measurement]:
    """Start every system, then let them take turns."""
    results = {}
    with ExitStack() as stack:
        running = []
        for system in systems_of(case):
            running.append(Measured(system, case, *((threads, num_workers) if system in OURS else ())))
            stack.callback(running[-1].close)
        for process in running:
            process.wait_ready()
        for process in running:
            start = process.start()
            results[process.system] = Measurement(start, (process.memory_before, *process.run_watched(seconds)))
        for _ in range(rounds):
            for process in running:
                results[process.system].rounds.append(process.run(seconds))
    return results


def sample_of(case: Case) -> dict[str, Any]:
    """What a sample of this case is."""
    shape = case.frames().shape
    return {
        "frames": shape[0],
        "points": shape[1],
        "channels": shape[2],
        "samples": len(case.samples),
        "queries": case.queries,
        "horizon": case.horizon,
        "batch_size": case.batch,
    }


def title(name: str, case: Case) -> str:
    s = sample_of(case)
    what = f"{s['frames']:,} frames of {s['points']:,} points × {s['channels']} channels, {s['queries']:,} queries"
    return f"{name}: {what}, batches of {s['batch_size']}, codec {case.codec}"


if __name__ == "__main__":
    from ups_data.cli.errors import run

    run(app)
