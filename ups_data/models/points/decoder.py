"""`PointDecoder`: latent tokens without places → values at any points of one set."""

from collections.abc import Mapping

from torch import Tensor, nn

from ups_data.models.fourier import FourierFeatures
from ups_data.models.points.attention import CrossBlock


class PointDecoder(nn.Module):
    """Cross-attention from query points to latent tokens (Jaegle et al. 2021, "Perceiver IO").

    A query sees the latent and its own place only, so that time and memory are proportional to Q.

    Args:
        channels: field → channels to decode.
        fourier: features of the places.
        dim, heads: width and attention heads.
        depth: blocks.
    """

    def __init__(
        self, channels: Mapping[str, int], fourier: FourierFeatures, dim: int, heads: int, depth: int = 2
    ) -> None:
        super().__init__()
        self.channels = dict(channels)
        self.fourier = fourier
        self.query = nn.Sequential(nn.Linear(fourier.features, dim), nn.GELU(), nn.Linear(dim, dim))
        self.blocks = nn.ModuleList(CrossBlock(dim, heads) for _ in range(depth))
        self.read = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU())
        self.out = nn.Linear(dim, sum(channels.values()))

    def forward(self, points: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Points `(B, Q, d)`, latent `(B, M, D)` → field → `(B, Q, C)`."""
        x = self.query(self.fourier(points)).expand(len(latent), -1, -1)
        for block in self.blocks:
            x = block(x, latent)
        values = self.out(self.read(x)).to(points.dtype)
        return dict(zip(self.channels, values.split(list(self.channels.values()), dim=-1), strict=True))
