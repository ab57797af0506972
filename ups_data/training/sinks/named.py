"""The sinks that a configuration names."""

from collections.abc import Iterable
from contextlib import ExitStack
from os.path import realpath
from pathlib import Path
from typing import Any

from ups_data.training.config import TrainingConfig
from ups_data.training.sinks.csv_file import CsvSink
from ups_data.training.sinks.pictures import check_drawing
from ups_data.training.sinks.sink import Sink
from ups_data.training.sinks.tensorboard import TensorBoardSink, event_files
from ups_data.training.sinks.weights_and_biases import WandbSink, client


def check_packages(settings: TrainingConfig) -> None:
    """Refuse a run before it writes anything, if what its sinks and pictures need is not installed.

    Raises:
        UpsDataError: one line that says what to install.
    """
    if settings.pictures:
        check_drawing()
    if "tensorboard" in settings.sinks:
        event_files()
    if "wandb" in settings.sinks:
        client()


def named_sinks(names: Iterable[str], out: Path, config: dict[str, Any], held: ExitStack) -> list[Sink]:
    """Sinks that write into a run's folder; `held` closes them."""
    sinks: list[Sink] = []
    for name in dict.fromkeys(names):
        if name == "csv":
            sinks.append(held.enter_context(CsvSink(out / "metrics.csv")))
        elif name == "tensorboard":
            sinks.append(held.enter_context(TensorBoardSink(out / "tensorboard")))
        elif name == "wandb":
            sinks.append(held.enter_context(WandbSink(out, name=Path(realpath(out)).name, config=config)))
    return sinks
