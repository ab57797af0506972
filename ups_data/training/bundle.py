"""`compute_operator_loss_bundle`: every loss that a training step asked for, in one call."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from torch import Tensor

from ups_data.errors import UpsDataError
from ups_data.models.protocol import LossBundle, total_of
from ups_data.training.losses import (
    Decoder,
    Encoder,
    Fields,
    inverse_decoding_loss,
    inverse_encoding_loss,
    latent_step_loss,
    prediction_loss,
    rollout_loss,
    spectral_loss,
)

TERMS = ("inverse_encoding", "inverse_decoding", "latent", "prediction", "rollout", "spectral")
INVERSE_TERMS = ("inverse_encoding", "inverse_decoding")


def inverse_weight(weight: float, epoch: int | None, warmup_epochs: int = 0, max_weight: float | None = None) -> float:
    """An inverse term's weight at an epoch: from 0 at epoch 0 linearly to `weight` at `warmup_epochs`, at most
    `max_weight`; without an epoch the warm-up is over."""
    if epoch is not None and epoch < warmup_epochs:
        weight = weight * epoch / warmup_epochs
    return weight if max_weight is None else min(weight, max_weight)


def compute_operator_loss_bundle(
    *,
    input_fields: Fields | None = None,
    encoded_latent: Tensor | None = None,
    decoder: Decoder | None = None,
    input_positions: Tensor | None = None,
    input_query_weights: Tensor | None = None,
    encoder: Encoder | None = None,
    query_positions: Tensor | None = None,
    coords: Tensor | None = None,
    meta: Mapping[str, Any] | None = None,
    predicted_latent: Tensor | None = None,
    target_latent: Tensor | None = None,
    pred_next: Fields | None = None,
    target_next: Fields | None = None,
    target_query_weights: Tensor | None = None,
    pred_rollout: Fields | None = None,
    target_rollout: Fields | None = None,
    rollout_query_weights: Tensor | None = None,
    target_grid_shape: Sequence[int] | None = None,
    sample_weights: Tensor | None = None,
    weights: Mapping[str, float],
    current_epoch: int | None = None,
    inverse_loss_warmup_epochs: int = 0,
    inverse_loss_max_weight: float | None = None,
) -> LossBundle:
    """Total and components of the losses whose weight is above 0.

    | term | needs |
    | --- | --- |
    | `inverse_encoding` | input_fields, encoded_latent, decoder, input_positions (input_query_weights) |
    | `inverse_decoding` | encoded_latent, decoder, encoder, coords, meta (query_positions; None: the full grid) |
    | `latent` | predicted_latent, target_latent |
    | `prediction` | pred_next, target_next (target_query_weights) |
    | `rollout` | pred_rollout, target_rollout (rollout_query_weights) |
    | `spectral` | target_grid_shape and pred_rollout, target_rollout, or else pred_next, target_next |

    Args:
        sample_weights: `(B,)` of the terms that have no points to weigh, latent, inverse decoding and spectral: 0 for
            samples that only fill the batch (`QueryBatch.valid`), 1 for all others; None: all count.
        weights: term → factor; terms left out are not computed.
        current_epoch, inverse_loss_warmup_epochs, inverse_loss_max_weight: the inverse terms' weights, see
            `inverse_weight`. A term whose weight is 0 in this epoch is not computed and not in the components.

    The other arguments are those of the functions in `losses`.

    Raises:
        UpsDataError: an unknown term, a negative weight, or a weight above 0 whose inputs are not given.
    """
    spectral_pair = (pred_next, target_next) if pred_rollout is None else (pred_rollout, target_rollout)
    terms: dict[str, tuple[dict[str, Any], Callable[..., Tensor], dict[str, Any]]] = {
        "inverse_encoding": (
            {
                "input_fields": input_fields,
                "latent": encoded_latent,
                "decoder": decoder,
                "input_positions": input_positions,
            },
            inverse_encoding_loss,
            {"query_weights": input_query_weights},
        ),
        "inverse_decoding": (
            {"latent": encoded_latent, "decoder": decoder, "encoder": encoder, "coords": coords, "meta": meta},
            inverse_decoding_loss,
            {"query_positions": query_positions, "sample_weights": sample_weights},
        ),
        "latent": (
            {"predicted_latent": predicted_latent, "target_latent": target_latent},
            latent_step_loss,
            {"sample_weights": sample_weights},
        ),
        "prediction": (
            {"predicted": pred_next, "target": target_next},
            prediction_loss,
            {"query_weights": target_query_weights},
        ),
        "rollout": (
            {"predicted": pred_rollout, "target": target_rollout},
            rollout_loss,
            {"query_weights": rollout_query_weights},
        ),
        "spectral": (
            {"predicted": spectral_pair[0], "target": spectral_pair[1]},
            spectral_loss,
            {"grid_shape": target_grid_shape, "sample_weights": sample_weights},
        ),
    }
    components: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if check_term(name, weight) == 0:
            continue
        required, loss, optional = terms[name]
        missing = [argument for argument, value in required.items() if value is None]
        if missing:
            raise UpsDataError(f"loss {name!r} has weight {weight:g} but no {', '.join(missing)}: give it, or weight 0")
        if name in INVERSE_TERMS:
            weight = inverse_weight(weight, current_epoch, inverse_loss_warmup_epochs, inverse_loss_max_weight)
        if weight > 0:
            components[name] = weight * loss(**required, **optional)
    return LossBundle(total_of(components), components)


def check_term(name: str, weight: float) -> float:
    """The weight, if the name is a term's and the weight is finite and not negative.

    Raises:
        UpsDataError: with the nearest term that there is.
    """
    if name not in TERMS:
        near = get_close_matches(name, TERMS, n=1, cutoff=0)[0]
        raise UpsDataError(f"no loss {name!r}: did you mean {near!r}? Losses are {', '.join(TERMS)}")
    return check_weight(name, weight)


def check_weight(name: str, weight: float) -> float:
    """The weight, if it is finite and not negative.

    Raises:
        UpsDataError: it is not.
    """
    if not 0 <= weight < float("inf"):
        raise UpsDataError(f"loss {name!r} has weight {weight}: give a number from 0")
    return weight
