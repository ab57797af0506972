"""Normalised coordinates of grid points: components x, y(, z), rows in row-major order.

For an (H, W) grid `coords[..., 0]` is x along W and `coords[..., 1]` is y along H: component j runs along array
axis d - 1 - j.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def normalise_axis(coordinates: np.ndarray) -> np.ndarray:
    """Map one axis' coordinates (n,) to [0, 1], float32.

    Evenly spaced coordinates give exactly `linspace(0, 1, n)`, so that cell centres and nodes look alike to a model
    and rounding in the source's file does not matter; others keep their spacing.
    """
    a = np.asarray(coordinates, np.float64)
    even = np.linspace(0.0, 1.0, a.size)
    if a.size < 2 or a[-1] == a[0]:
        return even.astype(np.float32)
    unit = (a - a[0]) / (a[-1] - a[0])
    spacing = 1.0 / (a.size - 1)
    return (even if np.abs(unit - even).max() < 1e-2 * spacing else unit).astype(np.float32)


def outer_coords(axes: Sequence[np.ndarray]) -> np.ndarray:
    """Coordinates of every point of the lattice spanned by `axes` (array order): (N, d) float32, components x, y, z."""
    planes = np.meshgrid(*axes, indexing="ij")
    return np.stack([p.reshape(-1) for p in reversed(planes)], axis=-1).astype(np.float32)


def make_grid_coords(
    shape: Sequence[int], *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Normalised coordinates of a regular grid, each axis `linspace(0, 1, n)`.

    Args:
        shape: grid shape in array order, `(W,)`, `(H, W)` or `(D, H, W)`.
        dtype: None: float32.

    Returns:
        `(1, prod(shape), len(shape))`, row-major; components x (last array axis), y, z.
    """
    import torch  # a conversion, which needs the rest of this file, does without

    coords = outer_coords([normalise_axis(np.arange(n)) for n in shape])
    return torch.from_numpy(coords)[None].to(device=device, dtype=dtype)
