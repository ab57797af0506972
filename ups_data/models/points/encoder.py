"""`PointsEncoder`: the points of one or several sets → a fixed number of latent tokens."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ups_data.batch import EncoderInput
from ups_data.models.points.attention import CrossBlock
from ups_data.models.points.pooling import SupernodePooling


class PointsEncoder(nn.Module):
    """Supernodes of every set, which then look at one another, and a fixed number of learned tokens that gather from
    all of them (perceiver pooling, Jaegle et al. 2021; Alkin et al. 2024).

    Args:
        poolings: key of a set → its supernodes.
        channels: key of a set → field → channels that it brings (times input steps), in the order of stacking.
        dim, heads: width and attention heads.
        tokens: M, latent tokens.
    """

    def __init__(
        self,
        poolings: Mapping[str, SupernodePooling],
        channels: Mapping[str, Mapping[str, int]],
        dim: int,
        heads: int,
        tokens: int,
    ) -> None:
        super().__init__()
        self.channels = {key: dict(of_set) for key, of_set in channels.items()}
        self.poolings = nn.ModuleDict(poolings)
        self.set_marks = nn.ParameterDict({key: nn.Parameter(torch.zeros(dim)) for key in poolings})
        self.exchange = CrossBlock(dim, heads)
        self.tokens = nn.Parameter(torch.randn(tokens, dim) * dim**-0.5)
        self.pool = CrossBlock(dim, heads)

    def forward(self, fields: Mapping[str, Mapping[str, Tensor]], inputs: Mapping[str, EncoderInput]) -> Tensor:
        """Key of a set → normalised fields, and the set's points → latent `(B, M, D)`."""
        found = []
        for key, pooling in self.poolings.items():
            given = inputs[key]
            values = [_flat(fields[key][name]) for name in self.channels[key]]
            coords = given.coords.expand(len(values[0]) if values else len(given.coords), -1, -1)
            mask = given.mask if given.mask is None or given.mask.dim() == 2 else given.mask.all(1)  # in all steps
            found.append(pooling(torch.cat(values, dim=-1) if values else None, coords, mask) + self.set_marks[key])
        nodes = torch.cat(found, dim=1)
        nodes = self.exchange(nodes, nodes)
        latent: Tensor = self.pool(self.tokens.expand(len(nodes), -1, -1), nodes)
        return latent


def _flat(values: Tensor) -> Tensor:
    """`(B, N, C)`, input steps as channels."""
    return values.float() if values.dim() == 3 else values.float().transpose(1, 2).flatten(2)
