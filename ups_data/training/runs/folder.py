"""A run's folder: who may write there, and what lies there."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ups_data.atomic import exclusive, remove_debris, replacing
from ups_data.errors import UpsDataError
from ups_data.training.config import TrainConfig
from ups_data.training.runs.checkpoint import CHECKPOINT, check_continues, check_form, load_checkpoint
from ups_data.writing.folders import check_inside

HISTORY = "history.json"
LOCK = ".lock"
FOLDERS = ("pictures", "tensorboard", "wandb")  # of sinks; a link in their place would lead what they write elsewhere


@contextmanager
def only_run_in(out: Path) -> Iterator[None]:
    """Make the folder, keep other runs out of it, and remove what killed ones left half-written.

    Raises:
        UpsDataError: another run is under way there, or a folder in it is a link.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in FOLDERS:
        check_inside(out, out / name)
    try:
        with exclusive(out / LOCK):
            for name in (CHECKPOINT, HISTORY):
                remove_debris(out / name)
            yield
    except BlockingIOError:
        raise UpsDataError(f"{out}: another run is under way here: wait for its end, or give another out") from None


def forget_run(out: Path) -> None:
    """Remove what a later run would go on from."""
    for name in (CHECKPOINT, HISTORY):
        (out / name).unlink(missing_ok=True)


def last_checkpoint(out: Path, config: TrainConfig, *, model_is_given: bool) -> dict[str, Any] | None:
    """What a run goes on from; None if it begins.

    Raises:
        UpsDataError: a checkpoint that is damaged, or of a run with other settings.
    """
    path = out / CHECKPOINT
    if not config.training.resume:
        forget_run(out)
    if not path.exists():
        return None
    state = load_checkpoint(path)
    check_form(state, path)
    check_continues(state, config, path, model_is_given=model_is_given)
    return state


def write_history(out: Path, config: Mapping[str, Any], history: Mapping[str, Any]) -> None:
    """The configuration and the epochs, as JSON."""
    with replacing(out / HISTORY) as file:
        file.write(json.dumps({"config": config, **history}, indent=1).encode())
