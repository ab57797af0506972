"""One training step's forward pass: a batch → its losses, as the model gives them."""

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor

from ups_data.batch import QueryBatch
from ups_data.models.protocol import LossBundle, LossContext, Model, total_of
from ups_data.training.bundle import compute_operator_loss_bundle


def batch_losses(
    model: Model,
    batch: QueryBatch,
    *,
    weights: Mapping[str, float],
    epoch: int | None = None,
    inverse_loss_warmup_epochs: int = 0,
    inverse_loss_max_weight: float | None = None,
    on_errors: Callable[[Tensor], None] | None = None,
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


def loss_context(
    weights: Mapping[str, float],
    *,
    epoch: int | None = None,
    inverse_loss_warmup_epochs: int = 0,
    inverse_loss_max_weight: float | None = None,
    on_errors: Callable[[Tensor], None] | None = None,
) -> LossContext:
    """What `model.losses` gets beside the batch; `loss_context({"prediction": 1.0})` is enough to try a model."""
    bundle = partial(
        compute_operator_loss_bundle,
        weights=weights,
        current_epoch=epoch,
        inverse_loss_warmup_epochs=inverse_loss_warmup_epochs,
        inverse_loss_max_weight=inverse_loss_max_weight,
    )
    return LossContext(weights=weights, bundle=bundle, epoch=epoch, on_errors=on_errors)
