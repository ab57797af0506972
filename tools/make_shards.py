"""Converts raw simulations into a dataset of zarr v3 shards."""

from pathlib import Path
from typing import Annotated

import typer
from _cli import run
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ups_data.errors import UpsDataError
from ups_data.shards.convert import convert

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    source: Annotated[Path, typer.Argument(help="File or folder of simulations (PDEBench HDF5, .npy, .npz, .pt).")],
    out: Annotated[Path, typer.Option(help="Folder of the dataset; must be new or empty.")],
    format: Annotated[str | None, typer.Option(help="Source format, instead of recognising it.")] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Shares by trajectory; default: the source's own splits, or train=0.8,valid=0.1,test=0.1."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides which trajectory goes into which split.")] = 0,
    codec: Annotated[str, typer.Option(help="none, lz4 or zstd.")] = "none",
    cast: Annotated[str | None, typer.Option(help="Store fields as float32 or float16.")] = None,
    allow_nonfinite: Annotated[bool, typer.Option(help="Keep and count NaN and Inf instead of refusing them.")] = False,
    importance: Annotated[
        str | None, typer.Option(help="gradient,variance: store the importance of tiles, for the mode importance.")
    ] = None,
    shard_mb: Annotated[int, typer.Option(min=1, help="Decoded size at which a shard is closed, in MiB.")] = 512,
) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("trajectories"))
    with Progress(*columns, TimeRemainingColumn()) as bar:
        task = bar.add_task("converting", total=None)
        manifest = convert(
            source,
            out,
            format=format,
            split=parse_shares(split),
            seed=seed,
            codec=codec,
            cast=cast,
            allow_nonfinite=allow_nonfinite,
            importance=[m.strip() for m in importance.split(",")] if importance else (),
            shard_bytes=shard_mb * 1024**2,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    counts = ", ".join(f"{n} {s.num_trajectories}" for n, s in manifest.splits.items())
    size = sum(shard.bytes for s in manifest.splits.values() for shard in s.shards)
    print(f"{out}: {size / 1e6:.1f} MB; trajectories: {counts}")


def parse_shares(text: str | None) -> dict[str, float] | None:
    """`train=0.8,valid=0.1,test=0.1` as a dict."""
    if text is None:
        return None
    try:
        return {name.strip(): float(share) for name, share in (part.split("=") for part in text.split(","))}
    except ValueError:
        raise UpsDataError(f"--split {text!r}: write it as train=0.8,valid=0.1,test=0.1") from None


if __name__ == "__main__":
    run(app)
