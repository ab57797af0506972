"""How the points of a domain are dealt into blocks, each of which is a stratified sample of it.

Points are grouped with their neighbours, about as many to a group as there are blocks, and every group deals its
members to different blocks at random. So a block has one point of nearly every group, and groups that lie beside each
other along the order leave their points beside each other in every block.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.hashing import absorb, hash_key

# Keeps the deal's random numbers apart from those of any other use of the same seed.
_FULL, _PARTIAL, _ORDER = 201, 202, 203
# Slots of a block that are put in place together: a few cache lines.
BURST = 16
# Members dealt at once: what a core's cache holds.
_DEAL = 1 << 18


@dataclass(frozen=True, eq=False)
class BlockSizes:
    """The sizes of the blocks that N points are stored in; which points a block holds is not known.

    Attributes:
        counts: `(B,)` int64, points of each block; its empty slots come after them.
        block_points: P, slots of a block.
    """

    counts: NDArray[np.int64]
    block_points: int

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def num_points(self) -> int:
        """N."""
        return int(self.counts.sum())

    @cached_property
    def full(self) -> bool:
        """Whether no block has an empty slot."""
        return bool(self.counts.min() == self.block_points)


@dataclass(frozen=True, eq=False)
class Blocks:
    """The stored order of N points: B blocks of P slots. A block's points come first, its empty slots last.

    Attributes:
        index: `(B * P,)` int32, the number of the point in each slot (row-major on a grid), -1 if the slot is empty.
        counts: `(B,)` int64, points of each block; two blocks differ by one point at most.
    """

    index: NDArray[np.int32]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def block_points(self) -> int:
        """P, slots of a block."""
        return len(self.index) // len(self.counts)

    @cached_property
    def num_points(self) -> int:
        """N."""
        return int(self.counts.sum())

    @cached_property
    def full(self) -> bool:
        """Whether no block has an empty slot."""
        return bool(self.counts.min() == self.block_points)

    @property
    def by_block(self) -> NDArray[np.int32]:
        """`(B, P)`, the index, a row for each block."""
        return self.index.reshape(len(self), -1)

    @cached_property
    def bursts(self) -> "Bursts":
        """The order in which frames are restored."""
        size = -(-self.block_points // BURST) * BURST
        padded = np.full((len(self), size), -1, np.int64)
        padded[:, : self.block_points] = self.by_block
        place = padded.reshape(len(self), -1, BURST).swapaxes(0, 1).reshape(size // BURST, -1)
        order = np.argsort(place, axis=1, kind="stable")
        empty = np.count_nonzero(place < 0, axis=1)[:, None]
        # As small as can be: what is read beside the frames takes their room in the caches.
        rank = np.empty(place.shape, np.int16 if place.shape[1] < 2**15 else np.int32)
        rank_of = np.maximum(np.arange(place.shape[1]) - empty, -1)  # below 0: empty
        np.put_along_axis(rank, order, rank_of.astype(rank.dtype), axis=1)
        ascending = np.take_along_axis(place, order, axis=1)
        before = np.pad(ascending[:, :-1], ((0, 0), (1, 0)), constant_values=-1)
        starts = (ascending >= 0) & ((before < 0) | (ascending - before != 1))
        burst, first = np.nonzero(starts)
        ends = np.where(np.diff(burst, append=-1) == 0, np.append(first[1:], 0), place.shape[1])
        return Bursts(
            rank=rank.reshape(-1, len(self), BURST),
            runs=np.searchsorted(burst, np.arange(len(place) + 1)),
            place=ascending[burst, first],
            length=ends - first,
        )

    @cached_property
    def slots(self) -> NDArray[np.int64]:
        """`(N,)`, the slot that holds each point: the inverse of `index`."""
        slots = np.empty(self.num_points, np.int64)
        filled = np.flatnonzero(self.index >= 0)
        slots[self.index[filled]] = filled
        return slots


@dataclass(frozen=True, eq=False)
class Bursts:
    """Frames are put into row-major order a burst at a time: 16 slots of every block, which lie near each other.

    Attributes:
        rank: `(bursts, B, 16)` int16 or int32, which in ascending order of the burst's points each slot holds; below 0:
            none.
        runs: `(bursts + 1,)` int64, where the runs of each burst begin among all runs.
        place, length: `(runs,)` int64, the first point of each run of consecutive points, and their number.
    """

    rank: NDArray[np.int16] | NDArray[np.int32]
    runs: NDArray[np.int64]
    place: NDArray[np.int64]
    length: NDArray[np.int64]


def grid_blocks(shape: Sequence[int], blocks: int, *, seed: int = 0) -> Blocks:
    """Deal the points of a grid into blocks, each of which is a stratified sample of the grid.

    The grid is cut into tiles of s^d cells (smaller at the far edges), and each tile deals its cells to the s^d blocks
    at random.

    Args:
        shape: the grid's shape, d axes.
        blocks: B = s^d, at most the number of points.
        seed: of the random deal.

    Returns:
        B blocks of `ceil(N / B)` slots.

    Raises:
        UpsDataError: B is not s^d for any s, or is more than the number of points.
    """
    side = tile_side(shape, blocks)
    padded = [-(-n // side) * side for n in shape]
    cells = np.full(padded, -1, np.int32)
    cells[tuple(slice(n) for n in shape)] = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
    tiles = [part for n in padded for part in (n // side, side)]
    inside_last = [*range(0, len(tiles), 2), *range(1, len(tiles), 2)]
    groups = cells.reshape(tiles).transpose(inside_last).reshape(-1, blocks)
    member = groups >= 0
    return _dealt(groups[member], member.sum(1), blocks, -(-math.prod(shape) // blocks), seed)


def tile_side(shape: Sequence[int], blocks: int) -> int:
    """s, for B = s^d blocks of a grid with d axes.

    Raises:
        UpsDataError: B is no s^d, or more than there are points.
    """
    axes, points = len(shape), math.prod(shape)
    if blocks < 1 or blocks > points:
        raise UpsDataError(f"blocks={blocks} on a grid of {points} points: give a number from 1 to {points}")
    side = round(blocks ** (1 / axes))
    if side**axes != blocks:
        low = side if side**axes < blocks else side - 1
        raise UpsDataError(
            f"blocks={blocks} on a grid of {axes} axes: blocks are dealt by tiles of s^{axes} cells, "
            f"give {low**axes} or {(low + 1) ** axes}"
        )
    return side


def point_blocks(coords: NDArray[np.floating], *, block_points: int, seed: int = 0) -> Blocks:
    """Deal points without a lattice into blocks, each of which is a stratified sample of the points.

    Groups of neighbours along the Morton curve deal their points to the blocks at random.

    Args:
        coords: `(N, d)`, finite, d at most 3.
        block_points: P, slots of a block.
        seed: of the random deal.

    Returns:
        `ceil(N / P)` blocks of P slots. If there is one block only, the points keep their order.
    """
    points = len(coords)
    blocks = -(-points // block_points)
    if blocks == 1:
        return single_block(points, block_points)
    groups = -(-points // blocks)
    sizes = np.diff(np.arange(groups + 1) * points // groups)
    return _dealt(morton_order(coords), sizes, blocks, block_points, seed)


def single_block(points: int, block_points: int) -> Blocks:
    """N points in the order given, in one block of P slots."""
    index = np.full(block_points, -1, np.int32)
    index[:points] = np.arange(points)
    return Blocks(index, np.array([points]))


def block_counts(points: int, blocks: int) -> NDArray[np.int64]:
    """`(B,)`, points of each block: the fuller blocks come first, whatever the deal."""
    return points // blocks + (np.arange(blocks) < points % blocks).astype(np.int64)


def morton_order(coords: NDArray[np.floating]) -> NDArray[np.int64]:
    """`(N,)`, the points in order along the Morton curve through the cube that encloses them.

    G. M. Morton, "A computer oriented geodetic data base" (IBM, 1966): cells in the order of their coordinates' bits,
    interleaved.
    """
    x = np.asarray(coords, np.float64)
    bits = min(31, 62 // x.shape[1])
    width = (x.max(0) - x.min(0)).max() or 1.0
    cells = ((x - x.min(0)) * ((2**bits - 1) / width)).astype(np.int64)
    code = np.zeros(len(x), np.int64)
    for level in range(bits - 1, -1, -1):
        for axis in range(x.shape[1] - 1, -1, -1):
            code <<= 1
            code |= (cells[:, axis] >> level) & 1
    return np.argsort(code, kind="stable")


def _dealt(order: NDArray[np.integer], sizes: NDArray[np.int64], blocks: int, block_points: int, seed: int) -> Blocks:
    """Blocks from points `(N,)` in group order and the groups' sizes `(groups,)`, none above the number of blocks."""
    block = np.empty(len(order), np.int64)
    full = np.repeat(sizes == blocks, sizes)
    block[full] = _deal_full(int((sizes == blocks).sum()), blocks, seed)
    block[~full] = _deal_partial(sizes[sizes < blocks], blocks, seed)
    # Renumbered so that the fuller blocks come first: their sizes need not be stored. Radix sort takes 16 bits.
    renumbered = np.argsort(np.argsort(-np.bincount(block, minlength=blocks), kind="stable"))
    block_of = renumbered.astype(np.uint16 if blocks <= 2**16 else np.int64)[block]
    counts = block_counts(len(order), blocks)
    slot = np.arange(len(order)) + np.repeat(np.arange(blocks) * block_points - (np.cumsum(counts) - counts), counts)
    index = np.full(blocks * block_points, -1, np.int32)
    index[slot] = order[np.argsort(block_of, kind="stable")]
    return Blocks(index, counts)


def _deal_full(groups: int, blocks: int, seed: int) -> NDArray[np.int64]:
    """A permutation of the blocks for each group of as many members: `(groups * B,)`."""
    key = hash_key(seed, _FULL)
    out = np.empty((groups, blocks), np.int64)
    step = max(1, _DEAL // blocks)
    for start in range(0, groups, step):
        part = out[start : start + step]
        part[...] = absorb(key, np.arange(start * blocks, start * blocks + part.size)).reshape(part.shape).argsort(1)
    return out.reshape(-1)


def _deal_partial(sizes: NDArray[np.int64], blocks: int, seed: int) -> NDArray[np.int64]:
    """Blocks for groups of fewer members: one group after another goes to the least filled blocks, ties at random.

    In rounds: every round has all blocks once, in an order of its own. A group that begins in one round and ends in
    the next takes from the new one only blocks that it does not have. Groups come in random order, so that being dealt
    one after the other ties no two of them.
    """
    key = hash_key(seed, _PARTIAL)
    rounds = 0
    left = np.empty(0, np.int64)
    out = np.empty(int(sizes.sum()), np.int64)
    starts = np.cumsum(sizes) - sizes
    for group in absorb(hash_key(seed, _ORDER), np.arange(len(sizes))).argsort().tolist():
        mine = out[starts[group] : starts[group] + sizes[group]]
        taken, left = left[: len(mine)], left[len(mine) :]
        mine[: len(taken)] = taken
        if missing := len(mine) - len(taken):
            fresh = absorb(key, np.arange(rounds * blocks, (rounds + 1) * blocks)).argsort()
            rounds += 1
            chosen = ~np.isin(fresh, taken)
            chosen &= np.cumsum(chosen) <= missing
            mine[len(taken) :], left = fresh[chosen], fresh[~chosen]
    return out
