"""`ups-data cache`."""

from typing import Annotated

import typer


def cache(
    folder: Annotated[str, typer.Argument(help="Folder of the cache: what cache= or UPS_DATA_CACHE names.")],
    check: Annotated[bool, typer.Option("--check", help="Compare every chunk with its checksum.")] = False,
    empty: Annotated[bool, typer.Option("--empty", help="Take everything out.")] = False,
) -> None:
    """Show, check or empty a cache, also while runs use it.

    A damaged chunk is fetched again before anybody uses it. Exits with 1 if --check finds one.
    """
    from rich.console import Console

    from ups_data.cli.tables.sheet import Sheet
    from ups_data.errors import shown
    from ups_data.store.cached.contents import contents
    from ups_data.store.cached.contents import empty as emptied

    console = Console(emoji=False)
    if empty:
        console.print(f"{shown(folder)}: emptied, {emptied(folder) / 1e6:,.1f} MB were in use")
        return
    found = contents(folder, check=check)
    table = Sheet("what", "is there", title=f"cache {shown(folder)}", folds=("what",))
    table.add_row("objects", f"{found.objects:,}")
    table.add_row("chunks", f"{found.chunks:,}, {found.chunk_bytes / 1e6:,.1f} MB")
    table.add_row("of their objects", f"{found.chunk_bytes / max(1, found.whole):.0%} of {found.whole / 1e6:,.1f} MB")
    table.add_row("on the disk", f"{found.used / 1e6:,.1f} MB")
    table.add_row("unfinished chunks", f"{found.unfinished:,}")
    if check:
        table.add_row("damaged chunks", f"{found.damaged:,}")
    console.print(table)
    if found.damaged:
        raise typer.Exit(1)
