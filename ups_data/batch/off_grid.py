"""Query sets between the points of a grid."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from ups_data.batch.frames import Frames
from ups_data.batch.samples import TORCH_DTYPES, SampleBlock
from ups_data.batch.types import QuerySet
from ups_data.sampling import Draw, coordinates, interpolation


def off_grid_set(block: SampleBlock, draw: Draw, lead: tuple[int, ...], fields: Mapping[str, Frames]) -> QuerySet:
    """Values interpolated linearly along each axis, at the places of an off-grid draw.

    Args:
        lead: shape of the draw's rows, `(B,)` or `(B, K)`.
        fields: field → one frame for each row of the draw.
    """
    domain, memory = block.domains[0], block.recipe.memory
    corners, shares = interpolation(draw, domain)
    queries, axes = draw.shape[1], corners.shape[-1].bit_length() - 1
    coords = memory.tensor((*lead, queries, axes), torch.float32)
    coords.numpy().reshape(-1, queries, axes)[...] = coordinates(draw, domain)
    values = {}
    for name, frames in fields.items():
        tensor = memory.tensor((*lead, queries, frames.channels), TORCH_DTYPES[frames.dtype])
        tensor.numpy().reshape(-1, queries, frames.channels)[...] = _interpolated(frames, corners, shares)
        values[name] = tensor
    weight = torch.ones(()) if draw.weight is None else torch.from_numpy(draw.weight).view(*lead, queries)
    index = np.ascontiguousarray(draw.points)
    return QuerySet(
        coords=coords,
        values=values,
        index=torch.from_numpy(index).view(*lead, queries),
        weight=weight.expand(*lead, queries),
    )


def _interpolated(frames: Frames, corners: NDArray[np.int64], shares: NDArray[np.float32]) -> NDArray[np.floating]:
    """`(rows, Q, C)`: the values at the corners `(rows, Q, 2^d)`, in their shares."""
    rows, queries, number = corners.shape
    at = np.empty((rows, queries * number, frames.channels), frames.dtype)
    frames.take_to(at, Draw(corners.reshape(rows, -1)))
    return np.einsum("rqnc,rqn->rqc", at.reshape(rows, queries, number, -1), shares, dtype=np.float32)
