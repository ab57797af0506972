"""One training step: a batch → its losses, as the model gives them, → gradients over all ranks → new parameters."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ups_data.batch import QueryBatch
from ups_data.batch.records import Errors
from ups_data.errors import UpsDataError
from ups_data.models.protocol import LossBundle, LossContext, Model, total_of
from ups_data.training.bundle import compute_operator_loss_bundle
from ups_data.training.compiled import Compiled, told_if_not_compiled
from ups_data.training.config import TrainingConfig
from ups_data.training.optimiser import Average, Optimiser
from ups_data.training.ranks.group import Group, told_if_gone


class TrainStep:
    """Takes optimiser steps on a model: gradients of one batch on all ranks, in parts if it is to be accumulated.

    The loss is the mean over the samples of the whole batch, however they are shared out: each part of each rank counts
    as much as it has samples.

    Every rank makes it, together: they begin with rank 0's parameters.

    Args:
        average: of the parameters, kept up to date; None: none.
        settings: `accumulate`, the number of parts; `compile`.
    """

    def __init__(
        self, model: Model, optimiser: Optimiser, average: Average | None, group: Group, settings: TrainingConfig
    ) -> None:
        self.model, self.optimiser, self.average = model, optimiser, average
        self.group, self.parts = group, settings.accumulate
        self._told = told_if_not_compiled if settings.compile else nullcontext
        self.losses: nn.Module = Compiled(_Losses(model)) if settings.compile else _Losses(model)
        self.shared: DistributedDataParallel | None = None
        if group.size > 1:
            # A term whose weight is still 0 leaves parameters unused. The option also keeps the gradients in the groups
            # that they begin with: regrouped, a run that goes on from a checkpoint would round in another order.
            with told_if_gone():
                self.losses = self.shared = DistributedDataParallel(self.losses, find_unused_parameters=True)

    def __call__(self, batch: QueryBatch, context: LossContext, samples: int | None = None) -> dict[str, float]:
        """One step.

        Args:
            samples: of the batch on all ranks; None: it is the whole.

        Returns:
            `total` and every term, of the batch on all ranks.

        Raises:
            UpsDataError: the loss is not finite; the parameters are as they were.
        """
        whole = len(batch) if samples is None else samples
        parts = self._parts(batch)
        found: list[tuple[float, Tensor]] = []
        told: list[Errors] = []
        self.optimiser.zero_grad()
        for number, part in enumerate(parts, 1):
            share = len(part) / whole
            with self._gradients_stay_here(number < len(parts)), told_if_gone():
                with self.optimiser.autocast():
                    terms, errors = self.losses(part, replace(context, on_errors=None), context.on_errors is not None)
                    total = total_of(terms)
                scale = share * self.group.size  # of what the ranks have, the mean is taken
                with self._told():
                    self.optimiser.backward(total if scale == 1 else total * scale)
            told += errors
            found.append((share, torch.stack([value.detach().float() for value in (total, *terms.values())])))
        mine = [0.0] * len(found[0][1])
        for share, values in found:
            mine = [sum_ + share * value for sum_, value in zip(mine, values.tolist(), strict=True)]
        loss = dict(zip(["total", *terms], self.group.total(mine), strict=True))
        if not math.isfinite(loss["total"]):
            raise UpsDataError(f"the loss is {loss['total']} in epoch {context.epoch}: lower training.lr, or use fp32")
        self.optimiser.step()
        if self.average is not None:
            self.average.update(self.model)
        if context.on_errors is not None and told:
            context.on_errors(joined_errors(told))
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Parameters, optimiser, average."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            RuntimeError, ValueError: it is another model's.
        """
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])

    def _parts(self, batch: QueryBatch) -> list[QueryBatch]:
        count = min(self.parts, len(batch))
        if count == 1:
            return [batch]
        bounds = [len(batch) * part // count for part in range(count + 1)]
        return batch.split([stop - start for start, stop in itertools.pairwise(bounds)])

    def _gradients_stay_here(self, stay: bool) -> AbstractContextManager[None]:
        return self.shared.no_sync() if stay and self.shared is not None else nullcontext()


class _Losses(nn.Module):
    """A model's losses as a forward pass: this is what can be compiled, and shared between ranks.

    The errors of the queries, if they are wanted, come out beside the losses: with a function of each step's own to
    take them, the losses would be compiled for each step.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, batch: QueryBatch, context: LossContext, wants_errors: bool
    ) -> tuple[dict[str, Tensor], list[Errors]]:
        errors: list[Errors] = []
        if wants_errors:
            context = LossContext(context.weights, context.bundle, context.epoch, errors.append)
        return dict(self.model.losses(batch, context)), errors


def joined_errors(parts: Sequence[Errors]) -> Errors:
    """The errors of a batch's queries from those of its parts."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat([part for part in parts if isinstance(part, Tensor)])
    return {name: torch.cat([part[name] for part in parts if isinstance(part, Mapping)]) for name in first}


def batch_losses(
    model: Model,
    batch: QueryBatch,
    *,
    weights: Mapping[str, float],
    epoch: int | None = None,
    inverse_loss_warmup_epochs: int = 0,
    inverse_loss_max_weight: float | None = None,
    on_errors: Callable[[Errors], None] | None = None,
) -> LossBundle:
    """The model's losses on a batch, and their sum.

    Args:
        model: see `models.protocol.Model`.
        weights, epoch, inverse_loss_warmup_epochs, inverse_loss_max_weight: see `compute_operator_loss_bundle`.
        on_errors: called with the `query_errors` of the prediction, where one is computed.

    Raises:
        UpsDataError: a weight above 0 whose inputs the batch does not hold, or a loss that is not one number.
    """
    context = loss_context(
        weights,
        epoch=epoch,
        inverse_loss_warmup_epochs=inverse_loss_warmup_epochs,
        inverse_loss_max_weight=inverse_loss_max_weight,
        on_errors=on_errors,
    )
    losses = dict(model.losses(batch, context))
    return LossBundle(total_of(losses), losses)


def training_context(
    settings: TrainingConfig, weights: Mapping[str, float], epoch: int, on_errors: Callable[[Errors], None] | None
) -> LossContext:
    """`loss_context` of a run's configuration."""
    return loss_context(
        weights,
        epoch=epoch,
        inverse_loss_warmup_epochs=settings.inverse_loss_warmup_epochs,
        inverse_loss_max_weight=settings.inverse_loss_max_weight,
        on_errors=on_errors,
    )


def loss_context(
    weights: Mapping[str, float],
    *,
    epoch: int | None = None,
    inverse_loss_warmup_epochs: int = 0,
    inverse_loss_max_weight: float | None = None,
    on_errors: Callable[[Errors], None] | None = None,
) -> LossContext:
    """What `model.losses` gets beside the batch; `loss_context({"prediction": 1.0})` is enough to try a model."""
    bundle = partial(
        compute_operator_loss_bundle,
        weights=weights,
        # After the warm-up an epoch is as good as another: compiled losses are not compiled again for each.
        current_epoch=None if epoch is None else min(epoch, inverse_loss_warmup_epochs),
        inverse_loss_warmup_epochs=inverse_loss_warmup_epochs,
        inverse_loss_max_weight=inverse_loss_max_weight,
    )
    return LossContext(weights=weights, bundle=bundle, epoch=epoch, on_errors=on_errors)
