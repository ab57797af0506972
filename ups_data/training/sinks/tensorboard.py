"""`TensorBoardSink`: a run's numbers and pictures as TensorBoard reads them."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ups_data.errors import UpsDataError
from ups_data.training.sinks.sink import pictures, scalars


class TensorBoardSink:
    """A sink that writes event files into a folder: `tensorboard --logdir FOLDER` shows them. Extra `tensorboard`.

        with TensorBoardSink("runs/train/tensorboard") as sink:
            train(config, sinks=[sink])

    If a run goes on from a checkpoint, what was written of later steps is hidden.

    Raises:
        UpsDataError: TensorBoard is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder, self._new = str(folder), event_files()
        self._writer: Any = None

    def __call__(self, step: int, values: Mapping[str, Any]) -> None:
        """Write every number, and every picture."""
        if self._writer is None:
            # What was written of the step in which a run was stopped counts, if the run goes on behind it.
            self._writer = self._new(self._folder, purge_step=step if "loss" in values else step + 1)
        for name, value in scalars(values):
            self._writer.add_scalar(name, value, step)
        for name, path in pictures(values).items():
            from matplotlib.image import imread

            self._writer.add_image(f"validation/{name}", imread(path), step, dataformats="HWC")

    def __enter__(self) -> "TensorBoardSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()


def event_files() -> Any:
    """What writes event files.

    Raises:
        UpsDataError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UpsDataError(
            'training.sinks: tensorboard needs the extra of that name: pip install "ups_data[tensorboard]"'
        ) from None
    return SummaryWriter
