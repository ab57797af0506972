"""Checkpoints: written whole or not at all, read without unpickling code."""

import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from ups_data.atomic import replacing
from ups_data.errors import UpsDataError
from ups_data.loader.options import LoaderOptions
from ups_data.models.config import Natural
from ups_data.training.config import TrainConfig
from ups_data.training.runs.result import EpochTally, History

CHECKPOINT = "checkpoint.pt"  # its name in a run's folder
VERSION = 3
# Keys in which a run that continues may differ from the run that it continues: none of them changes a loss of intact
# samples.
FREE_KEYS = {
    "out",
    "training.resume",
    "training.checkpoint_every",
    "training.device",
    "training.compile",
    "training.sinks",
    "training.pictures",
    "data.root",
    # Options on which no batch depends.
    *(f"data.{spec.name}" for spec in fields(LoaderOptions) if spec.metadata["identity"] == "never"),
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
    """Read a checkpoint to the CPU. Nothing in it can run code.

    Raises:
        UpsDataError: missing, not a regular file, damaged, or holding more than plain data.
    """
    try:
        if not Path(path).is_file():  # a pipe would be waited for
            kind = "not a regular file" if os.path.lexists(path) else "no checkpoint here"
            raise UpsDataError(f"{path}: {kind}")
        _check_archive(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UpsDataError:
        raise
    except Exception as error:  # what a crafted file makes the reader raise is of any kind
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise UpsDataError(f"{path}: not a checkpoint of this project ({reason}); train again") from None
    if not isinstance(state, dict):
        raise UpsDataError(f"{path}: not a checkpoint of this project (a {type(state).__name__}); train again")
    return state


def _check_archive(path: str | Path) -> None:
    """torch reads what it is given: members that were compressed, which it never does itself, take a thousand times the
    memory that they have bytes.

    Raises:
        ValueError, zipfile.BadZipFile …: it is no archive of torch.save's.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    names = {member.filename for member in members}
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    there = os.stat(path).st_size
    claimed = max(sum(member.file_size for member in members), sum(member.compress_size for member in members))
    if not stored or len(names) < len(members) or claimed > there:
        raise ValueError("its parts are compressed, named twice, or claim more than is there")


def configuration_of(state: Mapping[str, Any], path: str | Path) -> TrainConfig:
    """The configuration that a checkpoint's run had.

    Raises:
        UpsDataError: it holds none that is valid.
    """
    try:
        return TrainConfig.model_validate(state.get("config"))
    except ValueError as error:
        reason = next(iter(str(error).splitlines()), "")
        raise UpsDataError(f"{path}: not a checkpoint of this version ({reason}); train again") from None


class SavedAverage(BaseModel):
    """The form of `Average.state_dict`."""

    model: dict[str, torch.Tensor]
    steps: Natural

    model_config = ConfigDict(arbitrary_types_allowed=True)


class Saved(BaseModel):
    """The form of what a run saves. What each part holds is checked by those who take it over."""

    metrics: Natural
    epoch: Natural
    tally: EpochTally
    model: dict[str, torch.Tensor]
    optimiser: dict[str, Any]
    loader: dict[str, Any]
    rng: dict[str, Any]
    other_rngs: list[dict[str, Any]] = []
    average: SavedAverage | None = None
    config: dict[str, Any]
    history: History
    given_model: str | None = None

    model_config = ConfigDict(arbitrary_types_allowed=True)


def check_form(state: Mapping[str, Any], path: str | Path) -> None:
    """Refuse what no run of this version has saved.

    Raises:
        UpsDataError: another version, or a part that is missing or of another type.
    """
    if state.get("version") != VERSION:
        raise UpsDataError(f"{path}: made by another version of this project: start over with training.resume=false")
    with reading(path):
        Saved.model_validate(dict(state))


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn whatever goes wrong as a checkpoint's content is taken over into one line."""
    try:
        yield
    except UpsDataError:
        raise
    except Exception as error:
        reason = shorten(str(error), 200) or type(error).__name__
        raise UpsDataError(
            f"{path}: does not fit this run ({reason}): use the model and the data that it was made with, or "
            "start over with training.resume=false"
        ) from None


@contextmanager
def of_run(path: str | Path) -> Iterator[None]:
    """Say of a loader's state that does not fit what can be done about it where a run goes on."""
    try:
        yield
    except UpsDataError as error:
        told, _, _ = str(error).partition(": give what it was")
        raise UpsDataError(
            f"{path}: {told}: restore it, train in another out, or start over with training.resume=false"
        ) from None


def put_weights(model: nn.Module, state: Mapping[str, Any], path: str | Path) -> None:
    """Give the model the checkpoint's weights: those that were validated, averaged over steps if the run did so.

    Raises:
        UpsDataError: they are another model's.
    """
    average = state.get("average")
    with reading(path):
        model.load_state_dict(state["model"] if average is None else average["model"])


def check_continues(
    state: Mapping[str, Any], config: TrainConfig, path: str | Path, *, model_is_given: bool = False
) -> None:
    """Refuse to continue a run with other settings.

    Args:
        model_is_given: by the caller, whatever the configuration says.

    Raises:
        UpsDataError: a setting that differs.
    """
    given = state.get("given_model")
    if given is not None and not model_is_given:
        raise UpsDataError(f"{path}: holds the weights of {given}: give such a model again, as train(…, model=…)")
    then, now = _flat(_with_defaults(state.get("config"))), _flat(config.model_dump(mode="json"))
    free = {key for key in then.keys() | now.keys() if key.startswith("data.store_options.")} | FREE_KEYS
    for key in sorted((then.keys() | now.keys()) - free):
        if then.get(key) != now.get(key):
            raise UpsDataError(
                f"{path}: made with {key}={then.get(key)}, the configuration has {now.get(key)}: restore it, train in "
                "another out, or start over with training.resume=false"
            )


def _with_defaults(values: Any) -> dict[str, Any]:
    """A configuration with the keys that there are by now: a new key's default is what was done before it."""
    try:
        return TrainConfig.model_validate(values).model_dump(mode="json")
    except ValueError:  # a key that is gone, or a value that is not allowed any more: the comparison will name it
        return values if isinstance(values, dict) else {}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
