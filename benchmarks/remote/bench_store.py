"""Times this loader on a slow web server, or on cold files, against what the same ranges cost alone and against others.

    python -m benchmarks.remote.bench_store --workload points --latency 0.03

Rounds alternate, each system in a process of its own; medians count. Bytes are those of the server's own log.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.loader.bench_workloads import FULL, SMALL, Case, Workload
from benchmarks.remote.serving import serve
from benchmarks.remote.systems import ranges_of

app = typer.Typer(add_completion=False, help=__doc__)
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ups_data" / "bench"
GRID_BLOCKS = {"grid3d": 64, "grid2d": 1}  # of the grids' datasets here
# The frames of grid2d fit into the pool, so one epoch is all that is fetched.
EPOCHS = {"grid2d": 1, "grid3d": 4, "points": 4}
IN_FLIGHT = (64, 128, 256)
Figures = dict[str, list[dict[str, Any]]]


@app.command()
def main(
    workload: Annotated[str, typer.Option(help="grid2d (w1), grid3d (w2, in blocks) or points (w3).")] = "points",
    latency: Annotated[float, typer.Option(help="Seconds before the first byte of every answer.")] = 0.03,
    pack: Annotated[bool, typer.Option("--pack", help="Of points: the dataset with packs instead.")] = False,
    cache: Annotated[Path | None, typer.Option(help="A second epoch out of a cache there, and local files.")] = None,
    cold: Annotated[bool, typer.Option("--cold", help="Cold local files instead of a server.")] = False,
    consume: Annotated[float, typer.Option(help="Seconds that the loop takes for a batch: shows the wait share.")] = 0,
    shards: Annotated[int, typer.Option(min=0, help="Only the first batch of a dataset of so many shards.")] = 0,
    others: Annotated[bool, typer.Option(help="zarr with 16 threads, and fsspec.")] = True,
    rounds: Annotated[int, typer.Option(min=1, help="Every system once per round; medians count.")] = 5,
    data: Annotated[Path, typer.Option(help="Where the data are made and kept: those of bench_loader.")] = CACHE,
    small: Annotated[bool, typer.Option("--small", help="Tiny sizes: does it run? The figures mean nothing.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure into this file.")] = None,
) -> None:
    if shards:
        show(f"first batch of {shards:,} shards, {latency * 1e3:g} ms", many_shards(shards, latency, rounds, data))
        return
    sizes = (SMALL if small else FULL)[workload]
    case, dataset = made(sizes, data, pack)
    with tempfile.TemporaryDirectory() as folder, serve(data, latency) as (url, log):
        bench = Bench(sizes, case, dataset, data, url, log, Path(folder))
        if cold:
            figures = bench.cold(rounds)
        elif cache is not None:
            figures = bench.cached(cache, rounds)
        elif consume:
            figures = {"ups_data": [bench.loader(log=str(log), options={}, consume=consume) for _ in range(rounds)]}
        else:
            figures = bench.remote(rounds, others)
    show(f"{workload}{' packed' * pack}, {'cold files' if cold else f'{latency * 1e3:g} ms'}", figures)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=1) + "\n")


def made(sizes: Workload, data: Path, pack: bool) -> tuple[Case, Path]:
    """The files of a workload, and the dataset to read."""
    from benchmarks.loader.bench_files import make_workload, write_shards

    blocks = sizes.blocks if sizes.name == "points" else GRID_BLOCKS[sizes.name]
    if sizes.shape[0] < 32:
        blocks = min(blocks, 8)
    case = make_workload(sizes, data, "none", blocks, peers=True)
    dataset = case.blocked or case.dataset
    if pack:
        dataset = dataset.with_name(f"{dataset.name}-packed")
        write_shards(replace(case, dataset=dataset), dataset, sizes.shape, 1, blocks, pack=True)
    return case, dataset


def many_shards(shards: int, latency: float, rounds: int, data: Path) -> "Figures":
    """A first batch, and the requests before the reads of fields."""
    from benchmarks.loader.bench_files import aside
    from ups_data import ShardWriter

    dataset, figures = data / f"shards-{shards}", {}
    with aside(dataset) as path:
        if path is not None:
            frames = np.random.default_rng(0).random((1, 64, 64, 2), np.float32)
            with ShardWriter(path, blocks=16, shard_bytes=1) as writer:
                for _ in range(shards):
                    writer.add({"u": frames})
    for _ in range(rounds):
        with serve(data, latency) as (url, log):
            found = run_system("first_batch", root=f"{url}/{dataset.name}", batch=16)
            paths = [line.split(" ")[1] for line in log.read_text().splitlines()]
            fields = [number for number, path in enumerate(paths) if "/fields/" in path and "/c/" in path]
            add(figures, "ups_data", found | {"requests": len(paths), "before": fields[0], "one": 1})
            add(figures, "requests before its reads", {"samples": fields[0], "seconds": 1, "requests": fields[0]})
    return figures


def run_system(system: str, **told: Any) -> dict[str, Any]:
    """The figures of one run, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.remote.systems", json.dumps({**told, "system": system})]
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


class Bench:
    """One workload on one server."""

    def __init__(
        self, sizes: Workload, case: Case, dataset: Path, data: Path, url: str, log: Path, folder: Path
    ) -> None:
        blocks = sizes.blocks if sizes.name == "points" else GRID_BLOCKS[sizes.name]
        self._log, self._dataset, self._folder, self._data, self._url = log, dataset, folder, data, url
        chunks = "chunks-none" if case.draws_inputs else "store-none.zarr"
        self._given = {
            "url": url,
            "blocks": blocks,
            "epochs": EPOCHS[sizes.name],
            "queries": case.queries,
            "batch": case.batch,
            "horizon": case.horizon,
            "draws_inputs": case.draws_inputs,
            "trajectories": sizes.trajectories,
            "chunks": (case.folder / chunks).relative_to(data).as_posix(),
            "zarr_samples": 24,
            "fsspec_seconds": 3.0,
        }

    def loader(self, root: str | None = None, **more: Any) -> dict[str, Any]:
        """A run of this loader, from the server unless `root` says another place; with the ranges that it fetched."""
        remote = f"{self._url}/{self._dataset.relative_to(self._data).as_posix()}"
        found = self._run("ours", root=root or remote, **more)
        if "end" in found:
            ranges, size = ranges_of(self._log.read_bytes()[found["mark"] : found["end"]])
            (self._folder / "ranges.json").write_text(json.dumps(ranges))
            found |= {"requests": len(ranges), "fetched_bytes": size}
        return found

    def remote(self, rounds: int, others: bool) -> Figures:
        """This loader, the same ranges alone, and others."""
        figures: Figures = {}
        for number in range(rounds):
            mine = self.loader(log=str(self._log))
            add(figures, "ups_data", mine)
            for in_flight in IN_FLIGHT:
                add(figures, f"limit, {in_flight} in flight", self._alone("limit", mine, in_flight=in_flight))
            if others and number < 3:
                add(figures, "zarr, 16 threads", self._run("zarr_threads"))
                if find_spec("fsspec") and find_spec("aiohttp"):
                    add(figures, "fsspec", self._alone("plain_fsspec", mine))
        return figures

    def cold(self, rounds: int) -> Figures:
        """This loader on files that are not in memory, and threads that read the same ranges."""
        wanted = self.loader(log=str(self._log), epochs=1)  # which ranges there are
        prefix = str(self._data)
        figures: Figures = {}
        for _ in range(rounds):
            self._drop()
            add(figures, "ups_data", self._run("ours", root=str(self._dataset), epochs=1))
            self._drop()
            add(figures, "exact ranges, 32 threads", self._alone("exact_reads", wanted, folder=prefix))
        return figures

    def cached(self, cache: Path, rounds: int) -> Figures:
        """The second epoch out of a cache on disk, and local files that are in memory."""
        figures: Figures = {}
        for _ in range(rounds):
            shutil.rmtree(cache, ignore_errors=True)
            add(figures, "cache", self.loader(log=str(self._log), warm_epochs=1, options={"cache": str(cache)}))
            add(figures, "local files", self._run("ours", root=str(self._dataset), warm_epochs=1))
        return figures

    def _alone(self, system: str, of: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self._run(system, ranges=str(self._folder / "ranges.json"), samples=of["samples"], **more)

    def _run(self, system: str, **more: Any) -> dict[str, Any]:
        return run_system(system, **{**self._given, **more})

    def _drop(self) -> None:
        """Have the kernel forget the dataset's files."""
        os.sync()
        for path in self._dataset.rglob("*"):
            if path.is_file():
                with open(path, "rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def add(figures: Figures, system: str, found: dict[str, Any]) -> None:
    figures.setdefault(system, []).append(found)


def show(title: str, figures: Figures) -> None:
    """Medians over rounds."""

    def median(rows: list[dict[str, Any]], name: str, by: str) -> str:
        values = [row[name] / row[by] for row in rows if row.get(by) and name in row]
        return f"{statistics.median(values):,.3g}" if values else ""

    rates = {s: statistics.median(r["samples"] / r["seconds"] for r in rows) for s, rows in figures.items()}
    bounds = [rate for system, rate in rates.items() if system.startswith(("limit", "exact", "local"))]
    columns = (
        "samples/s",
        "of the limit",
        "requests/sample",
        "fetched/used",
        "device/used",
        "first batch s",
        "waiting",
    )
    table = Table("", *columns, title=title)
    for system, rows in figures.items():
        table.add_row(
            system,
            f"{rates[system]:,.1f}",
            f"{rates[system] / max(bounds):.2f}" if bounds else "",
            median(rows, "requests", "samples"),
            median(rows, "fetched_bytes", "used_bytes"),
            median(rows, "device_bytes", "used_bytes"),
            median(rows, "first_batch_seconds", "one"),
            median(rows, "waiting", "one"),
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    from ups_data.cli.errors import run

    run(app)
