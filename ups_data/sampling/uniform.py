"""Uniform draws without replacement."""

import math

import numpy as np
from numpy.typing import NDArray

from ups_data.sampling.domain import Domain
from ups_data.sampling.draw import Draw
from ups_data.sampling.random import random_integers


def draw_uniform(domain: Domain, keys: NDArray[np.uint64], count: int) -> Draw:
    """Draw `count` points such that every subset of that size is equally likely.

    Each row is the first Q distinct values of the endless sequence floor(u_i · N) of its key, so it depends neither
    on how many numbers were generated nor on the batch. For Q > N / 2 the points left out are drawn instead.

    Args:
        keys: `(B,)` uint64.
        count: Q, 1 to N.

    Returns:
        index `(B, Q)`, weight None.
    """
    total = domain.num_points
    if 2 * count <= total:
        return Draw(_first_distinct(keys, count, total, _enough(count, total)))
    keep = np.ones((len(keys), total), bool)
    if count < total:
        np.put_along_axis(keep, _first_distinct(keys, total - count, total, _enough(total - count, total)), False, 1)
    index = np.flatnonzero(keep).reshape(len(keys), count)
    index -= np.arange(len(keys), dtype=np.int64)[:, None] * total
    return Draw(index)


def _enough(count: int, total: int) -> int:
    """How many values of [0, total) to generate so that `count` distinct ones are nearly always among them.

    The number needed is the coupon collector's: its mean and variance, plus 4 standard deviations.
    """
    mean = total * math.log(total / (total - count))
    variance = total * (count / (total - count)) - mean
    return math.ceil(mean + 4 * math.sqrt(max(variance, 0.0))) + 2


def _first_distinct(keys: NDArray[np.uint64], count: int, total: int, generated: int) -> NDArray[np.int64]:
    """The first `count` distinct values of each key's sequence, `(B, count)`."""
    rows = np.arange(len(keys), dtype=np.int64)[:, None]
    values = random_integers(keys, generated, total)
    cells = (values + rows * total).ravel()
    place = np.arange(cells.size, dtype=np.int32)
    first = np.empty(len(keys) * total, np.int32)
    first[cells[::-1]] = place[::-1]  # of equal values, the first in the sequence is written last and stays
    new = first[cells] == place
    found = np.count_nonzero(new.reshape(values.shape), axis=1)
    if (found < count).any():
        return _first_distinct(keys, count, total, 2 * generated)
    start = np.cumsum(found) - found
    return values.ravel()[new].take(start[:, None] + np.arange(count), mode="clip")
