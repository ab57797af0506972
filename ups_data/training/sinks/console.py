"""`ConsoleSink`: a bar while a run trains, and one line per epoch."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ups_data.errors import shown


class ConsoleSink:
    """A sink that says on a console what a user who waits wants to know. The bar is there while it is entered.

    Args:
        steps, epochs: of the whole run.
    """

    def __init__(self, console: Console, *, steps: int, epochs: int) -> None:
        self.console, self.steps, self.epochs = console, steps, epochs
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, TextColumn("{task.fields[info]}"), console=console, transient=True)

    def __call__(self, step: int, values: Mapping[str, Any]) -> None:
        """Move the bar, or print a line."""
        if "loss" in values:
            (bar,) = self._progress.task_ids
            self._progress.update(bar, completed=step, info=f"loss {values['loss']['total']:.4f}")
        elif "summary" in values:
            self.console.print(shown(epoch_line(values["summary"], self.epochs)), soft_wrap=True)
        elif "reading" in values:
            self.console.print(reading_line(values["reading"]))
        elif values.get("untrained_nrmse") is not None:
            self.console.print(baseline_line(values))

    def __enter__(self) -> "ConsoleSink":
        self._progress.add_task("training", total=self.steps, info="")
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def baseline_line(values: Mapping[str, Any]) -> str:
    """The figures to beat, before the first step."""
    persistence = values["persistence_nrmse"]
    beside = "" if persistence is None else f" · persistence {persistence:.4f}"
    return f"untrained nRMSE {values['untrained_nrmse']:.4f}{beside}"


def reading_line(figures: Mapping[str, Any]) -> str:
    """What an epoch took from a store behind a URL."""
    return (
        f"read {figures['fetched_bytes'] / 1e6:,.1f} MB, {figures['over_read']:.2f} × what was used, in "
        f"{figures['requests']:,} requests ({figures['retries']:,} sent again) · waited {figures['wait_share']:.1%} of "
        "the time"
    )


def epoch_line(entry: Mapping[str, Any], epochs: int) -> str:
    """An epoch's entry of the history as a line."""
    parts = " ".join(f"{name} {value:.4g}" for name, value in entry["loss"].items() if name != "total")
    valid = "" if entry["valid_nrmse"] is None else f" · valid nRMSE {entry['valid_nrmse']:.4f}"
    return (
        f"epoch {entry['epoch'] + 1}/{epochs} · Q {entry['queries']} ({entry['ratio']:.3g}) · "
        f"loss {entry['loss']['total']:.4g} ({parts}){valid} · {entry['seconds']:.1f} s "
        f"({1e3 * entry['step_seconds_median']:.0f} ms a step, waited {entry['data_seconds']:.2f} s for data)"
    )
