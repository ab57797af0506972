"""What a run says on the console: a bar while it trains, and one line per epoch."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def progress_bar(console: Console) -> Progress:
    """A bar of steps with an `info` field beside it, gone when the run ends."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[info]}"), console=console, transient=True)


def epoch_line(entry: dict[str, Any], epochs: int) -> str:
    """An epoch's entry of the history as a line."""
    parts = " ".join(f"{name} {value:.4g}" for name, value in entry["loss"].items() if name != "total")
    valid = "" if entry["valid_nrmse"] is None else f" · valid nRMSE {entry['valid_nrmse']:.4f}"
    return (
        f"epoch {entry['epoch'] + 1}/{epochs} · Q {entry['queries']} ({entry['ratio']:.3g}) · "
        f"loss {entry['loss']['total']:.4g} ({parts}){valid} · {entry['seconds']:.1f} s "
        f"({1e3 * entry['step_seconds_median']:.0f} ms a step, waited {entry['data_seconds']:.2f} s for data)"
    )
