"""Every point, in row-major order."""

import numpy as np
from numpy.typing import NDArray

from ups_data.points.domain import Domain
from ups_data.sampling.draw import Draw
from ups_data.sampling.mode import Mode


def draw_full(domain: Domain, keys: NDArray[np.uint64], count: int) -> Draw:
    """All N points for each of the `(B,)` keys; `count` is not looked at.

    The index is one read-only row broadcast over the batch: it takes the memory of a single sample.
    """
    index = np.arange(domain.num_points, dtype=np.int64)
    return Draw(np.broadcast_to(index, (len(keys), domain.num_points)), grid_shape=domain.grid_shape)


FULL = Mode("full", lambda r: draw_full(r.domain, r.keys, r.count), draws_all=True)
