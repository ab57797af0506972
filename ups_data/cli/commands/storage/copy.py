"""`ups-data copy`."""

from typing import Annotated

import typer


def copy(
    source: Annotated[str, typer.Argument(help="Folder or URL of the dataset.")],
    target: Annotated[str, typer.Argument(help="Folder or URL to copy it to.")],
    threads: Annotated[int, typer.Option(min=1, help="Objects at once.")] = 4,
) -> None:
    """Copy a dataset between folders and stores.

    Every object is compared with its seal on the way; the manifest is written last. After a kill, the same command goes
    on where it stopped.
    """
    from rich.console import Console
    from rich.progress import DownloadColumn

    from ups_data.cli.progress import progress_bar
    from ups_data.cli.stopping import stopping
    from ups_data.errors import shown
    from ups_data.store.moving.copying import copy_dataset

    console = Console(emoji=False)
    stopped = f"{target}: stopped; the same command goes on from the objects that are there"
    with stopping(stopped), progress_bar(DownloadColumn(), console=console, transient=True) as bar:
        task = bar.add_task("copying", total=None)
        copied = copy_dataset(
            source, target, threads=threads, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    again = f", {copied.kept} were there" if copied.kept else ""
    console.print(f"{shown(target)}: {copied.objects} objects copied, {copied.bytes / 1e6:.1f} MB{again}")
