"""Which points are drawn: a pure function of (seed, epoch, trajectory, step, stream).

This room knows numpy arrays only. A draw is made for a whole batch at once::

    domain = Domain(num_points=128 * 128, grid_shape=(128, 128))
    keys = sample_keys(seed, epoch, trajectory, step, Stream.TARGET_QUERIES)     # (B,)
    draw = draw_queries(QuerySampling(ratio=0.1, mode="stratified"), domain, keys, epoch)
    draw.index                                                                   # (B, Q)
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ups_data.sampling.blocks import draw_blocks
from ups_data.sampling.config import Mode, QuerySampling
from ups_data.sampling.domain import Domain
from ups_data.sampling.draw import Draw
from ups_data.sampling.full import draw_full
from ups_data.sampling.lattice import draw_lattice, lattice_shape
from ups_data.sampling.random import Stream, sample_keys
from ups_data.sampling.stratified import draw_stratified
from ups_data.sampling.uniform import draw_uniform

__all__ = ["Domain", "Draw", "QuerySampling", "Stream", "draw_queries", "lattice_shape", "sample_keys"]

# Once a large array has been freed, glibc stops returning arrays of that size to the system at every free (its mmap
# threshold adapts). Without this, a process that never frees one takes a page fault per 4 KB of every temporary:
# measured, 55 µs per sample instead of 11 for a uniform draw of 1,638 out of 16,384 in batches of 16.
del [np.empty(1 << 23, np.uint8)][0]

Sampler = Callable[[Domain, NDArray[np.uint64], int], Draw]

SAMPLERS: dict[Mode, Sampler] = {
    "full": draw_full,
    "uniform": draw_uniform,
    "stratified": draw_stratified,
    "lattice": draw_lattice,
    "blocks": draw_blocks,
}


def draw_queries(sampling: QuerySampling, domain: Domain, keys: NDArray[np.uint64], epoch: int) -> Draw:
    """Draw the points of a batch.

    Args:
        sampling: how many points, and how.
        domain: the points to choose from, the same for the whole batch.
        keys: `(B,)` uint64 from `sample_keys`, one per sample. A sample's points depend on its own key only.
        epoch: for the ratio's schedule (the keys hold it already).

    Returns:
        `Draw` with `sampling.num_drawn(domain, epoch)` points per sample.

    Raises:
        UpsDataError: more queries than points; `lattice` on a point set; `stratified` on points without coordinates;
            `blocks` on points that are not stored in blocks.
    """
    count = sampling.count(domain.num_points, epoch)
    if count == domain.num_points and (sampling.mode != "blocks" or domain.blocks is None):
        return draw_full(domain, keys, count)
    return SAMPLERS[sampling.mode](domain, keys, count)
