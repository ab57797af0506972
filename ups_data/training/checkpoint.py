"""Checkpoints: written whole or not at all, read without unpickling code."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from ups_data.atomic import replacing
from ups_data.errors import UpsDataError

CHECKPOINT = "checkpoint.pt"  # its name in a run's folder


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists and dicts of them) in one atomic step."""
    with replacing(Path(path)) as file:
        torch.save(state, file)


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
