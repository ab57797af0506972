"""The order in which the points of a draw are handed out: `stored`, or `random`, whose prefixes are fair draws.

In random order a point is as likely in any place as in any other, whatever was drawn. So a point with inclusion
probability π is among the first M of Q with probability π M / Q, and its weight among them, M / (N π M / Q), is the one
that it has among all: Q / (N π). The same holds behind the first M, and for any slice of the order.
"""

import functools
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ups_data.points.domain import Domain
from ups_data.sampling.draw import Draw
from ups_data.sampling.random import child_keys, random_bits, random_integers

_ORDER = 1 << 41  # a number of the key's sequence that no sampler reaches


def in_random_order(draw: Draw, domain: Domain, keys: NDArray[np.uint64], *, along_curve: bool) -> Draw:
    """The same points in an order of which every prefix, and every other slice, is a fair draw.

    Args:
        draw: of `domain`, one row for each key.
        keys: `(B,)` uint64.
        along_curve: whether neighbours along the domain's curve are kept apart (`spread`), else the order is a random
            permutation (`shuffled`). The points of the draw come in the curve's order, or all of them row-major.
    """
    queries = draw.shape[1]
    if not along_curve:
        order = shuffled(keys, queries)
    elif queries < domain.num_points:
        order = spread(keys, queries)
    else:
        order = domain.curve[spread(keys, queries)]
    rows = {
        name: np.take_along_axis(array, order.reshape(*order.shape, *[1] * (array.ndim - 2)), axis=1)
        for name in ("index", "weight", "slots", "offset")
        if (array := getattr(draw, name)) is not None
    }
    return replace(draw, **rows, grid_shape=None, whole_blocks=False)


def shuffled(keys: NDArray[np.uint64], count: int) -> NDArray[np.int64]:
    """A permutation of [0, count) for each key, every one as likely as any other: `(B, count)` int64."""
    return random_bits(child_keys(keys, _ORDER), count).argsort(axis=1)


def spread(keys: NDArray[np.uint64], count: int) -> NDArray[np.int64]:
    """A permutation of [0, count) for each key whose slices lie as evenly in it as can be: `(B, count)` int64.

    [0, count) is halved again and again. The order of a part alternates between the orders of its halves, from a random
    one on; where one half has one number more, the alternation is turned by a random number of steps, so that two of
    the larger half follow each other somewhere. So among the first M numbers each half has its share of M, rounded up
    or down, and every number is in any place with probability 1 / count exactly. For a power of two this is van der
    Corput's sequence, scrambled as in Owen, "Randomly permuted (t, m, s)-nets and (t, s)-sequences" (1995): the first
    2^j numbers lie one in each of 2^j equal parts, and so do the 2^j behind them.
    """
    if count == 1:
        return np.zeros((len(keys), 1), np.int64)
    tree = _halved(count)
    turns = random_integers(child_keys(keys, _ORDER), len(tree.sizes), tree.sizes).T
    small = np.int16 if count <= 1 << 14 else np.int32
    turns, sizes = turns.astype(small), tree.sizes.astype(small)[:, None]
    place = np.zeros((1 << tree.depth, len(keys)), small)  # in the part that was put together last
    for level in range(tree.depth - 1, -1, -1):
        rows = tree.rows[(1 << level) - 1 : (2 << level) - 1]
        begin, bend, sign = _alternation(sizes[rows], tree.left_smaller[rows, None], turns[rows])
        halves = place.reshape(-1, 2 << level, len(keys))
        behind = (halves >= bend) * sign
        halves *= 2
        halves += begin
        halves += behind
    order = np.empty((len(keys), count), np.int64)
    np.put_along_axis(order, place[tree.leaves].T.astype(np.int64), np.arange(count)[None], axis=1)
    return order


def _alternation(
    size: NDArray[Any], left_smaller: NDArray[np.bool_], turn: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """How the orders of two halves are joined: place r of one comes to 2 r + begin + (r >= bend) * sign.

    A part of 2 k + 1 alternates L S L … S L between its larger and its smaller half, turned by `turn` steps; one of 2 k
    alternates L S … or S L …, where the left half counts as the smaller one.

    Args:
        size, left_smaller: `(parts, 1)`.
        turn: `(parts, B)`, in [0, size).

    Returns:
        begin, bend `(2 * parts, B)` and sign `(2 * parts, 1)`: those of all left halves, then of all right ones.
    """
    even = 1 - (turn & 1)
    bend = np.where(size % 2 == 1, size // 2 - turn // 2, size)  # where two of L meet
    left = np.where(left_smaller, even, 1 - even)
    begin = np.concatenate([left, 1 - left])
    bends = np.concatenate([bend + even * ~left_smaller, bend + even * left_smaller])
    sign = np.where(np.concatenate([left_smaller, ~left_smaller]), 1, -1)
    return begin, bends, sign.astype(size.dtype)


class _Halved(NamedTuple):
    """[0, count) halved until no part has more than one number. Parts are listed level by level.

    Attributes:
        depth: the number of levels above the last.
        sizes, left_smaller: of each part above the last level, and whether its left half is not larger than the right.
        rows: the parts of each level in the order of their reversed bits: all left halves come before all right ones,
            so that a level's halves are long runs in memory.
        leaves: `(count,)`, where that order has each number at the last level.
    """

    depth: int
    sizes: NDArray[np.int64]
    left_smaller: NDArray[np.bool_]
    rows: NDArray[np.int64]
    leaves: NDArray[np.int64]


@functools.lru_cache(maxsize=16)
def _halved(count: int) -> _Halved:
    depth = (count - 1).bit_length()
    halves = [np.diff(np.arange((1 << level) + 1, dtype=np.int64) * count >> level) for level in range(1, depth + 1)]
    pairs = np.concatenate([half.reshape(-1, 2) for half in halves])
    reversed_bits = [np.zeros(1, np.int64)]
    for _ in range(depth):
        last = 2 * reversed_bits[-1]
        reversed_bits.append(np.concatenate([last, last + 1]))
    rows = np.concatenate([bits + len(bits) - 1 for bits in reversed_bits[:depth]])
    leaves = reversed_bits[-1][halves[-1] == 1]
    return _Halved(depth, pairs.sum(axis=1), pairs[:, 0] <= pairs[:, 1], rows, leaves)
