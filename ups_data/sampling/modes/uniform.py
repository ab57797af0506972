"""Uniform draws without replacement: every subset of Q points is equally likely."""

import math

import numpy as np
from numpy.typing import NDArray

from ups_data.points.domain import Domain
from ups_data.sampling.draw import Draw
from ups_data.sampling.mode import Mode
from ups_data.sampling.modes.cycle import uniform_window
from ups_data.sampling.random import random_bits

SPARSE = 4  # up to N / 4 points it is cheaper to throw and reject repeats than to give every point a number


def draw_uniform(domain: Domain, keys: NDArray[np.uint64], count: int) -> Draw:
    """Draw `count` points such that every subset of that size is equally likely.

    Up to N / 4 points: the first Q distinct values of the key's endless sequence floor(u_i · N), at a cost that grows
    with Q. Above: the points with the Q smallest of N random priorities (Fan, Muller & Rezucha, JASA 57, 1962), at a
    cost that grows with N. Neither depends on how many numbers were generated, nor on the batch.

    Rows come out in ascending order. With numpy's vectorised sort, finding repeats by sorting costs no more than a
    scratch table over the N points (10 µs against 11 µs per row of 1,638 out of 16,384; 31 against 35 for 5,243 out of
    262,144), and ascending rows read a memory-mapped frame from front to back.

    Args:
        keys: `(B,)` uint64.
        count: Q, 1 to N.

    Returns:
        index `(B, Q)`, ascending in each row; weight None.
    """
    return Draw(distinct_integers(keys, count, domain.num_points))


def distinct_integers(keys: NDArray[np.uint64], count: int, total: int) -> NDArray[np.int64]:
    """`count` different integers of [0, total), every subset equally likely: `(B, count)` int64, ascending."""
    if count * SPARSE <= total:
        return _first_distinct(keys, count, total, _enough(count, total))
    # Each 64-bit number serves two points: half the cost, and equal priorities are told apart below.
    priorities = random_bits(keys, (total + 1) // 2).view(np.uint32)[:, :total]
    return _smallest(priorities, keys, count)


def _enough(count: int, total: int) -> int:
    """How many values of [0, total) to generate so that `count` distinct ones are nearly always among them.

    The number needed is the coupon collector's: its mean and variance, plus 4 standard deviations.
    """
    mean = total * math.log(total / (total - count))
    variance = total * (count / (total - count)) - mean
    return math.ceil(mean + 4 * math.sqrt(max(variance, 0.0))) + 2


def _first_distinct(keys: NDArray[np.uint64], count: int, total: int, generated: int) -> NDArray[np.int64]:
    """The first `count` distinct values of each key's sequence, ascending: `(B, count)`.

    `generated` numbers are looked at; where they do not suffice for some row, twice as many.
    """
    width = np.uint64(total.bit_length())
    value_bits = np.uint64(64) - width
    # floor(u · N) in the leading bits, the place in the sequence in the trailing ones: one sort groups equal values
    # and puts the earliest of them in front.
    z = random_bits(keys, generated)
    z >>= width
    z *= np.uint64(total)
    z >>= value_bits
    z <<= value_bits
    z |= np.arange(generated, dtype=np.uint64)
    z.sort(axis=1)
    place = z.astype(np.uint32)
    z >>= value_bits
    repeats = np.zeros(z.shape, np.uint32)
    np.equal(z[:, 1:], z[:, :-1], out=repeats[:, 1:])
    place |= np.negative(repeats, out=repeats)  # a repeat's place is the largest number, behind every true one
    last = np.partition(place, count - 1, axis=1)[:, count - 1]  # the place of the count-th distinct value
    if (last >= generated).any():
        return _first_distinct(keys, count, total, 2 * generated)
    return z[place <= last[:, None]].view(np.int64).reshape(len(keys), count)


def _smallest(priorities: NDArray[np.uint32], keys: NDArray[np.uint64], count: int) -> NDArray[np.int64]:
    """The places of each row's `count` smallest priorities, ascending: `(B, N)` → `(B, count)` int64.

    Where several points share the priority on the border, 64 further bits of the row's key decide between them.
    """
    rows, total = priorities.shape
    border = np.partition(priorities, count - 1, axis=1)[:, count - 1]
    keep = priorities <= border[:, None]
    for row in np.flatnonzero(np.count_nonzero(keep, axis=1) > count):  # about one row in a million
        keep[row] = priorities[row] < border[row]
        tied = np.flatnonzero(priorities[row] == border[row])
        tie_break = random_bits(keys[row : row + 1], total, counter0=total)[0, tied]
        keep[row, tied[np.argsort(tie_break)[: count - np.count_nonzero(keep[row])]]] = True
    index = np.flatnonzero(keep).reshape(rows, count)
    index -= np.arange(rows, dtype=np.int64)[:, None] * total
    return index


UNIFORM = Mode(
    "uniform",
    lambda r: draw_uniform(r.domain, r.keys, r.count),
    equal_places=distinct_integers,
    window=uniform_window,
    aliases=("random",),
)
