"""Progress bars of the commands."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

WIDTH = 24  # of the bar: a line with it fits 60 columns


def progress_bar(*columns: ProgressColumn, console: Console | None = None, transient: bool = False) -> Progress:
    """A description, a bar, what `columns` say, and the time that is left."""
    bar = BarColumn(bar_width=WIDTH)
    description = TextColumn("{task.description}")
    return Progress(description, bar, *columns, TimeRemainingColumn(), console=console, transient=transient)


def counting(unit: str, *, console: Console | None = None) -> Progress:
    """A bar that counts units: `3/7 trajectories`."""
    return progress_bar(MofNCompleteColumn(), TextColumn(unit), console=console)
