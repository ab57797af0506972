"""`LatentOperator`: latent tokens now → latent tokens dt later."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ups_data.models.attention import DistanceAttention, token_centres


class Block(nn.Module):
    """Pre-norm transformer block on the token lattice, attention biased to near tokens, scaled and shifted by the
    conditioning (adaptive layer norm, Peebles & Xie 2023)."""

    def __init__(self, dim: int, heads: int, tokens: Sequence[int]) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(dim, elementwise_affine=False)
        self.attention = DistanceAttention(dim, heads, tokens, sharpness=(1.0, 0.02))
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.condition = nn.Linear(dim, 4 * dim)

    def forward(self, latent: Tensor, condition: Tensor, places: Tensor) -> Tensor:
        """Tokens `(B, M, D)` at `places`, scaled and shifted by `condition` `(B, D)` → `(B, M, D)`."""
        scale1, shift1, scale2, shift2 = self.condition(condition)[:, None].chunk(4, dim=-1)
        x = self.norm1(latent) * (1 + scale1) + shift1
        latent = latent + self.attention(x, places, x)
        x = self.norm2(latent) * (1 + scale2) + shift2
        return latent + self.mlp(x)


class LatentOperator(nn.Module):
    """One step in latent space, `latent + change(latent, dt, params)`; starts as persistence, without any change.

    Args:
        dim, tokens: width and lattice of the latent.
        depth, heads: blocks and attention heads.
        params: number of parameters per sample.

    Called as `operator(latent (B, M, D), dt (B,), params (B, P) | None) -> (B, M, D)`; dt and params in whatever
    units the model normalised them to.
    """

    places: Tensor

    def __init__(self, dim: int, tokens: Sequence[int], depth: int = 2, heads: int = 4, params: int = 0) -> None:
        super().__init__()

        self.params = params
        self.register_buffer("places", token_centres(tokens)[None], persistent=False)
        self.condition = nn.Sequential(nn.Linear(1 + params, dim), nn.GELU())
        self.blocks = nn.ModuleList(Block(dim, heads, tokens) for _ in range(depth))
        self.out = nn.Linear(dim, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, latent: Tensor, dt: Tensor, params: Tensor | None = None) -> Tensor:
        """Latent `(B, M, D)` → latent `dt` `(B,)` later, with parameters `(B, P)`."""
        given = [dt[:, None]] if params is None else [dt[:, None], params]
        condition = self.condition(torch.cat(given, dim=-1))
        x = latent
        for block in self.blocks:
            x = block(x, condition, self.places)
        return latent + self.out(x)

    def rollout(self, latent: Tensor, dt: Tensor, params: Tensor | None = None) -> Tensor:
        """`(B, K, M, D)`: K steps, `dt` `(B, K)` the length of each."""
        states = []
        for step in dt.unbind(1):
            latent = self(latent, step, params)
            states.append(latent)
        return torch.stack(states, dim=1)
