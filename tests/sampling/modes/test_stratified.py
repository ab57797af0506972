"""Stratified draws: one point per stratum."""

import numpy as np
import pytest
from scipy import stats

from tests.sampling.cases import DOMAINS, SMALLEST_P, cloud, grid, keys
from ups_data.sampling.modes.stratified import draw_stratified


@pytest.mark.parametrize(("shape", "side"), [((64, 64), 4), ((32, 32), 16), ((16, 16, 16), 4)])
def test_one_point_in_every_aligned_tile(shape: tuple[int, ...], side: int) -> None:
    count = int(np.prod(shape)) // side ** len(shape)
    index = draw_stratified(grid(*shape), keys(100), count).index
    tiles = np.stack([a // side for a in np.unravel_index(index, shape)])
    number = np.ravel_multi_index(tuple(tiles), tuple(n // side for n in shape))
    assert (np.sort(number, axis=1) == np.arange(count)).all()


@pytest.mark.parametrize("name", DOMAINS)
@pytest.mark.parametrize("count", [2, 3])
def test_one_point_in_every_shifted_segment(name: str, count: int) -> None:
    """Between two points of neighbouring segments lie fewer than two segments' lengths along the curve."""
    domain = DOMAINS[name]
    place = np.empty(domain.num_points, np.int64)
    place[domain.curve] = np.arange(domain.num_points)
    at = np.sort(place[draw_stratified(domain, keys(500), count).index], axis=1)
    gaps = np.diff(at, axis=1, append=at[:, :1] + domain.num_points)
    assert gaps.max() <= 2 * -(-domain.num_points // count) - 1


@pytest.mark.parametrize("domain", [grid(97), cloud(101, 3)], ids=["grid", "cloud"])
def test_segments_are_shifted_where_they_do_not_divide(domain) -> None:
    """Every place on the curve can follow every other: no border between strata stays where it is."""
    place = np.empty(domain.num_points, np.int64)
    place[domain.curve] = np.arange(domain.num_points)
    first = place[draw_stratified(domain, keys(5000), 9).index[:, 0]]
    assert np.unique(first).size == domain.num_points


def test_all_of_a_longer_segment_is_drawn_from() -> None:
    """97 points in 9 segments of 10 or 11: the farthest that two neighbours can lie apart is 11 + 11 - 1."""
    at = np.sort(draw_stratified(grid(97), keys(5000), 9).index, axis=1)
    assert np.diff(at, axis=1).max() == 21


def test_places_in_neighbouring_segments_are_independent() -> None:
    index = draw_stratified(grid(64), keys(20_000), 16).index % 4
    counts = np.bincount(4 * index[:, 4] + index[:, 5], minlength=16)
    assert stats.chisquare(counts).pvalue > SMALLEST_P
