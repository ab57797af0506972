"""`WandbSink`: a run's numbers and pictures at Weights & Biases, or beside the run, to be sent later."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ups_data.atomic import replacing
from ups_data.errors import UpsDataError
from ups_data.training.sinks.sink import pictures, scalars

RUN_ID = "run-id"


class WandbSink:
    """A sink that logs to Weights & Biases. Extra `wandb`.

        with WandbSink("runs/train", name="train", config=config.model_dump(mode="json")) as sink:
            train(config, sinks=[sink])

    The environment says what the program `wandb` understands: `WANDB_MODE=offline` writes into the folder alone, for
    `wandb sync` later; `WANDB_PROJECT`, `WANDB_ENTITY`. A run that goes on is continued under its name: what it has
    logged already is left as it is.

    Args:
        folder: what is written here goes to its sub-folder `wandb`.
        name: of the run.
        config: shown beside it.

    Raises:
        UpsDataError: wandb is not installed, or does not start.
    """

    def __init__(self, folder: str | Path, *, name: str | None = None, config: Mapping[str, Any] | None = None) -> None:
        wandb = client()
        own = Path(folder) / "wandb"
        own.mkdir(parents=True, exist_ok=True)
        self._image = wandb.Image
        try:
            self._run = wandb.init(
                dir=str(folder),
                id=_run_id(own),
                name=name,
                config=dict(config or {}),
                resume="allow",
                settings=wandb.Settings(quiet=True),
            )
        except Exception as error:  # of the client's many kinds
            reason = " ".join(str(error).split())
            raise UpsDataError(
                f"training.sinks: wandb does not start ({reason}): log in with `wandb login`, or set WANDB_MODE=offline"
            ) from None

    def __call__(self, step: int, values: Mapping[str, Any]) -> None:
        """Log every number, and every picture."""
        shown = {f"validation/{name}": self._image(str(path)) for name, path in pictures(values).items()}
        self._run.log({**dict(scalars(values)), **shown}, step=step)

    def __enter__(self) -> "WandbSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run.finish(exit_code=0 if kind is None else 1)


def client() -> Any:
    """The package.

    Raises:
        UpsDataError: it is not installed.
    """
    try:
        import wandb
    except ImportError:
        raise UpsDataError(
            'training.sinks: wandb needs the extra of that name: pip install "ups_data[wandb]"'
        ) from None
    return wandb


def _run_id(folder: Path) -> str:
    """The same for a run that goes on."""
    path = folder / RUN_ID
    known = path.read_text().strip() if path.is_file() else ""
    if not (known.isalnum() and len(known) <= 32):
        known = secrets.token_hex(4)
        with replacing(path) as file:
            file.write(known.encode())
    return known
