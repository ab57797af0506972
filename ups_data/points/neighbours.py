"""Neighbours of points, batched, on whatever device the points are: k nearest, within a radius, and as edges."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ups_data.errors import UpsDataError

DISTANCES = 1 << 24  # that are held at once


@dataclass(frozen=True)
class Neighbours:
    """The points around each centre.

    Attributes:
        index: `(B, S, k)` int64, numbers of points, nearest first. Where there are fewer than k, the nearest one again.
        distance: `(B, S, k)`.
        mask: `(B, S, k)` bool, False where a place is not filled.
    """

    index: Tensor
    distance: Tensor
    mask: Tensor


@torch.no_grad()
def nearest(
    points: Tensor,
    centres: Tensor,
    k: int,
    *,
    radius: float | None = None,
    mask: Tensor | None = None,
) -> Neighbours:
    """The k points nearest to each centre, or those of them within a radius.

        around = nearest(batch.inputs.coords, batch.target_queries.coords, 16, mask=batch.inputs.mask)
        values = gather(batch.inputs.fields["u"], around.index)  # (B, Q, 16, C)

    Distances are computed in parts of `DISTANCES`, so that memory does not grow with points × centres.

    Args:
        points: `(B, N, d)`, or `(1, N, d)` for all samples the same.
        centres: `(B, S, d)`.
        k: neighbours of each; at most N.
        radius: those further away are marked False in the mask; the nearest one always counts.
        mask: `(B, N)` bool, False for points that only fill a row.

    Raises:
        UpsDataError: k is below 1, or the coordinates have different numbers of components.
    """
    if k < 1 or points.shape[-1] != centres.shape[-1]:
        raise UpsDataError(
            f"nearest: {k} neighbours among points of {points.shape[-1]} components for centres of "
            f"{centres.shape[-1]}: give 1 or more, and points in the same space"
        )
    k, samples = min(k, points.shape[1]), len(centres)
    points = points.expand(samples, -1, -1).float()
    step = max(1, DISTANCES // (samples * points.shape[1]))
    distances, numbers = [], []
    for part in centres.float().split(step, dim=1):
        apart = torch.cdist(part, points, compute_mode="donot_use_mm_for_euclid_dist")
        if mask is not None:
            apart = apart.masked_fill(~mask[:, None], torch.inf)
        distance, number = apart.topk(k, dim=-1, largest=False)
        distances.append(distance)
        numbers.append(number)
    distance, index = torch.cat(distances, dim=1), torch.cat(numbers, dim=1)
    there = distance.isfinite() if radius is None else distance <= radius
    there[..., 0] = True
    first = index[..., :1].expand_as(index)
    return Neighbours(torch.where(there, index, first), torch.where(there, distance, distance[..., :1]), there)


def gather(values: Tensor, index: Tensor) -> Tensor:
    """`values` `(B, N, C)` at `index` `(B, …)` → `(B, …, C)`."""
    flat = index.flatten(1)
    picked = values.gather(1, flat[..., None].expand(-1, -1, values.shape[-1]))
    return picked.unflatten(1, index.shape[1:])


def edges(around: Neighbours, points: int) -> Tensor:
    """`(2, E)` int64 for graph networks: from a point (first row) to a centre (second row), all samples in one graph.

        around = nearest(coords, coords, 8, mask=mask)
        graph = edges(around, coords.shape[1])  # of coords.flatten(0, 1)

    Args:
        points: N, of a sample: point n of sample b has number b N + n, centre s has number b S + s.
    """
    samples, centres, _ = around.index.shape
    first = torch.arange(samples, device=around.index.device)[:, None, None]
    numbers = torch.arange(centres, device=around.index.device)[None, :, None]
    senders = around.index + first * points
    receivers = (numbers + first * centres).expand_as(senders)
    return torch.stack([senders[around.mask], receivers[around.mask]])
