"""Query sets between the points of a grid."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ups_data.batch.frames import Copyable, Frames
from ups_data.batch.listing import is_padded
from ups_data.batch.samples import TORCH_DTYPES, SampleBlock
from ups_data.batch.types import QuerySet
from ups_data.batch.wanted import Copy, Fetched
from ups_data.points.domain import Domain
from ups_data.points.part import Part
from ups_data.sampling import Draw, coordinates, interpolation


def off_grid_set(
    block: SampleBlock,
    draw: Draw,
    values: Mapping[str, Copy],
    fetched: Fetched,
    weight: Tensor,
    masks: Sequence[Domain] | None = None,
) -> QuerySet:
    """Values interpolated linearly along each axis, at the places of an off-grid draw.

    In the stead of neighbours that do not count the point drawn stands itself. What it gives to a neighbour is, over
    all places in its cell, what it gets from the neighbour's cell, so the weighted mean remains unbiased.

    Args:
        values: field → one frame for each row of the draw.
        weight: `(*lead, Q)`, of the set.
        masks: the domain of each row; None: all points count.
    """
    domain, memory, shape = block.domains[0], block.recipe.memory, weight.shape
    corners, shares = interpolation(draw, domain)
    for row, of_row in enumerate(masks or ()):
        if isinstance(of_row, Part):
            at = corners[row]
            corners[row] = np.where(of_row.counted[at], at, draw.points[row, :, None])
    queries, axes = draw.shape[1], corners.shape[-1].bit_length() - 1
    coords = memory.tensor((*shape, axes), torch.float32)
    coords.numpy().reshape(-1, queries, axes)[...] = coordinates(draw, domain)
    found = {}
    for name, copy in values.items():
        channels = copy.frames.channels
        tensor = memory.tensor((*shape, channels), TORCH_DTYPES[copy.frames.dtype])
        out = tensor.numpy().reshape(-1, queries, channels)
        out[...] = _interpolated(copy.frames, fetched.source(copy.read), corners, shares)
        found[name] = tensor
    index = torch.from_numpy(np.ascontiguousarray(draw.points)).view(shape)
    padded = masks is not None and is_padded(block)
    return QuerySet(coords=coords, values=found, index=index, weight=weight, mask=weight > 0 if padded else None)


def _interpolated(
    frames: Frames, source: Copyable, corners: NDArray[np.int64], shares: NDArray[np.float32]
) -> NDArray[np.floating]:
    """`(rows, Q, C)`: the values at the corners `(rows, Q, 2^d)`, in their shares."""
    rows, queries, number = corners.shape
    at = np.empty((rows, queries * number, frames.channels), frames.dtype)
    frames.take_to(at, Draw(corners.reshape(rows, -1)), source)
    return np.einsum("rqnc,rqn->rqc", at.reshape(rows, queries, number, -1), shares, dtype=np.float32)
