"""Checkpoints: written whole or not at all, read without unpickling code."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from ups_data.atomic import replacing
from ups_data.errors import UpsDataError
from ups_data.training.config import TrainConfig

CHECKPOINT = "checkpoint.pt"  # its name in a run's folder
VERSION = 3
# Keys in which a run that continues may differ from the run that it continues: none of them changes a loss of intact
# samples.
FREE_KEYS = {
    "out",
    "training.resume",
    "training.checkpoint_every",
    "training.device",
    "data.root",
    "data.num_workers",
    "data.threads",
    "data.timeout",
    "data.verify",
    "data.on_damage",
    "data.max_damaged",
}


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists and dicts of them) in one atomic step.

    Raises:
        UpsDataError: the disk does not take it; what was there before still is.
    """
    try:
        with replacing(Path(path)) as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__context__  # torch's writer raises an error of its own on top of the disk's
        if cause is None:
            raise
        raise UpsDataError(f"{path}: cannot be written ({cause.strerror}): make room; the last one stands") from None


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU.

    Raises:
        UpsDataError: missing, damaged, or holding more than plain data.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UpsDataError(f"{path}: no checkpoint here") from None
    except (RuntimeError, EOFError, UnpicklingError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UpsDataError(f"{path}: not a checkpoint of this project ({reason}); train again") from None
    return state


def check_continues(state: dict[str, Any], config: TrainConfig, path: str | Path) -> None:
    """Refuse to continue a run with other settings.

    Raises:
        UpsDataError: a setting that differs, or a checkpoint of another version.
    """
    if state.get("version") != VERSION:
        raise UpsDataError(f"{path}: made by another version of this project: start over with training.resume=false")
    then, now = _flat(_with_defaults(state["config"])), _flat(config.model_dump(mode="json"))
    for key in sorted((then.keys() | now.keys()) - FREE_KEYS):
        if then.get(key) != now.get(key):
            raise UpsDataError(
                f"{path}: made with {key}={then.get(key)}, the configuration has {now.get(key)}: restore it, train in "
                "another out, or start over with training.resume=false"
            )


def _with_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """A configuration with the keys that there are by now: a new key's default is what was done before it."""
    try:
        return TrainConfig.model_validate(values).model_dump(mode="json")
    except ValueError:  # a key that is gone, or a value that is not allowed any more: the comparison will name it
        return values


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
