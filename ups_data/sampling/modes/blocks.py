"""Whole stored blocks, so that a step that needs few points reads few bytes."""

import numpy as np
from numpy.typing import NDArray

from ups_data import _native as built
from ups_data.hashing import absorb
from ups_data.points.blocks import Blocks, BlockSizes
from ups_data.points.domain import Domain
from ups_data.sampling.draw import Draw
from ups_data.sampling.mode import Mode
from ups_data.sampling.modes.uniform import SPARSE, distinct_integers
from ups_data.sampling.random import child_keys, random_integers

FEW = 256  # blocks of a draw, whose repeats are found one by one


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
    BLOCKS.check(domain)
    stored = domain.blocks
    assert stored is not None
    if count == domain.num_points and isinstance(stored, Blocks):
        return _every_block(domain, stored, len(keys))
    if built.native is not None and stored.full:
        least = -(-count // stored.block_points)
        if least <= FEW and (least - 1) * SPARSE <= len(stored) - 1:
            return _natively(stored, keys, count, least)
    numbers = np.flatnonzero(stored.counts)  # blocks without a point are never read
    sizes = stored.counts[numbers]
    chosen, place = _choose(sizes, keys, int(np.searchsorted(np.cumsum(np.sort(sizes)), count)) + 1)
    kept = sizes[chosen] - _dropped(sizes[chosen], place, count)
    blocks = numbers[chosen]
    if not kept.all():
        order = np.argsort(kept == 0, axis=1, kind="stable")
        blocks, kept = np.take_along_axis(blocks, order, 1), np.take_along_axis(kept, order, 1)
    thin_keys = child_keys(keys, 2)
    if stored.full:
        index, slots = _alike(stored, blocks, thin_keys, count)
    else:
        slots = _slots(stored.block_points, stored.counts[blocks], kept, thin_keys, count)
        index = None
        if isinstance(stored, Blocks):
            held = stored.by_block[blocks].reshape(len(keys), -1)
            index = np.take_along_axis(held, slots, 1).astype(np.int64)
    whole = bool(stored.full and kept.all() and count == blocks.shape[1] * stored.block_points)
    return Draw(index, blocks=np.where(kept > 0, blocks, -1), slots=slots, whole_blocks=whole)


def thinned(
    sizes: NDArray[np.int64], kept: NDArray[np.int64], keys: NDArray[np.uint64], longest: int
) -> NDArray[np.int64]:
    """The places of sequences that survive a stratified thinning: one jittered place in each equal stretch.

    As in `draw_stratified`: sequence s of n places is cut into k stretches whose lengths differ by one at most, shifted
    around by an offset uniform in [0, n), so that every place survives with probability k / n.

    Args:
        sizes, kept: `(S,)` n and k of every sequence, 1 ≤ k ≤ n.
        keys: `(S,)` uint64.
        longest: no sequence is longer, in whatever batch.

    Returns:
        `(S, max k)` int64: k places in [0, n), ascending, in each row, and something else behind them.
    """
    alike = len(sizes) > 0 and (sizes == sizes[0]).all() and (kept == kept[0]).all()
    n, k = (x[: 1 if alike else None, None] for x in (sizes, kept))  # one row of borders serves all, then
    borders = np.arange(int(kept.max(initial=0)) + 1, dtype=np.int64) * n // k
    place = random_integers(keys, borders.shape[1] - 1, np.diff(borders, axis=1), counter0=1, largest=longest)
    place += borders[:, :-1]
    place += random_integers(keys, 1, n, largest=longest)
    stretch = np.arange(place.shape[1])
    before_end = np.count_nonzero((place < n) & (stretch < k), axis=1)[:, None]
    # What has passed the end belongs in front. Rows differ in k, so the turn is made row by row.
    source = stretch + before_end
    np.subtract(source, k, out=source, where=source >= k)
    np.minimum(source, place.shape[1] - 1, out=source)
    place = np.take_along_axis(place, source, 1)
    np.subtract(place, n, out=place, where=place >= n)
    return place


def _natively(stored: Blocks | BlockSizes, keys: NDArray[np.uint64], count: int, chosen: int) -> Draw:
    """The same from full blocks, few of many, in one call."""
    blocks = np.empty((len(keys), chosen), np.int64)
    held = stored.by_block if isinstance(stored, Blocks) else None
    index = None if held is None else np.empty((len(keys), count), np.int64)
    whole = count == chosen * stored.block_points
    slots = None if whole else np.empty((len(keys), count), np.int64)
    keys = np.ascontiguousarray(keys)
    built.native.fill_blocks(keys, stored.block_points, held, len(stored), blocks, slots, index)
    if slots is None:
        slots = np.broadcast_to(np.arange(count, dtype=np.int64), (len(keys), count))
    return Draw(index, blocks=blocks, slots=slots, whole_blocks=whole)


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


def _alike(
    stored: Blocks | BlockSizes, blocks: NDArray[np.int64], keys: NDArray[np.uint64], count: int
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Index (where it is known) and slots, `(S, Q)` each, where all blocks are full: part of the last one is taken."""
    samples, number = blocks.shape
    held = stored.by_block if isinstance(stored, Blocks) else None
    if count == number * stored.block_points:
        index = None if held is None else held[blocks].reshape(samples, count).astype(np.int64)
        return index, np.broadcast_to(np.arange(count, dtype=np.int64), (samples, count))
    whole = (number - 1) * stored.block_points
    sizes, kept = np.full(samples, stored.block_points), np.full(samples, count - whole)
    place = thinned(sizes, kept, keys, stored.block_points)
    slots = np.empty((samples, count), np.int64)
    slots[:, :whole] = np.arange(whole)
    np.add(place, whole, out=slots[:, whole:])
    if held is None:
        return None, slots
    index = np.empty_like(slots)
    index[:, :whole] = held[blocks[:, :-1]].reshape(samples, whole)
    index[:, whole:] = held.reshape(-1).take(place + blocks[:, -1:] * stored.block_points)
    return index, slots


def _slots(
    block_points: int, sizes: NDArray[np.int64], kept: NDArray[np.int64], keys: NDArray[np.uint64], count: int
) -> NDArray[np.int64]:
    """The slots of the points kept, `(S, Q)`, ascending, in the concatenation of each sample's m blocks."""
    samples, number = sizes.shape
    taken = np.arange(block_points) < kept[..., None]
    rows, columns = np.nonzero((kept > 0) & (kept < sizes))
    if len(rows):
        sizes, kept = sizes[rows, columns], kept[rows, columns]
        places = thinned(sizes, kept, absorb(keys[rows], columns), block_points)
        thin, place = np.nonzero(np.arange(places.shape[1]) < kept[:, None])
        taken[rows, columns] = False
        taken[rows[thin], columns[thin], places[thin, place]] = True
    slots = np.flatnonzero(taken).reshape(samples, count)
    slots -= np.arange(samples, dtype=np.int64)[:, None] * (number * block_points)
    return slots


BLOCKS = Mode(
    "blocks",
    lambda r: draw_blocks(r.domain, r.keys, r.count),
    needs_blocks=True,
    reads_part_of_blocks=True,
)
