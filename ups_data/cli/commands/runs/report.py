"""`ups-data report`."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    out: Annotated[Path | None, typer.Option(help="The page; report.html in the run's folder by default.")] = None,
) -> None:
    """Show a run as one HTML page.

    It has curves, tables, pictures, the configuration and what the data say of themselves.

    The page is one file that needs nothing else, and no network. A run that is under way is shown as far as it is.
    """
    from rich.console import Console

    from ups_data.errors import shown
    from ups_data.training.report import write_report

    page = write_report(run, run / "report.html" if out is None else out)
    Console(emoji=False).print(f"written: {shown(page)}", soft_wrap=True)
