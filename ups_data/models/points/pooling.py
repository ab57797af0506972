"""`SupernodePooling`: many points with values → few tokens, each of which has gathered its neighbourhood."""

import torch
from torch import Tensor, nn

from ups_data.models.fourier import FourierFeatures
from ups_data.points.neighbours import gather, nearest


class SupernodePooling(nn.Module):
    """Supernodes are a subset of the points; each gathers messages from its nearest points (Alkin et al. 2024,
    "Universal physics transformers", section 3.1).

    A message depends on the sender's values and place and on the way from it to the supernode, in units of the mean way
    in that sample, so that it does not matter how densely a shape is sampled. Messages are averaged.

    Args:
        channels: of the values, 0 if there is nothing but the places.
        fourier: features of the places.
        dim: token width D.
        supernodes: S, tokens of a sample.
        neighbours: k, points that a supernode gathers; it is one of them.
        radius: those further away are left out; None: k nearest, however far.
    """

    def __init__(
        self,
        channels: int,
        fourier: FourierFeatures,
        dim: int,
        *,
        supernodes: int,
        neighbours: int,
        radius: float | None = None,
    ) -> None:
        super().__init__()
        self.supernodes, self.neighbours, self.radius = supernodes, neighbours, radius
        self.fourier = fourier
        components = len(fourier.frequencies)
        self.sender = nn.Linear(channels + fourier.features, dim)
        self.way = nn.Linear(components + 1, dim)
        self.message = nn.Sequential(nn.GELU(), nn.Linear(dim, dim))
        self.place = nn.Linear(fourier.features, dim)
        self.mix = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, values: Tensor | None, coords: Tensor, mask: Tensor | None) -> Tensor:
        """Values `(B, N, C)` at `coords` `(B, N, d)`, `mask` `(B, N)` False in padding → tokens `(B, min(S, N), D)`."""
        index = chosen(coords, mask, self.supernodes, jitter=self.training)
        centres = gather(coords, index)
        around = nearest(coords, centres, self.neighbours, radius=self.radius, mask=mask)
        features = self.fourier(coords)
        sent = self.sender(features if values is None else torch.cat([values.to(features.dtype), features], dim=-1))
        way = gather(coords, around.index) - centres[:, :, None]
        length = around.distance.mean(dim=(1, 2), keepdim=True)[..., None].clamp_min(1e-9)
        way = torch.cat([way / length, length.log().expand(*way.shape[:-1], 1)], dim=-1)
        messages = self.message(gather(sent, around.index) + self.way(way))
        share = around.mask / around.mask.sum(-1, keepdim=True)
        tokens = (messages * share[..., None]).sum(2) + self.place(gather(features, index))
        return tokens + self.mix(tokens)


def chosen(coords: Tensor, mask: Tensor | None, count: int, *, jitter: bool) -> Tensor:
    """`(B, min(count, N))` numbers of points, as evenly spaced among a row's as can be.

    Points are stored along a mesh, or along a curve through space, or at random: evenly spaced numbers are spread over
    the shape. A row of fewer points has some of them several times.

    Args:
        jitter: begin somewhere else each time.
    """
    samples, points = coords.shape[:2]
    count = min(count, points)
    sizes = coords.new_full((samples, 1), points) if mask is None else mask.sum(-1, keepdim=True).to(coords.dtype)
    start = torch.rand(samples, 1, device=coords.device) if jitter else coords.new_full((samples, 1), 0.5)
    even = (torch.arange(count, device=coords.device) + start) / count
    picked = (even * sizes).long().clamp_max(sizes.long() - 1)
    if mask is None:
        return picked
    return (~mask).long().argsort(dim=1, stable=True).gather(1, picked)  # of those that are there, in their order
