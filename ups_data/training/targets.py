"""A run's model: given, or made by what `model.target` names."""

import inspect
import os
from importlib import import_module
from typing import Any

from torch import nn

from ups_data.errors import UpsDataError
from ups_data.models.protocol import Model, as_model
from ups_data.schema import Manifest
from ups_data.training.config import TrainConfig


def model_of(config: TrainConfig, manifest: Manifest, given: nn.Module | None = None) -> Model:
    """The model of a run, new unless one is given.

    Args:
        given: taken instead of what the configuration's `model` section says.

    Raises:
        UpsDataError: a target that cannot be imported, a model that lacks a method or is larger than the memory, or a
            dataset that does not suit it.
    """
    if given is not None:
        return as_model(given, "model")
    _check_memory(config)
    target, options = config.model.target, config.model.to_options()
    build = imported(target)
    try:
        inspect.signature(build).bind(manifest, options, config.data)
    except TypeError as error:
        raise UpsDataError(
            f"model.target {target!r} is no function of a manifest, options and the data's configuration ({error}): "
            "write build(manifest, options, data)"
        ) from None
    except ValueError:
        pass  # of a built-in function without a signature
    return as_model(build(manifest, options, config.data), f"model.target {target!r}")


def _check_memory(config: TrainConfig) -> None:
    """The system grants memory that it does not have, and ends a process that uses it."""
    count, there = config.model.least_parameters, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if 4 * count > there:
        raise UpsDataError(
            f"model.dim={config.model.dim} and model.depth={config.model.depth} make more than {count:,} parameters, "
            f"which take {4 * count / 1e9:,.0f} GB, and this machine has {there / 1e9:,.0f}: give smaller ones"
        )


def imported(target: str) -> Any:
    """The function that "package.module:function" names.

    Raises:
        UpsDataError: it cannot be imported; the message says why.
    """
    module, _, name = target.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:  # whatever the module does as it is imported
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UpsDataError(
            f"model.target {target!r} cannot be imported ({reason}): give package.module:function, of a package that "
            "is installed or whose folder is on PYTHONPATH"
        ) from error
    if not callable(found):
        raise UpsDataError(f"model.target {target!r} is not a function but {type(found).__name__}")
    return found


def name_of(module: nn.Module) -> str:
    """What a checkpoint calls a given model, for messages; it is never imported."""
    kind = type(module)
    return f"{kind.__module__}:{kind.__qualname__}"
