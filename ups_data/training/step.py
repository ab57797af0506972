"""One training step's forward pass: a batch → its losses."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ups_data.batch import QueryBatch, QuerySet
from ups_data.models.reference import UpsModel
from ups_data.training.bundle import LossBundle, compute_operator_loss_bundle

OPERATOR_TERMS = ("prediction", "rollout", "latent", "spectral")


def batch_losses(
    model: UpsModel,
    batch: QueryBatch,
    *,
    weights: Mapping[str, float],
    epoch: int | None = None,
    inverse_loss_warmup_epochs: int = 0,
    inverse_loss_max_weight: float | None = None,
    on_errors: Callable[[Tensor], None] | None = None,
) -> LossBundle:
    """Encode, advance, decode at the batch's points, and compare; losses in normalised space.

    For a horizon K > 1, `rollout` compares all K steps and `prediction` the first. `latent` needs target points that
    can be encoded (all points, or a lattice). `inverse_decoding` uses the batch's lattice queries, or the full grid if
    there are none.

    Args:
        on_errors: called with the `query_errors` of the prediction, where one is computed.

    Raises:
        UpsDataError: a weight above 0 whose inputs the batch does not hold.
    """
    latent = model.encode(batch.inputs)
    meta = {"grid_shape": batch.inputs.grid_shape}
    queries, targets, lattice = batch.input_queries, batch.target_queries, batch.lattice_queries
    target = model.normalizer(targets.values)

    advanced: Tensor | None = None
    predicted: dict[str, Tensor] | None = None
    if any(weights.get(term, 0) > 0 for term in OPERATOR_TERMS):
        advanced = model.advance(latent, batch.dt, batch.params)
        predicted = model.decode(targets.coords, advanced)
        if on_errors is not None:
            on_errors(query_errors(predicted, target))
    rolls = batch.dt.dim() == 2
    return compute_operator_loss_bundle(
        input_fields=None if queries is None else model.normalizer(queries.values),
        input_positions=None if queries is None else queries.coords,
        input_query_weights=None if queries is None else queries.weight,
        encoded_latent=latent,
        decoder=model.decoder,
        encoder=model.encoder,
        query_positions=None if lattice is None else lattice.coords,
        coords=batch.inputs.coords,
        meta=meta if lattice is None else {"grid_shape": lattice.grid_shape},
        predicted_latent=advanced,
        target_latent=_encode_target(model, targets, target) if weights.get("latent", 0) > 0 else None,
        pred_next=_first_step(predicted) if rolls else predicted,
        target_next=_first_step(target) if rolls else target,
        target_query_weights=targets.weight[:, 0] if rolls else targets.weight,
        pred_rollout=predicted if rolls else None,
        target_rollout=target if rolls else None,
        rollout_query_weights=targets.weight if rolls else None,
        target_grid_shape=targets.grid_shape,
        sample_weights=None if batch.valid is None else batch.valid.to(latent.dtype),
        weights=weights,
        current_epoch=epoch,
        inverse_loss_warmup_epochs=inverse_loss_warmup_epochs,
        inverse_loss_max_weight=inverse_loss_max_weight,
    )


@torch.no_grad()
def query_errors(predicted: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
    """Root mean square error of every query, over channels and then over fields: `(B, Q)` or `(B, K, Q)`.

    To this, not to its square, the size of a query's share in the gradient of a squared error is proportional, and
    queries drawn in proportion to that give the gradient with the least variance (Katharopoulos & Fleuret, 2018, "Not
    all samples are created equal").
    """
    squares = [(predicted[name].float() - values.float()).square().mean(-1) for name, values in target.items()]
    return torch.stack(squares).mean(0).sqrt()


def _first_step(fields: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
    return None if fields is None else {name: values[:, 0] for name, values in fields.items()}


@torch.no_grad()
def _encode_target(model: UpsModel, targets: QuerySet, values: dict[str, Tensor]) -> Tensor | None:
    """The target frames' latent, `(B, M, D)` or `(B, K, M, D)`; None where the points cannot be encoded."""
    encoder = model.encoder
    if targets.grid_shape is None or any(values.get(n) is None for n in encoder.channels):
        return None
    lead = targets.coords.shape[:-2]
    flat = {name: v.flatten(0, -3) for name, v in values.items()}
    latent = encoder(flat, targets.coords.flatten(0, -3), {"grid_shape": targets.grid_shape})
    return latent.unflatten(0, lead)
