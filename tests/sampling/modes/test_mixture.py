"""Mixtures of modes: exact Q without repeats, and the exact inclusion probability of the union."""

import numpy as np
import pytest
from scipy import stats

from tests.sampling.cases import DOMAINS, SMALLEST_P, cloud, grid, keys
from tests.sampling.modes.test_importance import ONE, peaked
from ups_data.errors import UpsDataError
from ups_data.points.domain import Domain
from ups_data.points.tiles import tiles_in
from ups_data.sampling import QuerySampling, draw_queries
from ups_data.sampling.modes.importance import expected_counts
from ups_data.sampling.modes.mixture import _not_taken, shares_of

MIXTURES = {
    "stratified and importance": {"stratified": 0.7, "importance": 0.3},
    "mostly importance": {"uniform": 0.1, "importance": 0.9},
    "equal ones": {"uniform": 0.5, "stratified": 0.5},
    "all": {"uniform": 0.2, "stratified": 0.3, "importance": 0.5},
}


def mixed(mixture: str, count: int) -> QuerySampling:
    return QuerySampling(num_queries=count, mode=MIXTURES[mixture])


def needed(mixture: str, rows: np.ndarray) -> np.ndarray | None:
    return rows if "importance" in MIXTURES[mixture] else None


@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize("name", ["1d odd", "2d", "2d odd", "3d", "cloud 2d"])
@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5, 1.0])
def test_exact_number_without_repeats(mixture: str, name: str, ratio: float) -> None:
    """From a single point to all but one."""
    domain = DOMAINS[name]
    count = min(max(1, round(ratio * domain.num_points)), domain.num_points - 1)
    draw = draw_queries(mixed(mixture, count), domain, keys(200), 0, needed(mixture, peaked(200, 12)))
    assert draw.index.shape == (200, count)
    ordered = np.sort(draw.index, axis=1)
    assert ordered.min() >= 0
    assert ordered.max() < domain.num_points
    assert (np.diff(ordered, axis=1) > 0).all()


@pytest.mark.parametrize("mixture", ["stratified and importance", "all"])
@pytest.mark.parametrize(
    ("domain", "tiles"), [(grid(16, 16), 16), (grid(17, 10), 13), (cloud(101, 3), 9)], ids=["square", "odd", "cloud"]
)
@pytest.mark.parametrize("ratio", [0.1, 0.8])
def test_weights_are_those_of_the_union(mixture: str, domain: Domain, tiles: int, ratio: float) -> None:
    """π counted over the draws, with one random member of each, against that of the weights."""
    draws, total = 20_000, domain.num_points
    count = round(ratio * total)
    importance = np.repeat(peaked(1, tiles), draws, axis=0)
    draw = draw_queries(mixed(mixture, count), domain, keys(draws), 0, importance)
    pi = np.full(total, np.nan)
    pi[draw.index] = count / (total * draw.weight)
    assert not np.isnan(pi).any()  # every point was drawn at least once
    assert pi.sum() == pytest.approx(count, rel=1e-5)
    member = np.random.default_rng(0).integers(count, size=draws)
    counts = np.bincount(draw.index[np.arange(draws), member], minlength=total)
    assert stats.chisquare(counts, draws * pi / pi.sum()).pvalue > SMALLEST_P


def test_inclusion_is_the_formula() -> None:
    domain, importance = grid(16, 16), peaked(20, 16)
    draw = draw_queries(QuerySampling(num_queries=100, mode=MIXTURES["all"]), domain, keys(20), 0, importance)
    tiles = tiles_in(domain, 16)
    first = expected_counts(importance, tiles.sizes, 50, 0.1) / ONE / tiles.sizes
    # Left out by importance, then by 30 of 206 drawn in strata, then by 20 of 176 drawn at random.
    pi = 1 - (1 - first) * (1 - 30 / 206) * (1 - 20 / 176)
    expected = np.take_along_axis(100 / (256 * pi), tiles.of_point[draw.index], 1)
    assert draw.weight == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("count", [20, 85])
def test_equal_modes_have_equal_weights(count: int) -> None:
    domain, draws = grid(17, 10), 30_000
    draw = draw_queries(mixed("equal ones", count), domain, keys(draws), 0)
    assert draw.weight is None
    member = np.random.default_rng(0).integers(count, size=draws)
    counts = np.bincount(draw.index[np.arange(draws), member], minlength=170)
    assert stats.chisquare(counts).pvalue > SMALLEST_P


def test_strata_lie_along_what_importance_left() -> None:
    """120 points on a line, 20 drawn by importance: of the 100 left, one in each ten has been drawn."""
    chosen = QuerySampling(num_queries=30, mode={"importance": 2 / 3, "stratified": 1 / 3})
    draw = draw_queries(chosen, grid(120), keys(300), 0, peaked(300, 12))
    for index in draw.index:
        left = np.setdiff1d(np.arange(120), index[:20])
        assert np.array_equal(np.sort(np.searchsorted(left, index[20:])) // 10, np.arange(10))


@pytest.mark.parametrize("mixture", MIXTURES)
def test_a_key_draws_the_same_in_any_batch(mixture: str) -> None:
    domain, importance = grid(17, 10), peaked(50, 11)
    whole = draw_queries(mixed(mixture, 60), domain, keys(50), 0, needed(mixture, importance))
    for row in (0, 23, 49):
        rows = slice(row, row + 1)
        alone = draw_queries(mixed(mixture, 60), domain, keys(50)[rows], 0, needed(mixture, importance[rows]))
        assert np.array_equal(alone.index, whole.index[rows])
        assert (alone.weight is None and whole.weight is None) or np.array_equal(alone.weight, whole.weight[rows])


@pytest.mark.parametrize("seed", range(5))
def test_numbers_of_places_left(seed: int) -> None:
    rng = np.random.default_rng(seed)
    taken = np.stack([np.sort(rng.permutation(40)[:15]) for _ in range(6)])
    nth = rng.integers(25, size=(6, 30))
    left = np.stack([np.setdiff1d(np.arange(40), row) for row in taken])
    assert np.array_equal(_not_taken(taken, nth, 40), np.take_along_axis(left, nth, 1))


@pytest.mark.parametrize(
    ("mixture", "count", "expected"),
    [
        ((("importance", 0.3), ("stratified", 0.7)), 10, {"importance": 3, "stratified": 7}),
        ((("importance", 0.3), ("stratified", 0.7)), 1, {"importance": 0, "stratified": 1}),
        ((("importance", 0.3), ("stratified", 0.7)), 5, {"importance": 2, "stratified": 3}),
        (
            (("importance", 0.1), ("stratified", 0.2), ("uniform", 0.7)),
            10,
            {"importance": 1, "stratified": 2, "uniform": 7},
        ),
        ((("stratified", 1 / 3), ("uniform", 2 / 3)), 300, {"stratified": 100, "uniform": 200}),
    ],
)
def test_shares(mixture: tuple, count: int, expected: dict[str, int]) -> None:
    assert shares_of(mixture, count) == expected


def test_no_samples_and_every_point() -> None:
    assert draw_queries(mixed("all", 7), grid(4, 4), keys(0), 0, np.ones((0, 2))).index.shape == (0, 7)
    draw = draw_queries(mixed("all", 16), grid(4, 4), keys(2), 0)
    assert np.array_equal(draw.index, np.tile(np.arange(16), (2, 1)))


def test_importance_is_asked_for() -> None:
    with pytest.raises(UpsDataError, match="needs the tiles' importance 'gradient'"):
        draw_queries(mixed("all", 7), grid(4, 4), keys(2), 0)


def test_known_draws() -> None:
    """A change here redraws every point of every training run: make it on purpose only."""
    draw = draw_queries(mixed("all", 6), grid(8, 8), keys(2), 0, np.tile([0.0, 1.0, 2.0, 8.0], (2, 1)))
    assert draw.index.tolist() == [[46, 42, 49, 50, 0, 3], [47, 59, 40, 28, 0, 15]]
