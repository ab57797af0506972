"""`GridEncoder`: a lattice of values of any size → a fixed number of latent tokens."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from ups_data.errors import UpsDataError
from ups_data.models.fourier import FourierFeatures, octaves
from ups_data.models.resample import lattice_axes, resample_axis


class GridEncoder(nn.Module):
    """Patches plus Fourier features of the dense coordinates → `(B, M, D)`.

    The lattice is first brought to the encoder's own size (linear interpolation at its coordinates, exact where the
    lattice already has that size), then cut into patches. So M and D are fixed, and a coarse, randomly offset lattice
    of decoded values can be encoded again by the same weights: that is what the inverse-decoding loss does on
    sampled points (Alkin et al. 2024, "Universal physics transformers", inverse losses).

    Args:
        channels: field → channels it brings (times input steps), in the order in which they are stacked.
        tokens: token lattice in array order, M = prod(tokens).
        patch: grid cells per token along each axis; `tokens * patch` is the encoder's own size.
        dim: token width D.

    Called as `encoder(fields, coords, meta)`: fields `(B, N, C)` or `(B, S, N, C)`, row-major; coords `(1|B, N, d)`,
    a product of increasing axes in [0, 1]; `meta["grid_shape"]` the lattice's shape, prod = N.

    Raises:
        UpsDataError: a field is missing, or its points do not fill `grid_shape`.
    """

    def __init__(self, channels: Mapping[str, int], tokens: Sequence[int], patch: Sequence[int], dim: int) -> None:
        super().__init__()
        self.channels, self.tokens, self.patch, self.dim = dict(channels), tuple(tokens), tuple(patch), dim
        self.size = tuple(t * p for t, p in zip(tokens, patch, strict=True))
        self.embed = nn.Linear(sum(channels.values()) * prod(patch), dim)
        self.fourier = FourierFeatures([octaves(t / 2) for t in reversed(self.tokens)])
        self.place = nn.Linear(self.fourier.features, dim)
        self.mix = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, fields: Mapping[str, Tensor], coords: Tensor, meta: Mapping[str, Any]) -> Tensor:
        """Fields `(B, N, C)` or `(B, S, N, C)` at `coords` `(1|B, N, d)` → latent `(B, M, D)`."""
        shape = tuple(meta["grid_shape"])
        values = self._stack(fields, shape)
        axes = lattice_axes(coords, shape)
        centres = []
        for axis, (size, patch) in enumerate(zip(self.size, self.patch, strict=True)):
            wanted = torch.linspace(0, 1, size, device=values.device)
            if axes[axis].shape[-1] != size:
                values = resample_axis(values, axes[axis], wanted, axis + 1)
                centres.append(wanted.view(1, -1, patch).mean(-1))
            else:
                centres.append(axes[axis].unflatten(-1, (-1, patch)).mean(-1))
        latent = self.embed(self._patches(values)) + self.place(self.fourier(_product(centres)))
        return latent + self.mix(latent)

    def _stack(self, fields: Mapping[str, Tensor], shape: tuple[int, ...]) -> Tensor:
        """`(B, *shape, C)`: every field's channels side by side, input steps folded into channels."""
        stacked = []
        for name, channels in self.channels.items():
            if name not in fields:
                raise UpsDataError(
                    f"the encoder needs field {name!r}, got {', '.join(fields)}: name it among data.input_fields"
                )
            x = fields[name]
            if x.dim() == 4:
                x = x.movedim(1, 2).flatten(2)
            if x.shape[1] != prod(shape) or x.shape[2] != channels:
                raise UpsDataError(
                    f"field {name!r}: {x.shape[1]} points × {x.shape[2]} channels; the encoder expects "
                    f"{prod(shape)} (grid {shape}) × {channels}"
                )
            stacked.append(x)
        return torch.cat(stacked, dim=-1).unflatten(1, shape)

    def _patches(self, values: Tensor) -> Tensor:
        """`(B, *size, C)` → `(B, M, prod(patch) * C)`."""
        d = len(self.size)
        for axis in reversed(range(d)):
            values = values.unflatten(axis + 1, (self.tokens[axis], self.patch[axis]))
        order = [0, *range(1, 2 * d, 2), *range(2, 2 * d + 1, 2), 2 * d + 1]
        return values.permute(order).flatten(1, d).flatten(2)


def _product(axes: Sequence[Tensor]) -> Tensor:
    """Axis positions `(1|B, n)` in array order → points `(1|B, prod(n), d)`, components x, y(, z)."""
    d = len(axes)
    b = max(len(a) for a in axes)
    shape = [a.shape[-1] for a in axes]
    planes = [a.view(len(a), *[1] * i, -1, *[1] * (d - 1 - i)).expand(b, *shape).flatten(1) for i, a in enumerate(axes)]
    return torch.stack(list(reversed(planes)), dim=-1)
