"""Losses over whatever points they are given: nothing here draws, selects or indexes a point.

Shapes: B samples, Q points, C channels, K steps, M tokens of width D. Field values come as dicts, field → tensor. Every
loss over fields is the mean over elements of each field, then the mean over fields, so a field counts the same
however many channels it has. All values are meant to be normalised (zero mean, unit variance per channel).
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ups_data.errors import UpsDataError

Fields = Mapping[str, Tensor]
Decoder = Callable[[Tensor, Tensor], Fields]
Encoder = Callable[[Fields, Tensor, Mapping[str, Any]], Tensor]


def weighted_mse(predicted: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of `weights · (predicted − target)²` over all elements, never renormalised by the sum of weights.

    The square root of the weights goes into the difference: with weights 1, value and gradients are bit-identical to
    `F.mse_loss(predicted, target)`.

    Args:
        predicted, target: `(..., Q, C)`, the same shape.
        weights: `(..., Q)` non-negative, or None for 1.
    """
    _check_alike(predicted, target)
    if weights is None:
        return F.mse_loss(predicted, target)
    if weights.shape != target.shape[:-1]:
        raise UpsDataError(
            f"weights {tuple(weights.shape)} do not fit values {tuple(target.shape)}: give one for each point"
        )
    return _scaled_mse(predicted, target, weights.unsqueeze(-1))


def _check_alike(predicted: Tensor, target: Tensor) -> None:
    if predicted.shape != target.shape:
        raise UpsDataError(
            f"predicted {tuple(predicted.shape)} and target {tuple(target.shape)} differ in shape: give both the same"
        )


def _scaled_mse(predicted: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """With weights that broadcast to the values."""
    scaled = (predicted - target) * weights.sqrt()
    return F.mse_loss(scaled, torch.zeros_like(scaled))


def _sample_mse(predicted: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    """`F.mse_loss` of `(B, ...)` with a weight for each sample, `(B,)`; None: without any."""
    if weights is None:
        return F.mse_loss(predicted, target)
    return _scaled_mse(predicted, target, weights.view(-1, *[1] * (target.dim() - 1)))


def prediction_loss(predicted: Fields, target: Fields, query_weights: Tensor | None = None) -> Tensor:
    """Mean squared error of decoded predictions at the target queries.

    Args:
        predicted: field → `(B, Q, C)`; may hold more fields than the target.
        target: field → `(B, Q, C)`.
        query_weights: `(B, Q)`; with the inverse inclusion probabilities that a query set carries, the loss is an
            unbiased estimate of the loss over all points.
    """
    return _mean_over_fields(predicted, target, lambda p, t: weighted_mse(p, t, query_weights))


def rollout_loss(predicted: Fields, target: Fields, query_weights: Tensor | None = None) -> Tensor:
    """`prediction_loss` over K steps at once: values `(B, K, Q, C)`, weights `(B, K, Q)`."""
    return prediction_loss(predicted, target, query_weights)


def latent_step_loss(predicted_latent: Tensor, target_latent: Tensor, sample_weights: Tensor | None = None) -> Tensor:
    """Mean squared error between the operator's latent and the encoding of the frame that it should reach.

    Both `(B, M, D)` or `(B, K, M, D)`. The target takes an encodable target frame: dense, or a lattice.

    Args:
        sample_weights: `(B,)`, 0 for samples that only fill the batch (`QueryBatch.valid`); None: 1.
    """
    _check_alike(predicted_latent, target_latent)
    return _sample_mse(predicted_latent, target_latent, sample_weights)


def inverse_encoding_loss(
    input_fields: Fields,
    latent: Tensor,
    decoder: Decoder,
    input_positions: Tensor,
    weight: float = 1.0,
    query_weights: Tensor | None = None,
) -> Tensor:
    """Decoding the encoding gives back the input (Alkin et al. 2024, "Universal physics transformers", section 3.2).

    Args:
        input_fields: field → `(B, Q, C)`, the input's values at `input_positions`.
        latent: `(B, M, D)`, the encoded input.
        decoder: `(positions, latent)` → field → `(B, Q, C)`.
        input_positions: `(B|1, Q, d)`.
        weight: factor on the loss.
        query_weights: `(B, Q)`, see `prediction_loss`.
    """
    return weight * prediction_loss(decoder(input_positions, latent), input_fields, query_weights)


def inverse_decoding_loss(
    latent: Tensor,
    decoder: Decoder,
    encoder: Encoder,
    query_positions: Tensor | None,
    coords: Tensor,
    meta: Mapping[str, Any],
    weight: float = 1.0,
    sample_weights: Tensor | None = None,
) -> Tensor:
    """Encoding the decoding gives back the latent (Alkin et al. 2024, section 3.2).

    Args:
        latent: `(B, M, D)`.
        decoder: `(positions, latent)` → field → `(B, Q, C)`.
        encoder: `(fields, coords, meta)` → `(B, M, D)`, for lattices of any size.
        query_positions: `(B|1, Q, d)`, points of a lattice, where the decoded values are encoded again; None: the
            full grid, `coords`.
        coords: `(B|1, N, d)`, the full grid.
        meta: `meta["grid_shape"]` is the shape of the lattice that is decoded.
        weight: factor on the loss.
        sample_weights: see `latent_step_loss`.

    Raises:
        UpsDataError: the points do not form the lattice, so a grid encoder cannot encode them again.
    """
    positions = coords if query_positions is None else query_positions
    shape = meta.get("grid_shape")
    if shape is None or positions.shape[-2] != prod(shape):
        raise UpsDataError(
            f"inverse decoding: {positions.shape[-2]} query points are not the lattice {shape} that the encoder is to "
            'take: draw them with mode="lattice" (or lattice_queries=True), or pass None for the full grid'
        )
    return weight * _sample_mse(encoder(decoder(positions, latent), positions, meta), latent, sample_weights)


def spectral_loss(
    predicted: Fields, target: Fields, grid_shape: Sequence[int] | None, sample_weights: Tensor | None = None
) -> Tensor:
    """Mean squared error between amplitude spectra |rfftn|, orthonormal, over a grid or lattice.

    Args:
        predicted, target: field → `(..., Q, C)`, row-major over the lattice.
        grid_shape: the lattice's shape, prod = Q.
        sample_weights: see `latent_step_loss`.

    Raises:
        UpsDataError: the points form no lattice, so they have no spectrum.
    """

    def amplitudes(values: Tensor) -> Tensor:
        if grid_shape is None or values.shape[-2] != prod(grid_shape):
            raise UpsDataError(
                f"spectral loss: {values.shape[-2]} points do not form the grid {grid_shape}: draw the targets with "
                'mode="lattice" or ratio 1'
            )
        lattice = values.unflatten(-2, tuple(grid_shape))
        axes = tuple(range(-1 - len(grid_shape), -1))
        return torch.fft.rfftn(lattice, dim=axes, norm="ortho").abs()

    return _mean_over_fields(predicted, target, lambda p, t: _sample_mse(amplitudes(p), amplitudes(t), sample_weights))


def _mean_over_fields(predicted: Fields, target: Fields, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    missing = [name for name in target if name not in predicted]
    if missing:
        raise UpsDataError(f"field {missing[0]!r} has a target but is not predicted; predicted: {', '.join(predicted)}")
    total, *others = [loss(predicted[name], values) for name, values in target.items()]
    for other in others:
        total = total + other
    return total / (1 + len(others))
