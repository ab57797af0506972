"""Mode `importance`: tiles by their importance, exact inclusion probabilities and weights."""

import numpy as np
import pytest
from scipy import stats

from tests.sampling.cases import DOMAINS, SMALLEST_P, cloud, grid, keys, tiles_of
from ups_data.errors import UpsDataError
from ups_data.points.domain import Domain
from ups_data.points.tiles import tiles_in
from ups_data.sampling import QuerySampling, draw_queries
from ups_data.sampling.modes.importance import UNIT_BITS, draw_places, expected_counts, inclusion

ONE = 1 << UNIT_BITS


def peaked(samples: int, tiles: int, seed: int = 0) -> np.ndarray:
    """A few tiles far above the others, another few in each row; float16 as stored."""
    return (np.random.default_rng(seed).random((samples, tiles)) ** 8).astype(np.float16)


def importance_sampling(count: int, floor: float = 0.1) -> QuerySampling:
    return QuerySampling(num_queries=count, mode="importance", importance_floor=floor)


def water_filled(mass: np.ndarray, sizes: np.ndarray, count: int) -> np.ndarray:
    """min(N_k, c mass_k) with the level c found by bisection."""
    low, high = 0.0, sizes.sum() / mass.min()
    for _ in range(200):
        level = 0.5 * (low + high)
        low, high = (level, high) if np.minimum(sizes, level * mass).sum() < count else (low, level)
    return np.minimum(sizes, level * mass)


@pytest.mark.parametrize("count", [1, 7, 40, 110, 163, 169])
@pytest.mark.parametrize("floor", [0.001, 0.1, 1.0])
def test_expected_counts(count: int, floor: float) -> None:
    sizes = tiles_in(grid(17, 10), 13).sizes
    importance = peaked(50, 13)
    expected = expected_counts(importance, sizes, count, floor)
    assert (expected.sum(axis=1) == count * ONE).all()
    assert (expected >= 0).all()
    assert (expected <= sizes * ONE).all()
    for row, found in zip(importance.astype(np.float64), expected, strict=True):
        mass = sizes * ((1 - floor) * row / (row * sizes).sum() + floor / 170)
        assert found / ONE == pytest.approx(water_filled(mass, sizes, count), rel=1e-6, abs=1e-8)


def test_spilling_over_may_take_many_rounds() -> None:
    """Every tile is ten times as important as the next, so that they fill one after the other."""
    sizes = np.full(8, 10)
    importance = 10.0 ** -np.arange(8)[None]
    expected = expected_counts(importance, sizes, 65, 1e-12)[0] / ONE
    assert expected[:6] == pytest.approx([10] * 6)
    assert expected[6:] == pytest.approx([5 * 10 / 11, 5 / 11], rel=1e-3)


@pytest.mark.parametrize("scale", [2.0**-20, 2.0**60])
def test_scale_of_the_importance_does_not_matter(scale: float) -> None:
    sizes, importance = tiles_in(grid(17, 10), 13).sizes, peaked(5, 13).astype(np.float64)
    expected = expected_counts(importance, sizes, 60, 0.1)
    assert np.array_equal(expected_counts(importance * scale, sizes, 60, 0.1), expected)


IMPORTANCE_CASES = [
    (name, tiles, count)
    for name in ("1d odd", "2d", "2d odd", "3d", "cloud 2d", "tiny")
    for tiles in (1, 3, DOMAINS[name].num_points // 6, DOMAINS[name].num_points)
    for count in (1, DOMAINS[name].num_points // 8, DOMAINS[name].num_points // 2, DOMAINS[name].num_points - 1)
    if tiles > 0 and count > 0
]


@pytest.mark.parametrize(("name", "tiles", "count"), IMPORTANCE_CASES)
def test_exact_number_without_repeats_and_exact_weights(name: str, tiles: int, count: int) -> None:
    domain, importance = DOMAINS[name], peaked(100, tiles)
    draw = draw_queries(importance_sampling(count), domain, keys(100), 0, importance)
    assert draw.index.shape == draw.weight.shape == (100, count)
    assert draw.weight.dtype == np.float32
    assert (np.diff(np.sort(draw.index, axis=1), axis=1) > 0).all()
    cut = tiles_in(domain, tiles)
    expected = expected_counts(importance, cut.sizes, count, 0.1)
    pi = np.take_along_axis(expected / ONE / cut.sizes, cut.of_point[draw.index], 1)
    assert np.array_equal(draw.weight, (count / (domain.num_points * pi)).astype(np.float32))
    assert draw.weight.max() <= 10 * (1 + 1e-6)  # 1 / floor


@pytest.mark.parametrize("count", [9, 60, 128, 250])
def test_each_tile_gets_its_expected_count_rounded_down_or_up(count: int) -> None:
    domain, tiles = grid(16, 16), tiles_in(grid(16, 16), 16)
    importance = np.repeat(peaked(1, 16), 4000, axis=0)
    expected = expected_counts(importance, tiles.sizes, count, 0.1)
    _, tile = draw_places(tiles, expected, keys(4000), count)
    drawn = np.stack([np.bincount(row, minlength=16) for row in tile])
    assert (drawn >= expected >> UNIT_BITS).all()
    assert (drawn <= -(-expected >> UNIT_BITS)).all()
    fraction = (expected[0] % ONE) / ONE
    error = np.sqrt(fraction * (1 - fraction) / 4000)
    assert (np.abs(drawn.mean(axis=0) - expected[0] / ONE) <= 4 * error + 1e-12).all()
    assert domain.num_points == tiles.sizes.sum()


@pytest.mark.parametrize(
    ("domain", "tiles"), [(grid(16, 16), 16), (grid(17, 10), 13), (cloud(101, 3), 9)], ids=["square", "odd", "cloud"]
)
@pytest.mark.parametrize("ratio", [0.05, 0.3, 0.8, 0.97])
def test_inclusion_probabilities_are_those_of_the_weights(domain: Domain, tiles: int, ratio: float) -> None:
    """One random member of each draw is point i with probability π_i / Q: the χ² distribution holds."""
    draws, total = 30_000, domain.num_points
    count = round(ratio * total)
    importance = np.repeat(peaked(1, tiles), draws, axis=0)
    draw = draw_queries(importance_sampling(count), domain, keys(draws), 0, importance)
    cut = tiles_in(domain, tiles)
    pi = inclusion(cut, expected_counts(importance[:1], cut.sizes, count, 0.1))[0][cut.of_point]
    member = np.random.default_rng(0).integers(count, size=draws)
    counts = np.bincount(draw.index[np.arange(draws), member], minlength=total)
    assert stats.chisquare(counts, draws * pi / count).pvalue > SMALLEST_P


@pytest.mark.parametrize("count", [12, 100])
def test_points_of_a_tile_are_spread_in_it(count: int) -> None:
    """One tile of 120 points: as `stratified`, two neighbours lie at most two stretches apart."""
    index = np.sort(draw_queries(importance_sampling(count), grid(120), keys(500), 0, np.ones((500, 1))).index, axis=1)
    gaps = np.diff(index, axis=1, append=index[:, :1] + 120)
    assert gaps.max() <= 2 * -(-120 // count) - 1


NO_PREFERENCE = {
    "zero": np.zeros(12),
    "NaN": np.array([1.0, np.nan] * 6),
    "negative": np.array([1.0, 2.0, -1e-6] * 4),
    "infinite": np.array([1.0, np.inf] * 6),
    "equal": np.full(12, 0.3),
    "equal, tiny": np.full(12, 6e-8, np.float16),
}


@pytest.mark.parametrize("row", NO_PREFERENCE.values(), ids=NO_PREFERENCE)
@pytest.mark.parametrize("count", [5, 36, 100])
def test_without_preference_points_are_stratified_and_weights_one(row: np.ndarray, count: int) -> None:
    importance = np.repeat(row[None], 200, axis=0)
    draw = draw_queries(importance_sampling(count), grid(120), keys(200), 0, importance)
    assert (draw.weight == 1).all()
    per_tile = np.stack([np.bincount(r // 10, minlength=12) for r in draw.index])
    assert set(np.unique(per_tile)) <= {count // 12, -(-count // 12)}
    # A row without preference leaves the others alone.
    mixed = np.concatenate([importance[:1], peaked(3, 12)])
    alone = draw_queries(importance_sampling(count), grid(120), keys(4)[1:], 0, mixed[1:])
    assert np.array_equal(draw_queries(importance_sampling(count), grid(120), keys(4), 0, mixed).index[1:], alone.index)


@pytest.mark.parametrize("count", [10, 80, 160])
def test_a_key_draws_the_same_in_any_batch(count: int) -> None:
    domain, importance, batch = grid(17, 10), peaked(60, 11), keys(60)
    importance[::7] = 0
    whole = draw_queries(importance_sampling(count), domain, batch, 0, importance)
    for row in range(20):
        alone = draw_queries(
            importance_sampling(count), domain, batch[row : row + 1], 0, importance[row : row + 1].astype(np.float32)
        )
        assert np.array_equal(alone.index[0], whole.index[row])
        assert np.array_equal(alone.weight[0], whole.weight[row])


def test_ratio_one_needs_no_importance() -> None:
    draw = draw_queries(QuerySampling(mode="importance"), grid(4, 4), keys(2), 0)
    assert np.array_equal(draw.index, np.tile(np.arange(16), (2, 1)))
    assert draw.weight is None


def test_error_before_any_is_known_is_stratified() -> None:
    chosen = QuerySampling(num_queries=10, mode="importance", importance_metric="error")
    draw = draw_queries(chosen, grid(100), keys(50), 0)
    assert (draw.weight == 1).all()
    assert np.diff(np.sort(draw.index, axis=1), axis=1).max() <= 19


def test_no_samples() -> None:
    draw = draw_queries(importance_sampling(5), grid(4, 4), keys(0), 0, np.ones((0, 4)))
    assert draw.index.shape == draw.weight.shape == (0, 5)


@pytest.mark.parametrize(
    ("importance", "message"),
    [
        (None, "needs the tiles' importance 'gradient'.*add it with `ups-data importance DIR`"),
        (np.ones((2, 4)), r"importance has shape \(2, 4\): give a row of tiles for each of 3 samples"),
        (np.ones(4), r"importance has shape \(4,\)"),
        (np.ones((3, 17)), "17 tiles on a domain of 16 points"),
        (np.ones((3, 0)), "0 tiles on a domain of 16 points"),
    ],
)
def test_errors(importance: np.ndarray | None, message: str) -> None:
    with pytest.raises(UpsDataError, match=message):
        draw_queries(importance_sampling(5), grid(4, 4), keys(3), 0, importance)


def test_points_without_coordinates() -> None:
    with pytest.raises(UpsDataError, match="neither a grid shape nor coordinates: modes .* 'importance' need one"):
        draw_queries(importance_sampling(5), Domain(100), keys(1), 0, np.ones((1, 4)))


@pytest.mark.parametrize("tile_points", [1, 5, 16, 1000])
@pytest.mark.parametrize("name", DOMAINS)
def test_tiles(name: str, tile_points: int) -> None:
    domain = DOMAINS[name]
    tiles = tiles_of(domain, tile_points)
    assert len(tiles) == -(-domain.num_points // tile_points)
    assert tiles.sizes.sum() == domain.num_points
    assert tiles.sizes.max() <= tile_points
    assert tiles.sizes.max() - tiles.sizes.min() <= 1
    for k in range(len(tiles)):
        inside = domain.curve[tiles.bounds[k] : tiles.bounds[k + 1]]
        assert (tiles.of_point[inside] == k).all()
    values = np.random.default_rng(0).random((domain.num_points, 2))
    for k, mean in enumerate(tiles.mean(values)):
        assert mean == pytest.approx(values[tiles.of_point == k].mean(axis=0))


def test_tiles_of_a_power_of_two_grid_are_squares() -> None:
    cell = np.indices((32, 32)).reshape(2, -1) // 4
    tile = tiles_of(grid(32, 32), 16).of_point
    assert len(np.unique(tile * 64 + cell[0] * 8 + cell[1])) == 64


def test_no_tiles_and_more_than_points() -> None:
    for number in (0, -1, 17):
        with pytest.raises(UpsDataError, match=f"{number} tiles on a domain of 16 points: give at least 1 and at most"):
            tiles_in(grid(4, 4), number)


def test_known_draws() -> None:
    """A change here redraws every point of every training run: make it on purpose only."""
    draw = draw_queries(importance_sampling(5), grid(8, 8), keys(2), 0, np.tile([0.0, 1.0, 2.0, 8.0], (2, 1)))
    assert draw.index.tolist() == [[55, 34, 42, 49, 59], [15, 37, 32, 48, 43]]
    assert draw.weight[:, :2] == pytest.approx(np.array([[1.3253012, 0.3678930], [2.3404255, 1.3253012]]))
