"""Attention blocks on tokens without a lattice."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups_data.errors import UpsDataError


class Attention(nn.Module):
    """Multi-head attention from `(B, Q, D)` to `(B, M, D)`."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise UpsDataError(f"width {dim} with {heads} heads: give a multiple of the heads")
        self.heads = heads
        self.query, self.keys, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """What each x gathers from the tokens, `(B, Q, D)`."""
        q = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.keys(tokens).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class CrossBlock(nn.Module):
    """Pre-norm block: x looks at the tokens, then at itself through an MLP."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm_tokens = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """`(B, Q, D)` and tokens `(B, M, D)` → `(B, Q, D)`."""
        x = x + self.attention(self.norm1(x), self.norm_tokens(tokens))
        return x + self.mlp(self.norm2(x))


class ConditionedBlock(nn.Module):
    """Pre-norm self-attention block, scaled and shifted by the conditioning (adaptive layer norm, Peebles & Xie
    2023)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(dim, elementwise_affine=False)
        self.attention = Attention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.condition = nn.Linear(dim, 4 * dim)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """Tokens `(B, M, D)`, condition `(B, D)` → `(B, M, D)`."""
        scale1, shift1, scale2, shift2 = self.condition(condition)[:, None].chunk(4, dim=-1)
        x = self.norm1(tokens) * (1 + scale1) + shift1
        tokens = tokens + self.attention(x, x)
        return tokens + self.mlp(self.norm2(tokens) * (1 + scale2) + shift2)


class TokenOperator(nn.Module):
    """One step in latent space: a transformer on the tokens, conditioned on the step's length and the parameters.

    Args:
        dim, heads, depth: of the blocks.
        params: number of parameters per sample.
    """

    def __init__(self, dim: int, heads: int, depth: int, params: int) -> None:
        super().__init__()
        self.condition = nn.Sequential(nn.Linear(1 + params, dim), nn.GELU(), nn.Linear(dim, dim), nn.GELU())
        self.blocks = nn.ModuleList(ConditionedBlock(dim, heads) for _ in range(depth))

    def forward(self, latent: Tensor, dt: Tensor, params: Tensor | None) -> Tensor:
        """Latent `(B, M, D)` → latent `dt` `(B,)` later, with parameters `(B, P)`."""
        given = [dt[:, None]] if params is None else [dt[:, None], params]
        condition = self.condition(torch.cat(given, dim=-1))
        for block in self.blocks:
            latent = block(latent, condition)
        return latent
