"""Fourier features of coordinates: what lets an MLP represent fine detail over [0, 1]^d."""

from collections.abc import Sequence
from math import pi

import torch
from torch import Tensor, nn


class FourierFeatures(nn.Module):
    """Coordinates → sines and cosines per axis (Tancik et al. 2020, "Fourier features let networks learn high
    frequency functions in low dimensional domains", axis-aligned variant).

    Args:
        frequencies: cycles per unit length, one sequence per component (x, y(, z)).

    Called with `(..., d)`; returns `(..., features)` with `features = d + 2 * total number of frequencies`: the
    coordinates themselves, the sines, the cosines.
    """

    frequencies: Tensor

    def __init__(self, frequencies: Sequence[Sequence[float]]) -> None:
        super().__init__()
        d = len(frequencies)
        rows = [[0.0] * j + [2 * pi * f] + [0.0] * (d - j - 1) for j, axis in enumerate(frequencies) for f in axis]
        self.register_buffer("frequencies", torch.tensor(rows).T.contiguous(), persistent=False)
        self.features = d + 2 * len(rows)

    def forward(self, coords: Tensor) -> Tensor:
        """Coordinates `(..., d)` → `(..., features)`."""
        angles = coords @ self.frequencies.to(coords.dtype)
        return torch.cat([coords, angles.sin(), angles.cos()], dim=-1)


def octaves(highest: float) -> list[float]:
    """½, 1, 2, 4 … cycles per unit length, up to `highest`."""
    found = [0.5]
    while found[-1] * 2 <= highest:
        found.append(found[-1] * 2)
    return found
