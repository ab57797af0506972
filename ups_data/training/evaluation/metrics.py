"""Measures of one frame: how far a prediction is off, in physical units.

Every function takes `(..., N, C)`, N points and C channels, and gives `(...)`. With e = predicted − target:

| measure | formula | as in |
| --- | --- | --- |
| `nrmse` | ‖e‖₂ / ‖t‖₂ over points and channels | one channel: PDEBench's nRMSE, The Well's NRMSE |
| `relative_l2` | the same number, by the name that papers on operators give it | Li et al. 2021, FNO |
| `relative_l1` | ‖e‖₁ / ‖t‖₁ over points and channels | one channel: The Well's NMAE |
| `vrmse` | of each channel √(mean e² / var t), var with N − 1; then the mean over channels | The Well's VRMSE |
| `max_error` | max |e| over points and channels | PDEBench's maximum error, The Well's L∞ |

PDEBench: Takamoto et al. 2022, "PDEBench: an extensive benchmark for scientific machine learning", appendix B. The
Well: Ohana et al. 2024, "The Well: a large-scale collection of diverse physics simulations", section 4. The Well adds
1e-7 to its denominators; here nothing is added, so that a measure does not depend on the units. A frame whose
denominator is 0 has no such measure: it is NaN, or 0 if the prediction is exact.

By volume, sums and means over the points become integrals over the domain: Σ e → Σ v e, with v the size of each point's
cell, and N the sum of v.
"""

from typing import Any

import torch
from torch import Tensor

MEASURES = ("nrmse", "vrmse", "rel_l1", "rel_l2", "max_error")
BY_VOLUME = tuple(name for name in MEASURES if name != "max_error")  # those of which a weight changes something


def nrmse(predicted: Tensor, target: Tensor) -> Tensor:
    """‖predicted − target‖₂ / ‖target‖₂ over the points and channels of each frame."""
    return measures_of(predicted, target)["nrmse"]


def relative_l2(predicted: Tensor, target: Tensor) -> Tensor:
    """‖predicted − target‖₂ / ‖target‖₂: `nrmse` by another name."""
    return measures_of(predicted, target)["rel_l2"]


def relative_l1(predicted: Tensor, target: Tensor) -> Tensor:
    """‖predicted − target‖₁ / ‖target‖₁ over the points and channels of each frame."""
    return measures_of(predicted, target)["rel_l1"]


def vrmse(predicted: Tensor, target: Tensor) -> Tensor:
    """√(mean (predicted − target)² / var target) of each channel, averaged over channels."""
    return measures_of(predicted, target)["vrmse"]


def max_error(predicted: Tensor, target: Tensor) -> Tensor:
    """max |predicted − target| over the points and channels of each frame."""
    return measures_of(predicted, target)["max_error"]


def measures_of(predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Every measure of whole frames: name → `(...)` float64."""
    sums = FrameSums(target.shape[:-2], target.mean(-2, keepdim=True))
    sums.add(predicted, target)
    return sums.measures()


class FrameSums:
    """The sums that all measures are made of, so that frames may come in parts of any size, each point once.

    Args:
        lead: shape of the frames, `(...)`.
        shift: about the target's mean, `(C,)` or anything that broadcasts to `(..., 1, C)`: variances are computed
            relative to it. Any value is right in exact arithmetic; a near one loses no digits.
    """

    def __init__(self, lead: tuple[int, ...], shift: Tensor) -> None:
        self._shift = shift.double()
        device, channels = shift.device, shift.shape[-1]
        self.count = torch.zeros(*lead, 1, dtype=torch.float64, device=device)
        self._total = self.count.clone()  # of the sizes
        zeros = torch.zeros(*lead, channels, dtype=torch.float64, device=device)
        self._e1, self._e2, self._most = zeros.clone(), zeros.clone(), zeros.clone()
        self._t1, self._t2, self._d1, self._d2 = (zeros.clone() for _ in range(4))

    def add(
        self,
        predicted: Tensor,
        target: Tensor,
        mask: Tensor | None = None,
        steps: slice | None = None,
        sizes: Tensor | None = None,
    ) -> None:
        """Some more points of every frame: `(..., Q, C)`.

        Args:
            mask: `(..., Q)`, False at points that do not count.
            steps: which of the frames, along the second axis of the lead; None: all.
            sizes: `(..., Q, 1)`, of the points' cells, by which sums are weighted; None: all are 1.
        """
        at: Any = ... if steps is None else (slice(None), steps)
        target = target.double()
        error, away = (predicted.double() - target).abs(), target - self._shift
        if mask is None:
            self.count[at] += target.shape[-2]
        else:
            self.count[at] += mask.sum(-1, keepdim=True)
            error, away, target = (torch.where(mask[..., None], x, 0.0) for x in (error, away, target))
        self._most[at] = torch.maximum(self._most[at], error.amax(-2))
        if sizes is None:
            weight: Tensor | float = 1.0
            self._total[at] = self.count[at]
        else:
            weight = sizes.double() if mask is None else torch.where(mask[..., None], sizes.double(), 0.0)
            self._total[at] += weight.expand(*error.shape[:-1], 1).sum(-2)
        self._e1[at] += (weight * error).sum(-2)
        self._e2[at] += (weight * error.square()).sum(-2)
        self._t1[at] += (weight * target.abs()).sum(-2)
        self._t2[at] += (weight * target.square()).sum(-2)
        self._d1[at] += (weight * away).sum(-2)
        self._d2[at] += (weight * away.square()).sum(-2)

    def measures(self) -> dict[str, Tensor]:
        """Name → `(...)` float64, of the points so far."""
        spread = (self._d2 - self._d1.square() / self._total).clamp_min(0)
        variance = spread / (self._total - self._total / self.count)  # of equal sizes, N - 1
        nrmse = _ratio(self._e2.sum(-1).sqrt(), self._t2.sum(-1).sqrt())
        return {
            "nrmse": nrmse,
            "vrmse": _ratio((self._e2 / self._total).sqrt(), variance.sqrt()).mean(-1),
            "rel_l1": _ratio(self._e1.sum(-1), self._t1.sum(-1)),
            "rel_l2": nrmse,
            "max_error": self._most.amax(-1),
        }


class IntegralSums:
    """Integrals, Σ size · value, of prediction and target over a surface or another domain; frames may come in parts.

    Args:
        lead: shape of the frames, `(...)`.
        channels: C.
    """

    def __init__(self, lead: tuple[int, ...], channels: int, device: torch.device) -> None:
        zeros = torch.zeros(*lead, channels, dtype=torch.float64, device=device)
        self.predicted, self.target = zeros.clone(), zeros.clone()

    def add(self, steps: slice, predicted: Tensor, target: Tensor, sizes: Tensor, mask: Tensor | None = None) -> None:
        """Some more points of some steps: `(B, k, Q, C)` with the sizes of their cells, `(B, k, Q, 1)`."""
        sizes = sizes.double() if mask is None else torch.where(mask[..., None], sizes.double(), 0.0)
        self.predicted[:, steps] += (sizes * predicted.double()).sum(-2)
        self.target[:, steps] += (sizes * target.double()).sum(-2)

    def error(self) -> Tensor:
        """‖∫ predicted − ∫ target‖ / ‖∫ target‖ over channels: `(...)`."""
        return _ratio((self.predicted - self.target).norm(dim=-1), self.target.norm(dim=-1))


def _ratio(error: Tensor, size: Tensor) -> Tensor:
    """Error ÷ size; 0 where both are 0, NaN where only the size is."""
    return torch.where(size > 0, error / size, torch.where(error > 0, torch.nan, 0.0))
