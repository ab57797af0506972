"""`Draw`: the points that a sampler chose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Draw:
    """Points drawn for a batch of B samples.

    Attributes:
        index: `(B, Q)` int64, row-major point numbers, no repeats within a row. May be a read-only broadcast.
        weight: `(B, Q)` float32, Q / (N π) with π the inclusion probability; None where every weight is exactly 1.
        grid_shape: the shape of the lattice that the Q points form (array order, points row-major), where they do.
    """

    index: NDArray[np.int64]
    weight: NDArray[np.float32] | None = None
    grid_shape: tuple[int, ...] | None = None
