"""Where some points do not count: each mode draws the others as it would draw from them alone."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests.sampling.cases import SMALLEST_P, cloud, dealt, grid, keys
from ups_data.points.blocks import Blocks, BlockSizes
from ups_data.points.domain import Domain
from ups_data.points.part import Part, part_of
from ups_data.sampling import Draw, QuerySampling, draw_queries

MIXTURE = {"importance": 0.4, "stratified": 0.4, "uniform": 0.2}
DOMAINS = {"grid": dealt(grid(12, 12), 16), "odd grid": dealt(grid(11, 13), 9), "cloud": dealt(cloud(150, 2), 12)}
MODES = ["uniform", "stratified", "lattice", "blocks", "importance", MIXTURE]
CASES = [(name, mode) for name in DOMAINS for mode in MODES if name != "cloud" or mode != "lattice"]
TILES = 20


def masked(domain: Domain, seed: int = 0) -> Part:
    """Without a compact patch, a few points here and there, and one whole block."""
    rng = np.random.default_rng(seed)
    counted = rng.random(domain.num_points) > 0.05
    counted[domain.curve[20 : 20 + domain.num_points // 4]] = False
    assert isinstance(domain.blocks, Blocks)
    slots = counted[domain.blocks.index] & (domain.blocks.index >= 0)
    slots[: domain.blocks.block_points] = False
    part = part_of(domain, slots)
    assert isinstance(part, Part)
    return part


def drawn(part: Domain, mode: object, draws: int, **options: object) -> Draw:
    importance = np.random.default_rng(3).random((1, TILES)).repeat(draws, 0) ** 2
    sampling = QuerySampling(**{"ratio": 0.3, "mode": mode, "importance_metric": "gradient", **options})
    return draw_queries(sampling, part, keys(draws), 0, importance if "importance" in str(mode) else None)


def weights(draw: Draw) -> np.ndarray:
    return np.ones(draw.shape) if draw.weight is None else draw.weight.astype(np.float64)


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_each_point_that_counts_is_as_likely_as_any_other_and_no_other_one_is_drawn(name, mode):
    """A member of each draw, kept with a probability in proportion to its weight, is uniform over them."""
    part, draws = masked(DOMAINS[name]), 20_000
    draw = drawn(part, mode, draws)
    counts = np.zeros(part.all_points, np.int64)
    weight, rng = weights(draw), np.random.default_rng(1)
    member = np.arange(draws), rng.integers(draw.shape[1], size=draws)
    kept = rng.random(draws) * weight.max() < weight[member]
    np.add.at(counts, draw.points[member][kept], 1)
    assert counts[~part.counted].sum() == 0
    assert not weight[~part.counted[draw.points]].any()
    assert stats.chisquare(counts[part.counted]).pvalue > SMALLEST_P


@pytest.mark.parametrize(("name", "mode"), CASES)
@pytest.mark.parametrize("order", ["stored", "random"])
def test_the_weighted_mean_is_unbiased_for_the_points_that_count(name, mode, order):
    part, draws = masked(DOMAINS[name]), 6_000
    values = np.random.default_rng(5).normal(size=part.all_points) + np.arange(part.all_points) / 20
    values[~part.counted] = 1e3
    draw = drawn(part, mode, draws, order=order)
    weight = weights(draw)
    columns = draw.shape[1] if order == "stored" else draw.shape[1] // 3  # any prefix of a random order, too
    found = (weight * values[draw.points])[:, :columns].mean(axis=1)
    assert abs(found.mean() - values[part.counted].mean()) < 4 * found.std(ddof=1) / math.sqrt(draws)


@pytest.mark.parametrize("name", list(DOMAINS))
@pytest.mark.parametrize("mode", [m for m in MODES if m != "lattice"])
def test_the_number_of_queries_relates_to_the_points_that_count(name, mode):
    part = masked(DOMAINS[name])
    draw = drawn(part, mode, 50)
    assert draw.shape[1] == round(0.3 * part.num_points)
    assert (np.diff(np.sort(draw.points, axis=1), axis=1) > 0).all()
    every = drawn(part, mode, 3, ratio=1.0)
    assert every.weight is None
    assert (every.points == np.flatnonzero(part.counted)).all()


def test_blocks_are_drawn_alike_where_their_points_are_not_known():
    """And the slots are those of points that count; a block without any is never read."""
    domain = DOMAINS["grid"]
    part = masked(domain)
    sizes = replace(domain, blocks=BlockSizes(domain.blocks.counts, domain.blocks.block_points))
    one, other = drawn(part, "blocks", 300), drawn(part_of(sizes, part.slots), "blocks", 300)
    assert other.index is None
    assert np.array_equal(one.slots, other.slots)
    assert np.array_equal(one.blocks, other.blocks)
    assert (one.blocks != 0).all()
    block, place = np.divmod(other.slots, domain.blocks.block_points)
    slots = np.take_along_axis(other.blocks, block, 1) * domain.blocks.block_points + place
    assert part.slots[slots].all()
    assert np.array_equal(domain.blocks.index[slots], one.points)


def test_a_domain_of_which_all_points_count_is_itself():
    domain = DOMAINS["grid"]
    assert part_of(domain, domain.blocks.index >= 0) is domain


def test_too_many_queries_are_refused_with_the_number_that_counts():
    part = masked(DOMAINS["grid"])
    with pytest.raises(ValueError, match=f"frame has {part.num_points} points"):
        drawn(part, "uniform", 2, ratio=None, num_queries=part.num_points + 1)


@pytest.mark.parametrize("mode", ["uniform", "stratified"])
def test_a_cycle_goes_through_the_points_that_count(mode):
    part = masked(DOMAINS["grid"])
    sampling = QuerySampling(num_queries=8, mode=mode, cycle=True)
    epochs = -(-part.num_points // 8)
    drawn_of = [draw_queries(sampling, part, keys(20), epoch).points for epoch in range(epochs)]
    for row in np.concatenate(drawn_of, axis=1):
        assert set(row.tolist()) == set(part.candidates.tolist())
