"""The deal: every point once, blocks of equal size, one point of a group to a block, no pair of points favoured."""

import hashlib

import numpy as np
import pytest
from scipy import stats

from ups_data import UpsDataError
from ups_data.points.blocks import Blocks, block_counts, grid_blocks, morton_order, point_blocks, tile_side

# (grid, blocks): divisible by the tile's side, ragged along every axis, thinner than a tile, one block, one point each.
GRIDS = [
    ((64,), 4),
    ((50,), 7),
    ((5,), 5),
    ((16, 16), 16),
    ((19, 23), 16),
    ((2, 31), 16),
    ((8, 4, 12), 8),
    ((7, 5, 9), 27),
    ((9, 9, 9), 64),
    ((6, 7), 1),
]


def block_of(blocks: Blocks) -> np.ndarray:
    return blocks.slots // blocks.block_points


def check(blocks: Blocks, points: int) -> None:
    """Every point in one slot, the points of a block before its empty slots, sizes equal to one point."""
    index = blocks.index.reshape(len(blocks), blocks.block_points)
    assert np.array_equal(np.sort(index[index >= 0]), np.arange(points))
    assert np.array_equal(index >= 0, np.arange(blocks.block_points) < blocks.counts[:, None])
    assert blocks.counts.max() - blocks.counts.min() <= 1
    assert np.array_equal(blocks.counts, block_counts(points, len(blocks)))
    assert np.array_equal(blocks.index[blocks.slots], np.arange(points))


@pytest.mark.parametrize(("shape", "count"), GRIDS)
def test_every_point_of_a_grid_has_one_slot(shape, count):
    blocks = grid_blocks(shape, count, seed=3)
    assert len(blocks) == count
    assert blocks.block_points == -(-np.prod(shape) // count)
    check(blocks, int(np.prod(shape)))


@pytest.mark.parametrize(("shape", "count"), GRIDS)
def test_a_tile_gives_no_two_cells_to_one_block(shape, count):
    side = tile_side(shape, count)
    tile = np.ravel_multi_index([a // side for a in np.indices(shape)], [-(-n // side) for n in shape]).ravel()
    pairs = np.stack([tile, block_of(grid_blocks(shape, count, seed=3))], 1)
    assert len(np.unique(pairs, axis=0)) == len(pairs)


@pytest.mark.parametrize(("points", "slots"), [(1000, 64), (1000, 63), (1, 1), (3, 8), (17, 16), (40, 1), (37, 2)])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_every_point_of_a_cloud_has_one_slot(points, slots, d):
    coords = np.random.default_rng(points).random((points, d)) ** 2
    blocks = point_blocks(coords, block_points=slots, seed=1)
    assert len(blocks) == -(-points // slots)
    assert blocks.block_points == slots
    check(blocks, points)


def test_groups_of_neighbours_share_the_remainder():
    """1,000 points in 16 blocks: 63 groups of 15 or 16 along the curve, the points of each in different blocks."""
    coords = np.random.default_rng(0).random((1000, 2))
    blocks = block_of(point_blocks(coords, block_points=63))[morton_order(coords)]
    groups = np.split(blocks, np.arange(1, 63) * 1000 // 63)
    assert {len(g) for g in groups} == {15, 16}
    assert all(len(np.unique(g)) == len(g) for g in groups)


def test_a_block_follows_the_groups():
    """Neighbours in a block are neighbours in space: on average as near as one point per group can be."""
    coords = np.random.default_rng(0).random((4096, 2))
    blocks = point_blocks(coords, block_points=256)
    for b in range(len(blocks)):
        x = coords[blocks.index[b * 256 : b * 256 + blocks.counts[b]]]
        assert np.linalg.norm(np.diff(x, axis=0), axis=1).mean() < 3 / np.sqrt(256)
    rows = grid_blocks((64, 64), 16).index.reshape(16, 256) // 64
    assert (np.abs(np.diff(rows, axis=1)) < 2 * 4).all()


def test_one_block_keeps_the_order_given():
    assert point_blocks(np.random.default_rng(0).random((5, 3)), block_points=7).index.tolist() == [
        0,
        1,
        2,
        3,
        4,
        -1,
        -1,
    ]


def test_morton_order_of_a_small_square():
    """Quadrant by quadrant, in each of them too; the first coordinate varies fastest."""
    quadrant = [(0, 0), (1, 0), (0, 1), (1, 1)]
    curve = np.array([(2 * a + x, 2 * b + y) for a, b in quadrant for x, y in quadrant], float)
    mixed = np.random.default_rng(0).permutation(16)
    assert np.array_equal(curve[mixed][morton_order(curve[mixed])], curve)


def test_points_in_one_place():
    check(point_blocks(np.ones((50, 3)), block_points=7), 50)


def test_known_deals():
    """Datasets are written with it, and converting again must give the same bytes: change it on purpose only."""

    def digest(blocks: Blocks) -> str:
        return hashlib.sha256(blocks.index.astype("<i4").tobytes()).hexdigest()[:16]

    dealt = grid_blocks((12, 10), 9, seed=3)  # tiles of 9 cells, and fewer at the edge
    assert dealt.by_block[0].tolist() == [20, 13, 27, 40, 35, 46, 70, 84, 68, 69, 102, 95, 96, 119]
    assert digest(dealt) == "5e1ab6d1e89f8bd8"
    n = np.arange(101)
    cloud = point_blocks(np.stack([n * 37 % 101, n * n % 101], axis=1) / 100, block_points=8, seed=3)
    assert cloud.by_block[:2].tolist() == [[1, 83, 100, 21, 33, 20, 26, 30], [39, 4, 32, 76, 22, 9, 51, 92]]
    assert digest(cloud) == "b04b2540ecd71628"
    together = point_blocks(np.zeros((12, 2)), block_points=4, seed=3)  # points of one place: in the order given
    assert together.by_block.tolist() == [[1, 3, 8, 9], [2, 4, 6, 10], [0, 5, 7, 11]]


def test_the_seed_decides():
    assert np.array_equal(grid_blocks((12, 10), 4, seed=1).index, grid_blocks((12, 10), 4, seed=1).index)
    assert not np.array_equal(grid_blocks((12, 10), 4, seed=1).index, grid_blocks((12, 10), 4, seed=2).index)
    coords = np.random.default_rng(0).random((100, 2))
    one, other = (point_blocks(coords, block_points=10, seed=s).index for s in (1, 2))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(("shape", "count"), [((6, 6), 4), ((5, 7), 4), ((5, 7), 9), ((11,), 4), ((5, 5, 5), 8)])
def test_no_pair_of_points_is_favoured(shape, count):
    """Over seeds, points of whole tiles fall into every block equally often, and meet any other as chance has it.

    Points of two ragged tiles keep the blocks equal between them, so they meet less often than that, on average.
    """
    seeds, points, side = 2000, int(np.prod(shape)), tile_side(shape, count)
    dealt = np.stack([block_of(grid_blocks(shape, count, seed=s)) for s in range(seeds)])
    tiles = np.stack([a.ravel() // side for a in np.indices(shape)], 1)
    whole = ((tiles + 1) * side <= shape).all(1)
    p_values = [stats.chisquare(np.bincount(dealt[:, i], minlength=count)).pvalue for i in np.flatnonzero(whole)]
    assert min(p_values) > 1e-3 / points
    first, second = np.triu_indices(points, 1)
    apart = (tiles[first] != tiles[second]).any(1)
    met = (dealt[:, first] == dealt[:, second]).sum(0)
    assert (met[~apart] == 0).all()
    one_whole = met[apart & (whole[first] | whole[second])]
    tails = stats.binom.cdf(one_whole, seeds, 1 / count), stats.binom.sf(one_whole - 1, seeds, 1 / count)
    assert np.minimum(*tails).min() > 1e-4 / len(one_whole)
    ragged = met[apart & ~whole[first] & ~whole[second]]
    assert ragged.size == 0 or ragged.mean() < seeds / count


def test_a_block_is_a_stratified_sample():
    """The mean over a block varies far less than over as many points drawn at random."""
    y, x = np.mgrid[0:64, 0:64] / 64
    field = (np.sin(7 * x) * np.cos(5 * y) + x * y).ravel()
    blocks = grid_blocks((64, 64), 16)
    means = field[blocks.index].reshape(16, -1).mean(1)
    uniform = field.var() / 256 * (1 - 256 / 4096)
    assert ((means - field.mean()) ** 2).mean() < 0.1 * uniform


@pytest.mark.parametrize(
    ("shape", "count", "says"),
    [
        ((64, 64), 10, "give 9 or 16"),
        ((64, 64), 2, "give 1 or 4"),
        ((8, 8, 8), 16, "give 8 or 27"),
        ((8, 8), 100, "from 1 to 64"),
        ((8, 8), 0, "from 1 to 64"),
    ],
)
def test_numbers_of_blocks_that_do_not_fit_name_those_that_do(shape, count, says):
    with pytest.raises(UpsDataError, match=says):
        grid_blocks(shape, count)
