"""One jittered point in each of Q strata: consecutive segments of the domain's space-filling curve."""

import numpy as np
from numpy.typing import NDArray

from ups_data.sampling.domain import Domain
from ups_data.sampling.draw import Draw
from ups_data.sampling.random import random_integers


def draw_stratified(domain: Domain, keys: NDArray[np.uint64], count: int) -> Draw:
    """Draw one point, uniformly, from each of `count` segments of the curve.

    Where `count` divides N the segments are equal and aligned (on power-of-two grids they are the square tiles). Else
    segment i is [floor(i N / Q), floor((i + 1) N / Q)), whose lengths differ by one, and the whole partition is
    shifted around the curve by an offset uniform in [0, N), drawn per sample. A point then falls into a segment of
    length L with probability L / N, and is drawn from it with probability 1 / L: summed over the Q segments its
    inclusion probability is exactly Q / N, and every weight is 1.

    Jittered strata as in Cochran, "Sampling Techniques" (1977), ch. 5.

    Args:
        keys: `(B,)` uint64.
        count: Q, 1 to N.

    Returns:
        index `(B, Q)` in the curve's order, weight None.
    """
    return Draw(domain.curve.take(jittered(keys, count, domain.num_points), mode="clip"))


def jittered(keys: NDArray[np.uint64], count: int, total: int) -> NDArray[np.int64]:
    """One place, uniform, from each of `count` segments of a curve of `total` places: `(B, count)` int64."""
    bounds = np.arange(count + 1, dtype=np.int64) * total // count
    if total % count == 0:
        place = random_integers(keys, count, total // count)
        place += bounds[:-1]
        return place
    place = random_integers(keys, count, np.diff(bounds), counter0=1)
    place += bounds[:-1]
    place += random_integers(keys, 1, total)  # counter 0: the shift
    around = place.view(np.uint64)  # unsigned, so that what has not passed the end becomes huge by subtracting N
    np.minimum(around, around - np.uint64(total), out=around)
    return place
