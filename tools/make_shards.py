"""Converts raw simulations into a dataset of zarr v3 shards. Run again after a kill or an error, it goes on."""

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ups_data.cli.errors import run
from ups_data.conversion.convert import convert
from ups_data.conversion.suggest import Cost, Suggestion, dataset_cost, suggest, trajectory_sizes
from ups_data.conversion.weigh import weigh
from ups_data.errors import UpsDataError
from ups_data.schema import Manifest
from ups_data.sources import open_source

app = typer.Typer(add_completion=False, help=__doc__)
# Rows of the table of a suggestion, around the one to take.
SHOWN = 4


@app.command()
def main(
    source: Annotated[Path, typer.Argument(help="File or folder of simulations; the README lists formats.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the dataset: new, empty, or unfinished.")] = None,
    format: Annotated[str | None, typer.Option(help="Source format, instead of recognising it.")] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Shares by trajectory; default: the source's own splits, or train=0.8,valid=0.1,test=0.1."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of splits, and of the deal of points to blocks.")] = 0,
    codec: Annotated[str, typer.Option(help="none, lz4 or zstd.")] = "none",
    cast: Annotated[str | None, typer.Option(help="Store fields as float32 or float16.")] = None,
    blocks: Annotated[int, typer.Option(help="Blocks of a frame, each a stratified sample; 1: whole frames.")] = 1,
    allow_nonfinite: Annotated[bool, typer.Option(help="Keep and count NaN and Inf instead of refusing them.")] = False,
    importance: Annotated[
        str | None, typer.Option(help="gradient,variance: store the importance of tiles, for the mode importance.")
    ] = None,
    shard_mb: Annotated[int, typer.Option(min=1, help="Decoded size at which a shard is closed, in MiB.")] = 512,
    workers: Annotated[int, typer.Option(min=1, help="Processes that write shards; the bytes are the same.")] = 1,
    on_error: Annotated[
        str, typer.Option(help="raise, or skip: leave out what cannot be read or stored, and list it at the end.")
    ] = "raise",
    ratio: Annotated[float, typer.Option(help="Queries ÷ points, for the estimate of bytes per sample.")] = 0.1,
    suggest_blocks: Annotated[
        bool, typer.Option("--suggest", help="Say how many blocks suit the ratio, and why; write nothing.")
    ] = False,
    weigh_blocks: Annotated[
        str | None, typer.Option("--weigh", help="Bytes on disk with these blocks, as 4,16; write nothing that stays.")
    ] = None,
) -> None:
    if not 0 < ratio <= 1:
        raise UpsDataError(f"--ratio {ratio}: give a number above 0, at most 1")
    if suggest_blocks:
        first = next(iter(open_source(source, format)))
        show_suggestion(suggest(trajectory_sizes(first, cast), ratio), ratio)
        return
    if weigh_blocks is not None:
        options = {"format": format, "split": parse_shares(split), "cast": cast, "allow_nonfinite": allow_nonfinite}
        show_weights(source, parse_numbers(weigh_blocks), **options)
        return
    if out is None:
        raise UpsDataError("--out is missing: name the folder of the dataset")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("trajectories"))
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored, as under nohup
        signal.signal(signal.SIGINT, _stop)
    with stopping(out), Progress(*columns, TimeRemainingColumn()) as bar:
        task = bar.add_task("converting", total=None, visible=False)
        manifest = convert(
            source,
            out,
            format=format,
            split=parse_shares(split),
            seed=seed,
            codec=codec,
            cast=cast,
            blocks=blocks,
            allow_nonfinite=allow_nonfinite,
            importance=[m.strip() for m in importance.split(",")] if importance else (),
            shard_bytes=shard_mb * 1024**2,
            workers=workers,
            on_error=on_error,  # type: ignore[arg-type]  # convert checks it
            progress=lambda done, total: bar.update(task, completed=done, total=total, visible=True),
        )
    counts = ", ".join(f"{n} {s.num_trajectories}" for n, s in manifest.splits.items())
    size = sum(shard.bytes for s in manifest.splits.values() for shard in s.shards)
    if bar.tasks[task].total is None:  # there was no progress
        print(f"{out}: is complete already, nothing to do: {size / 1e6:.1f} MB; trajectories: {counts}")
        return
    print(f"{out}: {size / 1e6:.1f} MB; trajectories: {counts}")
    print(estimate(dataset_cost(manifest, ratio), ratio))
    show_left_out(manifest)


def _stop(number: int, frame: FrameType | None) -> None:
    logging.getLogger("asyncio").disabled = True  # it would tell of what zarr's thread was at
    raise KeyboardInterrupt(number)


@contextmanager
def stopping(out: Path) -> Iterator[None]:
    """Ctrl-C and SIGTERM end in one line, with the status that a shell gives them."""
    try:
        yield
    except KeyboardInterrupt as stop:
        print(f"{out}: stopped; the same command goes on from the shards that are finished", file=sys.stderr)
        raise typer.Exit(128 + stop.args[0]) from None


def show_left_out(manifest: Manifest) -> None:
    """What the dataset lacks, if it lacks anything."""
    if manifest.left_out:
        table = Table("trajectory", "reason", title=f"left out: {len(manifest.left_out)}")
        for entry in manifest.left_out:
            table.add_row(escape(entry.key), escape(entry.reason))
        Console().print(table)


def estimate(cost: Cost, ratio: float) -> str:
    """Bytes of a sample's parts, before compression."""
    parts = f"{cost.blocks} blocks of {cost.block_points:,} points" if cost.blocks > 1 else "whole frames"
    return (
        f"{parts}, chunks of {cost.chunk_rows} frame(s); bytes per sample: a dense input {cost.frame / 1e3:,.1f} kB; "
        f"at ratio {ratio:g} the {cost.queries:,} query points of a frame take {cost.drawn} block(s), "
        f"{cost.read / 1e3:,.1f} kB read for {cost.used / 1e3:,.1f} kB used"
    )


def show_suggestion(found: Suggestion, ratio: float) -> None:
    """The numbers around the chosen one, and the reason."""
    table = Table("--blocks", "points", "frames/chunk", "chunk kB", "drawn", "read kB", "used kB", "read/used")
    table.title = f"query points of a frame at ratio {ratio:g}"
    place = found.costs.index(found.chosen)
    for cost in found.costs[max(0, place - SHOWN) : place + SHOWN + 1]:
        numbers = (cost.chunk_bytes / 1e3, cost.drawn, cost.read / 1e3, cost.used / 1e3, cost.read / cost.used)
        cells = [f"{n:,.1f}" if isinstance(n, float) else f"{n:,}" for n in (cost.block_points, cost.chunk_rows)]
        cells += [f"{n:,.2f}" if isinstance(n, float) else f"{n:,}" for n in numbers]
        table.add_row(str(cost.blocks), *cells, style="bold" if cost is found.chosen else None)
    Console().print(table)
    print(f"suggested: --blocks {found.chosen.blocks}. {found.why}")


def show_weights(source: Path, blocks: list[int], **options: object) -> None:
    """Bytes on disk by codec and blocks."""
    table = Table("codec", "--blocks", "MB", "of whole frames", title="bytes on disk")
    for weight in weigh(source, blocks, **options):
        table.add_row(weight.codec, str(weight.blocks), f"{weight.bytes / 1e6:.3f}", f"{weight.ratio:.3f}")
    Console().print(table)


def parse_shares(text: str | None) -> dict[str, float] | None:
    """`train=0.8,valid=0.1,test=0.1` as a dict."""
    if text is None:
        return None
    try:
        return {name.strip(): float(share) for name, share in (part.split("=") for part in text.split(","))}
    except ValueError:
        raise UpsDataError(f"--split {text!r}: write it as train=0.8,valid=0.1,test=0.1") from None


def parse_numbers(text: str) -> list[int]:
    """`4,16` as a list."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UpsDataError(f"--weigh {text!r}: write it as 4,16") from None


if __name__ == "__main__":
    run(app)
