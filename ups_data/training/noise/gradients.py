"""The variance of a step's gradient: between samples, and within a sample over the draws of its points.

A step's gradient is the mean over B samples, each with Q of its points. By the law of total variance its variance,
summed over all parameters, is

    (σ_b² + σ_w²(Q)) / B

with σ_b² the variance between samples of the gradient over all their points, and σ_w² the variance over draws of
points, averaged over samples. Every mode's weights make a sample's gradient unbiased (see `QuerySet.weight`), so σ_w²
is the mean squared distance from the gradient over all points, for the same choices of the encoder. The first part is
the gradient noise of S. McCandlish et al., "An Empirical Model of Large-Batch Training" (2018), from which
`GradientNoise.signal` comes too.

Adam divides each parameter's step by √v, v being a running mean of its squared gradient. To first order a step along
g / √v gains Σ g²/√v, and with √v in the place of the curvature, as in Adam's own derivation, its noise costs the same
norm of the noise. So what a step is worth is judged in that norm: see `as_adam_sees`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ups_data.errors import UpsDataError

RESAMPLES = 400  # of the bootstrap


@dataclass(frozen=True)
class Within:
    """σ_w² at one ratio, and the standard error of that estimate."""

    variance: float
    error: float


@dataclass(frozen=True)
class GradientNoise:
    """What was measured of a model's gradient.

    Attributes:
        samples: how many it was measured on.
        between, between_error: σ_b², and the standard error of that estimate.
        signal: the squared norm of the mean gradient over all samples and points, without bias; 0 where noise hides it.
        within: mode → ratio → σ_w².
    """

    samples: int
    between: float
    between_error: float
    signal: float
    within: dict[str, dict[float, Within]] = field(default_factory=dict)


def gradient_of(model: nn.Module, loss: Tensor) -> Tensor:
    """The gradient of a loss with respect to all trained parameters, one after another, `(P,)` float64.

    Raises:
        UpsDataError: it is not finite.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    parts = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    gradient = torch.cat([part.detach().reshape(-1) for part in parts]).double()
    if not bool(torch.isfinite(gradient).all()):
        raise UpsDataError("the model's gradient is not finite: train it with a lower rate, or take another checkpoint")
    return gradient


def between_samples(dense: Sequence[Tensor]) -> GradientNoise:
    """σ_b² and the signal, of the gradients over all points of some samples."""
    stacked = torch.stack(list(dense))
    products = (stacked @ stacked.T).cpu().numpy()  # all that a bootstrap needs
    random = np.random.default_rng(0)
    chosen = random.integers(len(dense), size=(RESAMPLES, len(dense)))
    spread = [_trace_variance(products[np.ix_(rows, rows)]) for rows in chosen]
    between = _trace_variance(products)
    signal = max(0.0, float(products.mean()) - between / len(dense))
    # A resample repeats samples, which lowers its variance by (n - 1) / n.
    error = float(np.std(spread, ddof=1)) * len(dense) / max(1, len(dense) - 1)
    return GradientNoise(len(dense), between, error, signal)


def as_adam_sees(dense: Sequence[Tensor]) -> Tensor:
    """What each parameter's gradient is multiplied by, `(P,)`, so that the squared norm becomes Σ g²/√v (see above).

    v is the mean of the squared gradients over some samples; a parameter that none of them moves counts nothing (D. P.
    Kingma & J. Ba, "Adam: A Method for Stochastic Optimization", 2015).
    """
    squared = torch.zeros_like(dense[0])
    for gradient in dense:
        squared += gradient.square() / len(dense)
    return torch.where(squared > 0, squared.clamp(min=1e-40) ** -0.25, 0.0)


def within_samples(
    dense: Sequence[Sequence[Tensor]], drawn: Callable[[int, int], Tensor], draws: int, scale: Tensor
) -> tuple[Within, Within]:
    """σ_w² of one mode and ratio: of the gradient, and of the gradient times `scale`.

    Args:
        dense: each sample's gradient over all its points; one, or one for each draw if the encoder's own choices (the
            points that it is given, random supernodes) are others in each draw. Their variance is a part of σ_b².
        drawn: (sample, draw) → that sample's gradient over points drawn.
        draws: of each sample.
    """
    squares = np.empty((2, len(dense), draws))
    for n, whole in enumerate(dense):
        for draw in range(draws):
            away = drawn(n, draw) - whole[draw % len(whole)]
            squares[:, n, draw] = float(away.square().sum()), float((away * scale).square().sum())
    plain, scaled = (_mean_of(of_samples) for of_samples in squares.mean(-1))
    return plain, scaled


def _mean_of(of_samples: np.ndarray) -> Within:
    error = of_samples.std(ddof=1) / np.sqrt(len(of_samples)) if len(of_samples) > 1 else np.nan
    return Within(float(of_samples.mean()), float(error))


def _trace_variance(products: np.ndarray) -> float:
    """The variance of vectors, summed over components, from their scalar products."""
    count = len(products)
    return float((np.trace(products) - products.sum() / count) / (count - 1))
