"""Checks a dataset against its manifest: digests, indexes, every chunk's checksum. Exits with 1 if it is damaged."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ups_data.cli.errors import run
from ups_data.store.verify import Damage, verify_dataset

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    root: Annotated[Path, typer.Argument(help="Folder of the dataset.")],
    quick: Annotated[
        str | None,
        typer.Option(
            help="'sizes' looks at the sizes of files only; 'digests' reads all, but does not say which rows."
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Shards at once; default: cores, at most 4.")] = None,
) -> None:
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("verifying", total=None)
        damage = verify_dataset(
            root,
            depth=quick or "chunks",  # type: ignore[arg-type]  # it says which ones there are
            threads=threads,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if damage:
        console.print(table(damage), "Copy these shards again, or make the dataset again.")
        sys.exit(1)
    console.print(f"{root}: intact ({quick or 'every chunk'} checked)")


def table(damage: list[Damage]) -> Table:
    found = Table("shard", "damage", title=f"{len({d.shard for d in damage})} damaged shard(s)")
    for d in damage:
        found.add_row(d.shard, d.reason)
    return found


if __name__ == "__main__":
    run(app)
