"""One jittered point in each of Q strata: consecutive segments of the domain's space-filling curve."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ups_data import _native as built
from ups_data.points.domain import Domain
from ups_data.sampling.draw import Draw
from ups_data.sampling.mode import Mode
from ups_data.sampling.modes.cycle import stratified_window
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
    if built.native is not None and domain.curve.dtype == np.int64:
        return Draw(_natively(keys, count, domain.curve))
    return Draw(domain.curve.take(jittered(keys, count, domain.num_points), mode="clip"))


def _natively(keys: NDArray[np.uint64], count: int, curve: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same in one pass over the memory."""
    total = len(curve)
    begin, width, even = _borders(count, total)
    shift = np.zeros(1, np.int64) if even else random_integers(keys, 1, total)[:, 0]
    index = np.empty((len(keys), count), np.int64)
    keys, curve = np.ascontiguousarray(keys), np.ascontiguousarray(curve)
    built.native.fill_strata(keys, 0 if even else 1, width, begin, np.ascontiguousarray(shift), curve, index)
    return index


@lru_cache(maxsize=64)
def _borders(count: int, total: int) -> tuple[NDArray[np.int64], int, bool]:
    """Where the segments begin and end, bits of the longest, and whether all are as long."""
    begin = np.arange(count + 1, dtype=np.int64) * total // count
    return begin, int(np.diff(begin).max()).bit_length(), total % count == 0


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


STRATIFIED = Mode(
    "stratified",
    lambda r: draw_stratified(r.domain, r.keys, r.count),
    needs_coordinates=True,
    along_curve=True,
    equal_places=jittered,
    window=stratified_window,
)
