"""What comparing chunks with their checksums costs: epochs with verify = never, first and always, in turn; and how soon
a loader of many shards hands out its first batch. Everything is made in a temporary folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, `benchmarks` is not on the path

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks.loader.bench_report import machine
from benchmarks.loader.bench_workloads import smooth_frames
from ups_data import QueryLoader, QuerySampling, ShardWriter
from ups_data.cli.errors import run
from ups_data.cli.tables.sheet import Sheet
from ups_data.schema import Manifest

app = typer.Typer(add_completion=False, help=__doc__)

MODES = ("never", "first", "always")
CODECS = ("none", "lz4")


@dataclass(frozen=True)
class Sizes:
    """Of the grid's frames, and of one trajectory of the dataset of many shards.

    Attributes:
        copies: every trajectory is stored so many times.
        pool_bytes: less than the decoded frames take: every epoch decodes them all.
        seconds: of later epochs in one round; they are whole.
    """

    grid: tuple[int, int]
    trajectories: int
    steps: int
    copies: int
    pool_bytes: int
    seconds: float
    batch: int
    ratio: float = 0.1


FULL = Sizes((128, 128), 12, 21, copies=4, pool_bytes=32 << 20, seconds=0.3, batch=16)
SMALL = Sizes((32, 32), 3, 6, copies=2, pool_bytes=1 << 16, seconds=0.01, batch=4)


@dataclass
class Rates:
    """Samples per second, round by round: of a new loader's first epoch, and of the epochs after it."""

    first_epoch: list[float] = field(default_factory=list)
    later_epochs: list[float] = field(default_factory=list)


@app.command()
def main(
    rounds: Annotated[int, typer.Option(min=1, help="Every mode runs once per round; medians count.")] = 7,
    shards: Annotated[int, typer.Option(min=1, help="Of the dataset whose first batch is timed.")] = 1000,
    threads: Annotated[int | None, typer.Option(help="Of the loader; default: its own.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure into this file.")] = None,
    small: Annotated[bool, typer.Option("--small", help="Tiny sizes: does it run? The figures mean nothing.")] = False,
) -> None:
    sizes, console = SMALL if small else FULL, Console()
    report: dict[str, Any] = {"machine": machine(), "sizes": asdict(sizes), "rounds": rounds, "codecs": {}}
    steps = len(CODECS) * (1 + rounds * len(MODES)) + shards + rounds
    with tempfile.TemporaryDirectory() as folder, Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("measuring", total=steps)
        for codec in CODECS:
            root = Path(folder) / codec
            write_frames(root, sizes, codec)
            bar.advance(task)
            rates = measure(root, sizes, rounds, threads, lambda: bar.advance(task))
            report["codecs"][codec] = {mode: asdict(rates[mode]) for mode in MODES}
            console.print(table_of(codec, rates))
        root = Path(folder) / "many"
        write_many(root, shards, lambda: bar.advance(task))
        seconds = [first_batch(root, threads, lambda: bar.advance(task)) for _ in range(rounds)]
    report["first_batch"] = {"shards": shards, "seconds": seconds}
    console.print(
        f"first batch of {shards:,} shards, the loader made and its files warm: {median(seconds):.3f} s, "
        f"at most {max(seconds):.3f} s of {rounds} times",
        highlight=False,
    )
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=1) + "\n")
        console.print(f"figures in {json_file}", highlight=False)


def write_frames(root: Path, sizes: Sizes, codec: str) -> None:
    """Smooth fields of four channels."""
    with ShardWriter(root, codec=codec) as writer:
        for number in range(sizes.trajectories):
            frames = smooth_frames(np.random.default_rng(number), sizes.steps, sizes.grid, 4)
            for _ in range(sizes.copies):
                writer.add({"u": frames})


def write_many(root: Path, shards: int, copied: Callable[[], object]) -> None:
    """Copies of a shard of one trajectory: four frames of 8 × 8."""
    with ShardWriter(root) as writer:
        writer.add({"u": np.random.default_rng(0).standard_normal((4, 8, 8, 1)).astype(np.float32)})
    manifest = Manifest.load(root)
    split = manifest.split("train")
    (first,) = split.shards
    specs = [first.model_copy(update={"path": f"train/shard-{number:06d}.zarr"}) for number in range(shards)]
    for spec in specs:
        if spec.path != first.path:
            shutil.copytree(root / first.path, root / spec.path)
        copied()
    split = split.model_copy(update={"shards": specs})
    manifest.model_copy(update={"splits": {"train": split}}).save(root)


def measure(root: Path, sizes: Sizes, rounds: int, threads: int | None, done: Callable[[], object]) -> dict[str, Rates]:
    """The modes in turn, each round in another order; what the first loader reads is warm for all."""
    rates = {mode: Rates() for mode in MODES}
    epoch(loader(root, sizes, "always", threads))
    for number in range(rounds):
        for place in range(len(MODES)):
            mode = MODES[(number + place) % len(MODES)]
            source = loader(root, sizes, mode, threads)
            samples, seconds = epoch(source)
            rates[mode].first_epoch.append(samples / seconds)
            samples, seconds = 0, 0.0
            while seconds < sizes.seconds:
                more, longer = epoch(source)
                samples, seconds = samples + more, seconds + longer
            rates[mode].later_epochs.append(samples / seconds)
            done()
    return rates


def loader(root: Path, sizes: Sizes, mode: str, threads: int | None) -> QueryLoader:
    return QueryLoader(
        root,
        split="train",
        batch_size=sizes.batch,
        sampling=QuerySampling(ratio=sizes.ratio),
        threads=threads,
        pool_bytes=sizes.pool_bytes,
        verify=mode,  # type: ignore[arg-type]
    )


def epoch(source: QueryLoader) -> tuple[int, float]:
    """Samples, and the seconds that they took."""
    begun = time.perf_counter()
    samples = sum(len(batch) for batch in source)
    return samples, time.perf_counter() - begun


def first_batch(root: Path, threads: int | None, done: Callable[[], object]) -> float:
    """Seconds from making a loader to having its first batch of 16 samples, or as many as there are."""
    begun = time.perf_counter()
    source = QueryLoader(
        root, split="train", batch_size=16, drop_last=False, sampling=QuerySampling(ratio=0.5), threads=threads
    )
    next(iter(source))
    seconds = time.perf_counter() - begun
    done()
    return seconds


def table_of(codec: str, rates: dict[str, Rates]) -> Sheet:
    """Medians; what a mode costs is the median of its rounds' shares of time, against `never` in the same round."""
    headers = ("verify", "first epoch", "slower by", "later epochs", "slower by")
    table = Sheet(*headers, title=f"codec {codec}, samples/s", text=("verify",))
    for mode in MODES:
        cells = []
        for part in ("first_epoch", "later_epochs"):
            mine, never = getattr(rates[mode], part), getattr(rates["never"], part)
            slower = median(n / m - 1 for n, m in zip(never, mine, strict=True))
            cells += [f"{median(mine):,.0f}", "" if mode == "never" else f"{slower:.1%}"]
        table.add_row(mode, *cells)
    return table


if __name__ == "__main__":
    run(app)
