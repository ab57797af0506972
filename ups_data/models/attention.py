"""Cross-attention that is local from the first step: a distance bias on the logits.

    logit_h(x, j) = q_h(x) · k_h(j) / √e  −  s_h |x + δ_h − c_j|² / spacing²

`c_j` is where token j sits, `s_h` (sharpness) and `δ_h` (where head h looks) are learned. Expanding the square, its
x-part cancels in the softmax and the rest is an inner product, so it rides along as d + 1 extra components of q and k:
the fused attention kernels need no mask, and memory stays proportional to the number of queries.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups_data.errors import UpsDataError
from ups_data.points.coords import make_grid_coords


def token_centres(tokens: Sequence[int]) -> Tensor:
    """Centres of a lattice of cells over [0, 1]^d: `(M, d)`, row-major, components x, y(, z)."""
    sizes = torch.tensor(list(reversed(tokens)), dtype=torch.float32)
    cells = make_grid_coords(tokens)[0] * (sizes - 1)
    return (cells + 0.5) / sizes


class DistanceAttention(nn.Module):
    """Multi-head attention from points to tokens, biased to the tokens near each point.

    Args:
        dim: width D of tokens and output.
        heads: number of heads; the first ones start by looking at different sides of the point.
        tokens: shape of the token lattice in array order.
        sharpness: starting `s_h`, from the first head (local) to the last (wider), geometrically.

    Called with query features `(B|1, Q, D)`, query points `(B|1, Q, d)` and tokens `(B, M, D)`; returns `(B, Q, D)`.
    """

    centres: Tensor
    spacing: Tensor

    def __init__(
        self, dim: int, heads: int, tokens: Sequence[int], sharpness: tuple[float, float] = (2.0, 1.0)
    ) -> None:
        super().__init__()
        d = len(tokens)
        self.heads, self.head_dim = heads, dim // heads
        self.content = self.head_dim - d - 1
        if dim % heads or self.content < 1:
            raise UpsDataError(
                f"width {dim} with {heads} heads: give a multiple of the heads, at least {d + 2} for each head"
            )
        self.register_buffer(
            "spacing", 1.0 / torch.tensor(list(reversed(tokens)), dtype=torch.float32), persistent=False
        )
        self.register_buffer("centres", (token_centres(tokens) - 0.5) / self.spacing, persistent=False)
        self.query = nn.Linear(dim, heads * self.content)
        self.key = nn.Linear(dim, heads * self.content)
        # It adds the same to all logits of a query, which the softmax takes away again. Its gradient is rounding noise,
        # of which Adam would make steps of full size, on every number of ranks another.
        self.key.bias.requires_grad_(False)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        start = torch.linspace(math.log(sharpness[0]), math.log(sharpness[1]), heads)
        self.log_sharpness = nn.Parameter(start)
        sides = torch.tensor([[0.5 if h >> j & 1 else -0.5 for j in range(d)] for h in range(heads)])
        self.look = nn.Parameter(sides)

    def forward(self, features: Tensor, points: Tensor, tokens: Tensor) -> Tensor:
        """Query features `(B|1, Q, D)` at points `(B|1, Q, d)`, tokens `(B, M, D)` → `(B, Q, D)`."""
        b, n = len(tokens), features.shape[1]
        q = self.query(features).unflatten(-1, (self.heads, self.content)).transpose(1, 2) * self.content**-0.5
        k = self.key(tokens).unflatten(-1, (self.heads, self.content)).transpose(1, 2)
        v = self.value(tokens).unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2)
        s = self.log_sharpness.exp()[:, None, None]
        at = ((points - 0.5) / self.spacing)[:, None] + self.look[:, None]  # (B|1, heads, Q, d)
        place_q = torch.cat([2 * s * at, -s.expand(at.shape[0], -1, n, -1)], dim=-1)
        place_k = torch.cat([self.centres, self.centres.square().sum(-1, keepdim=True)], dim=-1)
        with torch.autocast(tokens.device.type, enabled=False):  # the bias needs more digits than bf16 has
            q = torch.cat([q.float().expand(b, -1, -1, -1), place_q.expand(b, -1, -1, -1)], dim=-1)
            k = torch.cat([k.float(), place_k.expand(b, self.heads, -1, -1)], dim=-1)
            mixed = F.scaled_dot_product_attention(q, k, v.float(), scale=1.0)
        return self.out(mixed.transpose(1, 2).flatten(2))
