"""`ups-data merge`."""

from typing import Annotated

import typer


def merge(
    first: Annotated[str, typer.Argument(help="Folder or URL of a dataset.")],
    second: Annotated[str, typer.Argument(help="Another one with the same fields, geometry and options.")],
    out: Annotated[str, typer.Option(help="Folder of the new dataset, new or empty, or its URL.")],
    same_names: Annotated[
        bool, typer.Option("--same-names", help="Runs of one name in both are different runs, or share no frame.")
    ] = False,
    card: Annotated[
        bool,
        typer.Option("--card/--no-card", help="Write a card beside the data: a text, and a picture of every field."),
    ] = True,
) -> None:
    """Make one dataset of two, without writing a shard again.

    Files of shards are linked, or copied if they cannot be, as from and to stores. Splits of one name are united, their
    statistics pooled.
    """
    from rich.console import Console
    from rich.progress import DownloadColumn

    from ups_data.cli.progress import progress_bar
    from ups_data.cli.stopping import stopping
    from ups_data.errors import shown
    from ups_data.store.root import open_store
    from ups_data.writing.joining.merge import merge as merge_datasets

    console = Console(emoji=False)
    with (
        stopping(f"{out}: stopped; nothing was left in a folder, and in a store the same command goes on"),
        progress_bar(DownloadColumn(), console=console, transient=True) as bar,
    ):
        task = bar.add_task("merging", total=None)
        manifest = merge_datasets(
            first,
            second,
            out,
            same_names=same_names,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if card:
        from ups_data.card.write import write_own_card

        write_own_card(open_store(out), manifest)
    counts = ", ".join(f"{name} {split.num_trajectories}" for name, split in manifest.splits.items())
    console.print(f"{shown(out)}: trajectories: {shown(counts)}")
