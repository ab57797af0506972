"""`ups-data seal`."""

from typing import Annotated

import typer


def seal(
    root: Annotated[str, typer.Argument(help="Folder of the dataset, or its URL if it can be written to.")],
) -> None:
    """Let an older dataset open from a store in a few requests.

    Writes one object for each split with the seals, tables and indexes of all its shards, as a conversion does. Shards
    and manifest stay what they are.
    """
    from rich.console import Console

    from ups_data.errors import shown
    from ups_data.store.openings.making import make_openings

    console = Console(emoji=False)
    for split, size in make_openings(root).items():
        console.print(f"{shown(root)}: split {shown(split)} opens from one object of {size:,} bytes")
