"""The first steps of a run, so that the noise is measured of a model that has learnt something."""

import copy
import itertools
from collections.abc import Callable
from functools import partial

import torch

from ups_data.models.protocol import Model, query_sets_of
from ups_data.training.config import TrainConfig
from ups_data.training.loaders import train_loader
from ups_data.training.optimiser import Optimiser
from ups_data.training.ranks.group import Group
from ups_data.training.step import TrainStep, training_context

RATIO, MODE = 0.1, "stratified"  # of a run that would draw every point: a trial is to be short


def after_steps(
    config: TrainConfig, model: Model, steps: int, device: torch.device, progress: Callable[[int, int], None]
) -> tuple[Model, int]:
    """A copy of the model after the first optimiser steps of the run, and their number: fewer if the run has fewer.

    Args:
        config: of the run. If it draws every point, or chooses for itself, the trial draws a tenth.
        model: stays as it is.
        progress: called with (steps taken, of how many).

    Raises:
        UpsDataError: the loss is not finite.
    """
    settings, weights = config.training, config.loss_weights()
    made = copy.deepcopy(model).train()
    loader = train_loader(_with_few_points(config), query_sets_of(made, weights))
    feeds_back = config.to_sampling().metric == "error"
    step = TrainStep(made, Optimiser(made, settings, len(loader), device), None, Group(), settings)
    batches, taken, count = loader.to(device), 0, min(steps, settings.steps_in_all(len(loader)))
    for epoch in itertools.count():
        if taken >= count:
            break
        batches.set_epoch(epoch)
        for batch in itertools.islice(batches, count - taken):
            on_errors = partial(loader.feedback, batch) if feeds_back else None
            step(batch, training_context(settings, weights, epoch, on_errors))
            taken += 1
            progress(taken, count)
    loader.end_threads()
    return made, taken


def _with_few_points(config: TrainConfig) -> TrainConfig:
    sampling = config.to_sampling()
    draws_few = sampling.num_queries is not None or sampling.schedule != "constant" or sampling.ratio not in (None, 1.0)
    if config.data.sampling is not None or draws_few:
        return config
    return config.with_points(RATIO, MODE)
