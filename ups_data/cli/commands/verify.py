"""`ups-data verify`."""

from typing import Annotated

import typer


def verify(
    root: Annotated[str, typer.Argument(help="Folder or URL of the dataset.")],
    quick: Annotated[
        str | None,
        typer.Option(
            help="'sizes' looks at the sizes of files only; 'digests' reads all, but does not say which rows."
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Shards at once; default: cores, at most 4.")] = None,
) -> None:
    """Check that a dataset is intact.

    Seals, indexes and every chunk's checksum are compared with the manifest. Exits with 1 if the dataset is damaged.
    """
    from rich.console import Console
    from rich.progress import DownloadColumn

    from ups_data.cli.progress import progress_bar
    from ups_data.cli.tables.damage import damage_table
    from ups_data.errors import shown
    from ups_data.store.verify import verify_dataset

    console = Console(emoji=False)
    with progress_bar(DownloadColumn(), console=console, transient=True) as bar:
        task = bar.add_task("verifying", total=None)
        damage = verify_dataset(
            root,
            depth=quick or "chunks",  # type: ignore[arg-type]  # it says which ones there are
            threads=threads,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if damage:
        console.print(damage_table(damage), "Copy these shards again, or make the dataset again.")
        raise typer.Exit(1)
    console.print(f"{shown(root)}: intact ({quick or 'every chunk'} checked)")
