"""Linear interpolation of lattice values onto another lattice, axis by axis."""

from collections.abc import Sequence

import torch
from torch import Tensor


def lattice_axes(coords: Tensor, shape: Sequence[int]) -> list[Tensor]:
    """Positions along each array axis of a lattice's points: `(1|B, N, d)` → one `(1|B, n)` per array axis.

    Each sample may have its own offset; within a sample the lattice is a product of its axes.
    """
    lattice = coords.unflatten(1, tuple(shape))
    d = len(shape)
    axes = []
    for axis in range(d):
        line = lattice.movedim(axis + 1, 1)[..., d - 1 - axis]  # component x runs along the last array axis
        axes.append(line.flatten(2)[..., 0] if d > 1 else line)
    return axes


def resample_axis(values: Tensor, positions: Tensor, wanted: Tensor, axis: int) -> Tensor:
    """Values at `wanted` positions of one axis, linear between neighbours and for one spacing beyond the ends.

    A coarse, offset lattice stops short of the domain's edge by up to its spacing. Measured on smooth fields at half
    the points per axis, its latent is then 2 % off the dense one if values are held constant, 0.3 % carried on.

    Args:
        values: `(B, n_0, …, C)`; `axis` is the one to interpolate along.
        positions: `(1|B, n)` increasing positions of the values.
        wanted: `(m,)` positions asked for.

    Returns:
        `values` with n replaced by m. Differentiable in `values`.
    """
    n = positions.shape[-1]
    if n == 1:
        return values.movedim(axis, 0).expand(len(wanted), *[-1] * (values.dim() - 1)).movedim(0, axis)
    wanted = wanted.to(positions).expand(len(positions), -1).contiguous()
    right = torch.searchsorted(positions.contiguous(), wanted).clamp(1, n - 1)
    left = right - 1
    x0, x1 = positions.gather(1, left), positions.gather(1, right)
    share = ((wanted - x0) / (x1 - x0)).clamp(-1, 2)

    rows = values.movedim(axis, 1)
    tail = [1] * (rows.dim() - 2)
    if len(positions) == 1:  # one lattice for the batch
        a, b = rows.index_select(1, left[0]), rows.index_select(1, right[0])
    else:
        a, b = (rows.gather(1, i.view(*i.shape, *tail).expand(-1, -1, *rows.shape[2:])) for i in (left, right))
    return torch.lerp(a, b, share.to(values.dtype).view(*share.shape, *tail)).movedim(1, axis)
