"""`order="random"`: the same points, and every prefix and every tenth of them a fair draw."""

import numpy as np
import pytest
from scipy import stats

from tests.sampling.cases import SMALLEST_P, cloud, dealt, grid, keys
from ups_data.points.blocks import BlockSizes
from ups_data.points.domain import Domain
from ups_data.points.tiles import tiles_in
from ups_data.sampling import Draw, QuerySampling, draw_queries
from ups_data.sampling.order import shuffled, spread

TILES = 16
MIXTURE = {"uniform": 0.2, "stratified": 0.3, "importance": 0.5}
GRID, ODD, CLOUD = grid(16, 16), grid(17, 10), cloud(150, 2)
# Q a power of two and not, few and all points.
CASES = {
    "uniform": (GRID, {"num_queries": 60}),
    "stratified, power of two": (GRID, {"num_queries": 64, "mode": "stratified"}),
    "stratified": (ODD, {"num_queries": 50, "mode": "stratified"}),
    "stratified, cloud": (CLOUD, {"num_queries": 40, "mode": "stratified"}),
    "stratified, every point": (ODD, {"ratio": 1.0, "mode": "stratified"}),
    "full": (ODD, {"mode": "full"}),
    "lattice": (GRID, {"num_queries": 64, "mode": "lattice"}),
    "blocks": (dealt(GRID, 8), {"num_queries": 70, "mode": "blocks"}),
    "blocks, whole": (dealt(GRID, 8), {"num_queries": 64, "mode": "blocks"}),
    "blocks, every point": (dealt(GRID, 8), {"ratio": 1.0, "mode": "blocks"}),
    "blocks of odd size": (dealt(CLOUD, 7), {"num_queries": 50, "mode": "blocks"}),
    "importance": (GRID, {"num_queries": 50, "mode": "importance"}),
    "importance, cloud": (CLOUD, {"num_queries": 32, "mode": "importance"}),
    "mixture": (GRID, {"num_queries": 60, "mode": MIXTURE}),
    "off the grid": (ODD, {"num_queries": 50, "mode": "stratified", "off_grid": True}),
}


def importance(rows: int) -> np.ndarray:
    return np.tile(np.linspace(0, 4, TILES) ** 2, (rows, 1))


def drawn(case: str, rows: int, seed: int = 0) -> tuple[Domain, Draw, Draw]:
    """The same draw in stored and in random order."""
    domain, options = CASES[case]
    batch = keys(rows, seed)
    stored, random = (
        draw_queries(QuerySampling(**options, order=order), domain, batch, 0, importance(rows))
        for order in ("stored", "random")
    )
    return domain, stored, random


@pytest.mark.parametrize("case", CASES)
def test_the_points_are_the_same(case: str) -> None:
    """With each point its weight, its slot and its offset."""
    domain, stored, random = drawn(case, 50)
    assert (random.index != stored.index).any(axis=1).all()
    from_stored, from_random = np.argsort(stored.index, axis=1), np.argsort(random.index, axis=1)

    def same(one: np.ndarray, other: np.ndarray) -> bool:
        return all(np.array_equal(a[i], b[j]) for a, b, i, j in zip(one, other, from_stored, from_random, strict=True))

    assert same(stored.index, random.index)
    for name in ("weight", "slots", "offset"):
        before, after = getattr(stored, name), getattr(random, name)
        assert (before is None) == (after is None), name
        assert before is None or same(before, after), name
    assert random.grid_shape is None
    assert not random.whole_blocks
    if stored.blocks is not None:
        assert np.array_equal(random.blocks, stored.blocks)
        held = np.take_along_axis(domain.blocks.by_block[random.blocks].reshape(50, -1), random.slots, 1)
        assert np.array_equal(held, random.index)


@pytest.mark.parametrize("case", CASES)
def test_every_tenth_of_the_order_is_a_fair_draw(case: str) -> None:
    """χ² over tiles, of one random member of each tenth of each draw.

    Stored order fails, except where its first point is as likely in any place: in blocks, and in strata that are turned
    around the curve.
    """
    rows = 6000
    domain, stored, random = drawn(case, rows, seed=5)
    tile, queries = tiles_in(domain, TILES).of_point, random.index.shape[1]
    weight = np.ones((rows, queries)) if random.weight is None else random.weight
    pi = np.full(domain.num_points, np.nan)
    pi[random.index] = queries / (domain.num_points * weight)
    expected = np.bincount(tile, weights=pi, minlength=TILES)
    chosen = np.random.default_rng(0)
    lowest = 1.0
    for tenth in range(10):
        first, last = tenth * queries // 10, (tenth + 1) * queries // 10
        member = chosen.integers(first, last, size=rows)
        p = [
            stats.chisquare(
                np.bincount(tile[draw.index[np.arange(rows), member]], minlength=TILES),
                rows * expected / expected.sum(),
            ).pvalue
            for draw in (random, stored)
        ]
        assert p[0] > SMALLEST_P / 10, tenth
        lowest = min(lowest, p[1])
    turned = domain is not GRID and domain.blocks is None and random.index.shape[1] < domain.num_points
    assert lowest < 1e-9 or domain.blocks is not None or (turned and random.weight is None)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("part", [slice(0, 1), slice(0, 7), slice(7, None), slice(3, 20)], ids=str)
def test_weights_of_a_part_are_those_of_the_whole(case: str, part: slice) -> None:
    """Σ w f over M points, divided by M, is an unbiased estimate of the mean over all N."""
    rows = 6000
    domain, _, random = drawn(case, rows, seed=7)
    values = np.random.default_rng(1).random(domain.num_points) + np.arange(domain.num_points) / domain.num_points
    of_part = values[random.index[:, part]]
    if random.weight is not None:
        of_part = of_part * random.weight[:, part]
    estimates = of_part.mean(axis=1)
    error = estimates.std(ddof=1) / np.sqrt(rows)
    assert abs(estimates.mean() - values.mean()) < 3.5 * error


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 12, 31])
@pytest.mark.parametrize("order", [spread, shuffled])
def test_every_number_is_as_likely_in_every_place(order, count: int) -> None:
    found = order(keys(20_000), count)
    assert (np.sort(found, axis=1) == np.arange(count)).all()
    for place in range(count if count > 1 else 0):
        assert stats.chisquare(np.bincount(found[:, place], minlength=count)).pvalue > SMALLEST_P / 10


def test_prefixes_are_as_even_as_can_be() -> None:
    """The first 2^j of 2^k lie one in each of as many equal parts, and so do the next ones, but not evenly spaced."""
    found = spread(keys(300), 256)
    for size in (2, 16, 64):
        parts = np.sort(found.reshape(300, -1, size) // (256 // size), axis=2)
        assert (parts == np.arange(size)).all()
    steps = np.diff(np.sort(found[:, :16], axis=1), axis=1)
    assert (steps != 16).mean() > 0.8
    # On a grid of such a size the parts are squares, if every point is drawn too.
    for ratio in (1 / 16, 1.0):
        sampling = QuerySampling(ratio=ratio, mode="stratified", order="random")
        row, column = np.divmod(draw_queries(sampling, grid(64, 64), keys(50), 0).index[:, :16], 64)
        assert (np.sort(row // 16 * 4 + column // 16, axis=1) == np.arange(16)).all()


@pytest.mark.parametrize("count", [3, 7, 50, 64, 99, 300])
def test_every_half_has_its_share_of_every_prefix(count: int) -> None:
    """Rounded up or down, and of every quarter to one more; never a random number as in `shuffled`."""
    found = spread(keys(500), count)
    left = count // 2
    sizes = np.arange(1, count + 1)
    share = (found < left).cumsum(axis=1)
    assert (np.abs(share - sizes * left / count) < 1).all()
    assert len(np.unique(share, axis=0)) > 1
    quarter = (found < left // 2).cumsum(axis=1)
    assert (np.abs(quarter - sizes * (left // 2) / count) < 2).all()


@pytest.mark.parametrize(("count", "at_most"), [(50, 0.65), (100, 0.45), (300, 0.2), (1000, 0.1)])
def test_prefixes_are_more_even_than_random_subsets(count: int, at_most: float) -> None:
    """Variance of the number of points of a tenth, a third and a half of [0, 1), relative to random subsets."""
    found, other = spread(keys(2000), count), shuffled(keys(2000), count)
    for size in (count // 10, count // 3, count // 2):
        for share in (0.1, 1 / 3, 0.5):
            inside = [(o[:, :size] < share * count).sum(axis=1).var() for o in (found, other)]
            assert inside[0] < at_most * inside[1], (size, share)


def test_the_order_depends_on_the_key_alone() -> None:
    sampling = QuerySampling(num_queries=50, mode="stratified", order="random")
    batch = keys(30)
    together = draw_queries(sampling, ODD, batch, 0).index
    alone = np.concatenate([draw_queries(sampling, ODD, batch[i : i + 1], 0).index for i in range(30)])
    assert np.array_equal(together, alone)


def test_blocks_whose_points_are_not_known() -> None:
    domain = Domain(256, blocks=BlockSizes(np.full(8, 32), 32))
    stored, random = (
        draw_queries(QuerySampling(num_queries=64, mode="blocks", order=o), domain, keys(20), 0)
        for o in ("stored", "random")
    )
    assert random.index is None
    assert np.array_equal(random.blocks, stored.blocks)
    assert np.array_equal(np.sort(random.slots, axis=1), stored.slots)
    assert stored.whole_blocks
    assert not random.whole_blocks


def test_known_orders() -> None:
    """A change here reorders the points of every training run: make it on purpose only."""
    assert spread(keys(2), 8).tolist() == [[5, 0, 6, 3, 4, 1, 7, 2], [1, 4, 3, 7, 0, 5, 2, 6]]
    assert spread(keys(2), 5).tolist() == [[1, 3, 4, 0, 2], [2, 0, 4, 1, 3]]
    assert shuffled(keys(2), 5).tolist() == [[1, 4, 0, 2, 3], [3, 0, 4, 2, 1]]
