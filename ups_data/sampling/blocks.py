"""Whole stored blocks, so that a step that needs few points reads few bytes."""

import numpy as np
from numpy.typing import NDArray

from ups_data.blocks import Blocks
from ups_data.errors import UpsDataError
from ups_data.hashing import absorb
from ups_data.sampling.domain import Domain
from ups_data.sampling.draw import Draw
from ups_data.sampling.random import child_keys, random_integers
from ups_data.sampling.uniform import distinct_integers


def draw_blocks(domain: Domain, keys: NDArray[np.uint64], count: int) -> Draw:
    """Draw as few blocks as hold `count` points whichever they are, and of one of them only the points still needed.

    Per key, with n_b the points of block b and m the least number of blocks such that any m of them hold Q points:

    1. A point of the domain, uniform, tells the block to thin: block b with probability n_b / N. The other m - 1
       blocks are any of the rest, each subset equally likely. So a set S of m blocks, n_S points, comes with
       probability proportional to n_S (Midzuno, 1951), and given S, b is the one to thin with probability n_b / n_S.
    2. That block loses the surplus n_S - Q, by `thinned`, which treats its points alike. A point of b is thus dropped
       with probability (n_b / n_S) (n_S - Q) / n_b = (n_S - Q) / n_S, and kept with Q / n_S, whichever block it is in.

    Summed over the sets S that hold a point's block, its inclusion probability is Q / N exactly, and every weight is 1:
    P(S) = n_S / (N C(B - 1, m - 1)), and C(B - 1, m - 1) sets hold the block.

    Where blocks are equal, m = ceil(Q / P). Where their sizes differ by one, Q can lie so near a multiple of them that
    the surplus of a set exceeds its smallest block (for some sets only, all of larger blocks). Such a set loses n_S - Q
    positions in a row instead, from the uniform point on, around the circle of its blocks: a position's probability to
    be dropped is (n_S - Q) / n_S again. A block that loses every point is not read.

    Args:
        keys: `(B,)` uint64.
        count: Q, 1 to N.

    Returns:
        index `(B, Q)`; weight None; blocks `(B, m)`, the thinned one last, -1 behind where a sample reads fewer;
        slots `(B, Q)`, ascending.

    Raises:
        UpsDataError: where the domain is not stored in blocks.
    """
    if domain.blocks is None:
        raise UpsDataError(
            "mode 'blocks' needs a dataset that is stored in blocks, and this one was made with blocks=1: "
            "convert it again with --blocks, or use mode 'stratified'"
        )
    stored = domain.blocks
    if count == domain.num_points:
        return _every_block(domain, stored, len(keys))
    numbers = np.flatnonzero(stored.counts)  # blocks without a point are never read
    sizes = stored.counts[numbers]
    chosen, place = _choose(sizes, keys, int(np.searchsorted(np.cumsum(np.sort(sizes)), count)) + 1)
    kept = sizes[chosen] - _dropped(sizes[chosen], place, count)
    blocks = numbers[chosen]
    if not kept.all():
        order = np.argsort(kept == 0, axis=1, kind="stable")
        blocks, kept = np.take_along_axis(blocks, order, 1), np.take_along_axis(kept, order, 1)
    slots = _slots(stored.block_points, stored.counts[blocks], kept, child_keys(keys, 2), count)
    index = _points(stored, blocks, slots)
    return Draw(index, blocks=np.where(kept > 0, blocks, -1), slots=slots)


def thinned(
    sizes: NDArray[np.int64], kept: NDArray[np.int64], keys: NDArray[np.uint64], longest: int
) -> NDArray[np.bool_]:
    """Which places of sequences survive a stratified thinning: one jittered place in each equal stretch.

    As in `draw_stratified`: sequence s of n places is cut into k stretches whose lengths differ by one at most, shifted
    around by an offset uniform in [0, n), so that every place survives with probability k / n.

    Args:
        sizes, kept: `(S,)` n and k of every sequence, 1 ≤ k ≤ n.
        keys: `(S,)` uint64.
        longest: L, no sequence is longer, in whatever batch.

    Returns:
        `(S, L)` bool, k true in each row, all of them before place n.
    """
    n, k = sizes[:, None], kept[:, None]
    stretch = np.arange(int(kept.max(initial=0)), dtype=np.int64)
    start = stretch * n // k
    length = (stretch + 1) * n // k - start
    place = start + random_integers(keys, len(stretch), length, counter0=1, largest=longest)
    place = (place + random_integers(keys, 1, n, largest=longest)) % n
    survives = np.zeros((len(sizes), longest), bool)
    rows = np.broadcast_to(np.arange(len(sizes))[:, None], place.shape)
    used = stretch < k
    survives[rows[used], place[used]] = True
    return survives


def _every_block(domain: Domain, stored: Blocks, samples: int) -> Draw:
    """All points in row-major order; read-only rows broadcast over the samples."""
    index, blocks = np.arange(domain.num_points, dtype=np.int64), np.arange(len(stored), dtype=np.int64)
    index, blocks, slots = (np.broadcast_to(row, (samples, len(row))) for row in (index, blocks, stored.slots))
    return Draw(index, grid_shape=domain.grid_shape, blocks=blocks, slots=slots)


def _choose(
    sizes: NDArray[np.int64], keys: NDArray[np.uint64], number: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Step 1: `(S, number)` blocks, the one to thin last, the others in the order that follows it around the circle of
    all blocks; and `(S,)`, the place in it of the uniform point that told it."""
    ends = np.cumsum(sizes)
    point = random_integers(keys, 1, int(ends[-1]))
    thin = np.searchsorted(ends, point, side="right")
    place = (point - (ends - sizes)[thin])[:, 0]
    if number == 1:
        return thin, place
    others = distinct_integers(child_keys(keys, 1), number - 1, len(sizes) - 1)
    return np.concatenate([(thin + 1 + others) % len(sizes), thin], axis=1), place


def _dropped(sizes: NDArray[np.int64], place: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Step 2: how many points each of the chosen blocks loses, `(S, m)` → `(S, m)`."""
    total = sizes.sum(axis=1)
    surplus = total - count
    dropped = np.zeros_like(sizes)
    dropped[:, -1] = surplus
    for_arc = np.flatnonzero(surplus > sizes.min(axis=1))
    if len(for_arc):
        around = np.roll(sizes[for_arc], 1, axis=1)  # the block with the uniform point comes first on the circle
        end = np.cumsum(around, axis=1)
        first = place[for_arc, None]
        last = first + surplus[for_arc, None]
        lost = np.maximum(np.minimum(end, last) - np.maximum(end - around, first), 0)
        lost[:, :1] += np.maximum(last - total[for_arc, None], 0)
        dropped[for_arc] = np.roll(lost, -1, axis=1)
    return dropped


def _slots(
    block_points: int, sizes: NDArray[np.int64], kept: NDArray[np.int64], keys: NDArray[np.uint64], count: int
) -> NDArray[np.int64]:
    """The slots of the points kept, `(S, Q)`, ascending, in the concatenation of each sample's m blocks."""
    samples, number = sizes.shape
    if (kept == block_points).all():
        return np.broadcast_to(np.arange(count, dtype=np.int64), (samples, count))
    taken = np.arange(block_points) < kept[..., None]
    rows, columns = np.nonzero((kept > 0) & (kept < sizes))
    if len(rows):
        block_keys = absorb(keys[rows], columns)
        taken[rows, columns] = thinned(sizes[rows, columns], kept[rows, columns], block_keys, block_points)
    slots = np.flatnonzero(taken).reshape(samples, count)
    slots -= np.arange(samples, dtype=np.int64)[:, None] * (number * block_points)
    return slots


def _points(stored: Blocks, blocks: NDArray[np.int64], slots: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row-major numbers of the points in slots of the concatenation of each sample's blocks."""
    held = stored.index.reshape(len(stored), -1).take(blocks, axis=0).reshape(len(blocks), -1)
    if slots.shape == held.shape and (len(slots) == 0 or slots.strides[0] == 0):
        return held.astype(np.int64)
    return np.take_along_axis(held, slots, 1).astype(np.int64)
