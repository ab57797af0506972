"""`ups-data card`."""

from typing import Annotated

import typer


def card(
    root: Annotated[str, typer.Argument(help="Folder of the dataset, or its URL if it can be written to.")],
) -> None:
    """Write README.md and pictures beside a dataset.

    Fields, axes, units, statistics, where it comes from and how it is loaded. Conversions do so, too.
    """
    from rich.console import Console

    from ups_data.card import write_card
    from ups_data.errors import shown

    written = write_card(root)
    Console(emoji=False).print(f"{shown(root)}: {written[-1]} and {len(written) - 1} pictures written", soft_wrap=True)
