"""How a run begins: from another run's weights, with parts of the model that stay as they are."""

from pathlib import Path
from typing import TypeVar

from torch import nn

from ups_data.errors import UpsDataError
from ups_data.loader.loader import QueryLoader
from ups_data.models.protocol import Model
from ups_data.training.config import TrainConfig
from ups_data.training.latents.beside import with_latents
from ups_data.training.latents.digest import encoder_parts
from ups_data.training.runs.trained import weights_of

M = TypeVar("M", bound=Model)


def started(model: M, config: TrainConfig) -> M:
    """The model with the weights of `training.start_from`, and without gradients where `training.frozen` says so, or
    where `data.latents` are read.

    Raises:
        UpsDataError: no such run, weights of another model, or a part that the model does not have.
    """
    if config.training.start_from is not None:
        weights_of(config.training.start_from, model)
    frozen = list(config.training.frozen)
    if config.data.latents is not None:
        frozen += encoder_parts(model)
    for name in frozen:
        part = getattr(model, name, None)
        if not isinstance(part, nn.Module):
            have = ", ".join(child for child, _ in model.named_children())
            raise UpsDataError(f"training.frozen: the model has no part {name!r}: choose of {have}")
        part.requires_grad_(False)
    return model


def beside_latents(loader: QueryLoader, config: TrainConfig, model: nn.Module) -> QueryLoader:
    """The loader, or the one that reads `data.latents` too.

    Raises:
        UpsDataError: see `with_latents`.
    """
    if config.data.latents is None:
        return loader
    found: object = with_latents(loader, Path(config.data.latents), model, config.data)
    return found  # type: ignore[return-value]  # it is one in all that training asks of it
