"""`AnyPointDecoder`: latent tokens → values at any points."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ups_data.models.attention import DistanceAttention
from ups_data.models.fourier import FourierFeatures, octaves


class AnyPointDecoder(nn.Module):
    """Cross-attention from query points to latent tokens (Jaegle et al. 2021, "Perceiver IO").

    Each point attends to the tokens near it; what it gathers is multiplied by learned functions of the point's
    position (a basis in every cell, as a patch un-embedding has) and an MLP reads the fields off. A query sees the
    latent and its own position only, so time and memory are proportional to Q.

    Args:
        channels: field → channels to decode.
        tokens: token lattice in array order.
        patch: grid cells per token along each axis: the finest detail that the position features resolve.
        dim: token width D.
        heads: attention heads.

    Called as `decoder(points, latent)`: points `(B|1, Q, d)` in [0, 1], latent `(B, M, D)` → field → `(B, Q, C)`.
    """

    def __init__(
        self, channels: Mapping[str, int], tokens: Sequence[int], patch: Sequence[int], dim: int, heads: int = 4
    ) -> None:
        super().__init__()
        self.channels = dict(channels)
        # Octaves say where the point is; multiples of the token frequency say where it is inside its cell.
        self.fourier = FourierFeatures(
            [
                [*octaves(t / 2), *(t * k for k in range(1, min(max(p // 2, 1), 16) + 1))]
                for t, p in zip(reversed(tokens), reversed(patch), strict=True)
            ]
        )
        self.query = nn.Linear(self.fourier.features, dim)
        self.attention = DistanceAttention(dim, heads, tokens)
        self.basis = nn.Sequential(nn.Linear(self.fourier.features, dim), nn.GELU(), nn.Linear(dim, dim))
        self.read = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, sum(channels.values())))

    def forward(self, points: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Points `(B|1, Q, d)`, latent `(B, M, D)` → field → `(B, Q, C)`."""
        if points.stride(0) == 0:  # one set of points broadcast over the batch: its features are computed once
            points = points[:1]
        features = self.fourier(points)
        gathered = self.attention(self.query(features), points, latent)
        values = self.read(gathered * self.basis(features) + gathered).to(points.dtype)
        return dict(zip(self.channels, values.split(list(self.channels.values()), dim=-1), strict=True))


@torch.no_grad()
def decode_dense(decoder: nn.Module, points: Tensor, latent: Tensor, chunk: int = 16384) -> dict[str, Tensor]:
    """Decode many points in chunks, without gradients: field → `(B, N, C)`, every point included.

    Args:
        points: `(B|1, N, d)`.
        latent: `(B, M, D)`.
        chunk: points times batch size held at once.
    """
    size = max(1, chunk // len(latent))
    parts = [decoder(p, latent) for p in points.split(size, dim=1)]
    return {name: torch.cat([p[name] for p in parts], dim=1) for name in parts[0]}
