"""The training batches of a run, of the points that hold at the time."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ups_data.loader.device import DeviceLoader
from ups_data.loader.loader import QueryLoader
from ups_data.models.protocol import Model, query_sets_of
from ups_data.training.config import TrainConfig
from ups_data.training.latents.start import beside_latents
from ups_data.training.loaders import train_loader
from ups_data.training.points.auto import choose, is_due
from ups_data.training.points.chosen import Chosen
from ups_data.training.ranks.group import Group

Choices = Sequence[Mapping[str, Any]]  # the fields of `Chosen`, the last choice last


def opened(
    config: TrainConfig, model: Model, device: torch.device, chosen: Choices = ()
) -> tuple[QueryLoader, QueryLoader | DeviceLoader]:
    """The loader of the training split, and the same with its batches on the device.

    Args:
        chosen: by the run so far. Only points depend on it: an epoch has as many batches, of the same samples.
    """
    now = config
    if chosen:
        made = Chosen(**chosen[-1])
        now = config.with_points(made.ratio, made.mode)
    loader = train_loader(now, query_sets_of(model, config.loss_weights()))
    loader = beside_latents(loader, config, model)
    return loader, loader.to(device)


def chosen_together(
    config: TrainConfig, model: Model, epoch: int, epochs: int, chosen: Choices, group: Group
) -> dict[str, Any] | None:
    """What rank 0 measures and chooses for an epoch that begins, told to all; None if nothing is to be chosen."""
    if not is_due(config, epoch, epochs, chosen):
        return None
    made: dict[str, Any] = {}
    with group.together():
        if group.first:
            made = choose(config, model, epoch, ranks=group.size)
    return group.of_first(made)
