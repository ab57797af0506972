"""What holds for every mode: exact Q, no repeats, purity, inclusion probabilities Q / N."""

import numpy as np
import pytest
from scipy import stats

from tests.sampling.cases import CASES, DOMAINS, SMALLEST_P, cloud, grid, keys, sampling
from ups_data.points.domain import Domain
from ups_data.sampling import QuerySampling, Stream, draw_queries, sample_keys

MODES = ["full", "uniform", "stratified", "lattice"]


@pytest.mark.parametrize(("name", "mode", "count"), CASES)
def test_exact_number_without_repeats(name: str, mode: str, count: int) -> None:
    domain, chosen = DOMAINS[name], sampling(mode, count)
    draw = draw_queries(chosen, domain, keys(300), epoch=0)
    assert draw.index.shape == (300, chosen.num_drawn(domain, epoch=0))
    assert draw.index.dtype == np.int64
    assert draw.weight is None
    ordered = np.sort(draw.index, axis=1)
    assert ordered.min() >= 0
    assert ordered.max() < domain.num_points
    assert (np.diff(ordered, axis=1) > 0).all()


@pytest.mark.parametrize(("name", "mode", "count"), CASES)
def test_inclusion_probabilities(name: str, mode: str, count: int) -> None:
    """One member of each draw, chosen at random: exactly uniform over the N points iff every inclusion probability is
    Q / N, and independent from draw to draw, so that the χ² distribution holds for every design."""
    domain, draws = DOMAINS[name], 30_000
    index = draw_queries(sampling(mode, count), domain, keys(draws), epoch=0).index
    member = np.random.default_rng(0).integers(index.shape[1], size=draws)
    counts = np.bincount(index[np.arange(draws), member], minlength=domain.num_points)
    assert stats.chisquare(counts).pvalue > SMALLEST_P


@pytest.mark.parametrize(("num_points", "count"), [(250, 20), (250, 62), (250, 63), (250, 200)])
def test_inclusion_of_uniform_draws_from_all_members(num_points: int, count: int) -> None:
    """The same with every member counted, which is sharper: the counts of R simple random samples have the covariance
    R π (1 - π) N / (N - 1) · (I - 1/N), so that their squares sum to χ² with N - 1 degrees of freedom."""
    draws = 20_000
    index = draw_queries(sampling("uniform", count), grid(num_points), keys(draws), epoch=0).index
    expected = draws * count / num_points
    variance = expected * (1 - count / num_points) * num_points / (num_points - 1)
    statistic = ((np.bincount(index.ravel(), minlength=num_points) - expected) ** 2).sum() / variance
    assert SMALLEST_P < stats.chi2.sf(statistic, num_points - 1) < 1 - SMALLEST_P


def test_inclusion_inside_the_tiles_of_stratified_draws() -> None:
    """Aligned strata are independent multinomials over their own points."""
    draws, tiles, size = 20_000, 16, 16
    domain = grid(16, 16)
    index = draw_queries(sampling("stratified", tiles), domain, keys(draws), epoch=0).index
    counts = np.bincount(index.ravel(), minlength=256)[domain.curve].reshape(tiles, size)
    assert (counts.sum(axis=1) == draws).all()
    statistic = ((counts - draws / size) ** 2).sum() / (draws / size)
    assert SMALLEST_P < stats.chi2.sf(statistic, tiles * (size - 1)) < 1 - SMALLEST_P


@pytest.mark.parametrize("mode", ["uniform", "stratified", "lattice"])
@pytest.mark.parametrize("domain", [grid(17, 10), grid(64, 64), grid(7, 9, 8)], ids=str)
@pytest.mark.parametrize("ratio", [0.1, 0.25, 0.6, 0.9])
def test_a_key_draws_the_same_in_any_batch(mode: str, domain: Domain, ratio: float) -> None:
    chosen, batch = QuerySampling(ratio=ratio, mode=mode), keys(200)
    whole = draw_queries(chosen, domain, batch, epoch=0).index
    order = np.random.default_rng(0).permutation(200)
    assert np.array_equal(draw_queries(chosen, domain, batch[order], epoch=0).index, whole[order])
    for row in range(5):
        assert np.array_equal(draw_queries(chosen, domain, batch[row : row + 1], epoch=0).index, whole[row : row + 1])


@pytest.mark.parametrize("mode", MODES)
def test_no_samples(mode: str) -> None:
    chosen = QuerySampling(ratio=0.1, mode=mode)
    assert draw_queries(chosen, grid(16, 16), keys(0), 0).index.shape == (0, chosen.num_drawn(grid(16, 16), 0))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", DOMAINS)
def test_ratio_one_is_every_point_in_row_major_order(mode: str, name: str) -> None:
    domain = DOMAINS[name]
    for chosen in (QuerySampling(mode=mode), QuerySampling(ratio=1.0, mode=mode), sampling(mode, domain.num_points)):
        draw = draw_queries(chosen, domain, keys(5), epoch=0)
        assert np.array_equal(draw.index, np.tile(np.arange(domain.num_points), (5, 1)))
        assert draw.weight is None
        assert draw.grid_shape == domain.grid_shape


@pytest.mark.parametrize("mode", ["uniform", "stratified", "lattice"])
def test_every_part_of_the_key_changes_the_points(mode: str) -> None:
    chosen, domain = QuerySampling(ratio=0.05, mode=mode), grid(64, 64)
    base = {"seed": 0, "epoch": 0, "trajectory": 0, "step": 0, "stream": Stream.INPUTS}
    variants = [base] + [base | {part: 1} for part in base]
    drawn = [draw_queries(chosen, domain, sample_keys(**v), epoch=0).index for v in variants]
    assert len({tuple(np.sort(d[0])) for d in drawn}) == len(variants)


def test_epochs_follow_the_schedule() -> None:
    chosen = QuerySampling(schedule="linear", start_ratio=1.0, end_ratio=0.2, end_epoch=4, mode="stratified")
    drawn = [draw_queries(chosen, grid(10, 10), keys(2), epoch).index.shape[1] for epoch in range(6)]
    assert drawn == [100, 80, 60, 40, 20, 20]


def known_draws(mode: str, domain: Domain, count: int) -> list[list[int]]:
    pinned = sample_keys(2024, 1, np.array([0, 3]), np.array([4, 0]), Stream.TARGET_QUERIES)
    return draw_queries(sampling(mode, count), domain, pinned, epoch=1).index.tolist()


@pytest.mark.parametrize(
    ("mode", "domain", "count", "expected"),
    [
        pytest.param("uniform", grid(17, 10), 5, [[59, 83, 85, 107, 111], [23, 94, 126, 150, 169]], id="uniform, few"),
        pytest.param("uniform", grid(3, 4), 5, [[3, 4, 6, 7, 8], [0, 2, 4, 5, 6]], id="uniform, many"),
        pytest.param("stratified", grid(8, 8), 4, [[27, 14, 54, 35], [2, 30, 45, 41]], id="stratified, aligned"),
        pytest.param(
            "stratified",
            grid(17, 10),
            6,
            [[95, 58, 10, 66, 90, 110], [0, 23, 53, 133, 154, 158]],
            id="stratified, shifted",
        ),
        pytest.param(
            "stratified",
            cloud(150, 2),
            6,
            [[19, 9, 138, 141, 148, 23], [51, 7, 147, 4, 139, 8]],
            id="stratified, points",
        ),
        pytest.param(
            "lattice", grid(17, 10), 6, [[32, 37, 92, 97, 142, 147], [53, 58, 103, 108, 163, 168]], id="lattice"
        ),
    ],
)
def test_known_draws(mode: str, domain: Domain, count: int, expected: list[list[int]]) -> None:
    """A change here redraws every point of every training run: make it on purpose only."""
    assert known_draws(mode, domain, count) == expected
