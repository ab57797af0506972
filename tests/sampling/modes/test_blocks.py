"""Mode `blocks`: as few stored blocks as hold the points, and every point as likely as any other."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from tests.sampling.cases import DOMAINS, SMALLEST_P, cloud, dealt, grid, keys, sampling
from ups_data.errors import UpsDataError
from ups_data.points.domain import Domain
from ups_data.sampling import QuerySampling, draw_queries
from ups_data.sampling.modes.blocks import thinned

# (domain, blocks): sizes equal or not, one block, more blocks than points.
STORED = {
    "equal": (grid(16, 16), 16),
    "equal 1d": (grid(120), 8),
    "ragged": (grid(17, 10), 16),  # 10 blocks of 11 points, 6 of 10
    "one larger": (grid(97), 8),
    "one smaller": (cloud(95, 2), 8),
    "cloud": (cloud(101, 3), 4),
    "one block": (grid(5, 7, 3), 1),
    "few points": (grid(5), 8),
    "two blocks": (grid(7), 2),
}
STORED_CASES = [
    (name, count)
    for name, (domain, blocks) in STORED.items()
    for count in sorted(
        {
            c
            for n in (1, 2, domain.num_points // blocks, domain.num_points // 2, domain.num_points - 1)
            for c in (n, n + 1)
        }
    )
    if 1 <= count < domain.num_points
]


def stored(name: str) -> Domain:
    return dealt(*STORED[name])


@pytest.mark.parametrize(("name", "count"), STORED_CASES)
def test_slots_and_blocks_say_where_the_points_lie(name: str, count: int) -> None:
    domain = stored(name)
    held = domain.blocks.index.reshape(len(domain.blocks), -1)
    draw = draw_queries(sampling("blocks", count), domain, keys(200), epoch=0)
    assert draw.index.shape == draw.slots.shape == (200, count)
    assert draw.index.dtype == draw.slots.dtype == draw.blocks.dtype == np.int64
    assert draw.weight is None
    assert (np.diff(draw.slots, axis=1) > 0).all()  # no repeats, and each block's points in stored order
    for index, blocks, slots in zip(draw.index, draw.blocks, draw.slots, strict=True):
        used = blocks[blocks >= 0]
        assert len(np.unique(used)) == len(used)
        assert (blocks[len(used) :] == -1).all()
        assert np.array_equal(held[used].ravel()[slots], index)
        assert index.min() >= 0
        assert set(slots // held.shape[1]) == set(range(len(used)))  # nothing is read for nothing


@pytest.mark.parametrize(("name", "count"), STORED_CASES)
def test_no_more_blocks_than_may_be_needed(name: str, count: int) -> None:
    domain = stored(name)
    draw = draw_queries(sampling("blocks", count), domain, keys(200), epoch=0)
    sizes = np.sort(domain.blocks.counts[domain.blocks.counts > 0])
    needed = next(m for m in range(1, len(sizes) + 1) if sizes[:m].sum() >= count)
    assert draw.blocks.shape == (200, needed)
    if sizes[0] == sizes[-1]:
        assert needed == math.ceil(count / sizes[0])


@pytest.mark.parametrize(("name", "count"), STORED_CASES)
def test_inclusion_probabilities(name: str, count: int) -> None:
    """One random member of each draw, as in test_draws: uniform iff every inclusion probability is Q / N."""
    domain, draws = stored(name), 40_000
    index = draw_queries(sampling("blocks", count), domain, keys(draws), epoch=0).index
    member = np.random.default_rng(0).integers(count, size=draws)
    counts = np.bincount(index[np.arange(draws), member], minlength=domain.num_points)
    assert stats.chisquare(counts).pvalue > SMALLEST_P


@pytest.mark.parametrize("name", ["ragged", "one larger", "one smaller", "cloud", "two blocks"])
def test_larger_blocks_are_not_favoured(name: str) -> None:
    """All points of the larger blocks together, for every Q: the sharpest test of what unequal sizes can bias."""
    domain, draws = stored(name), 4000
    sizes = domain.blocks.counts
    block_of = np.empty(domain.num_points, np.int64)
    held = domain.blocks.index.reshape(len(domain.blocks), -1)
    for block, points in enumerate(held):
        block_of[points[points >= 0]] = block
    large = sizes[block_of] == sizes.max()
    z = []
    for count in range(1, domain.num_points):
        taken = large[draw_queries(sampling("blocks", count), domain, keys(draws, count), epoch=0).index].sum(axis=1)
        error = taken.std(ddof=1) / math.sqrt(draws)
        difference = taken.mean() - count * large.mean()
        assert error > 0 or difference == pytest.approx(0, abs=1e-9)
        z.append(difference / max(error, 1e-12))
    assert stats.chi2.sf(np.square(z).sum(), len(z)) > SMALLEST_P
    assert np.abs(z).max() < stats.norm.isf(SMALLEST_P / 2 / len(z))


@pytest.mark.parametrize(("name", "count"), STORED_CASES)
def test_a_key_draws_the_same_in_any_batch(name: str, count: int) -> None:
    domain, batch, chosen = stored(name), keys(100), sampling("blocks", count)
    whole = draw_queries(chosen, domain, batch, epoch=0)
    for row in (0, 17, 99):
        alone = draw_queries(chosen, domain, batch[row : row + 1], epoch=0)
        assert np.array_equal(alone.index[0], whole.index[row])
        assert np.array_equal(alone.blocks[0], whole.blocks[row])
        assert np.array_equal(alone.slots[0], whole.slots[row])


def test_whole_blocks_are_taken_whole_and_one_is_thinned_evenly() -> None:
    """40 of 256 points in blocks of 16: two whole ones, and half of the third, one of every two stored neighbours."""
    domain = stored("equal")
    draw = draw_queries(sampling("blocks", 40), domain, keys(500), epoch=0)
    assert np.array_equal(draw.slots[:, :32], np.tile(np.arange(32), (500, 1)))
    assert set(np.diff(draw.slots[:, 32:], axis=1).ravel()) == {1, 2, 3}
    assert draw.slots.max() < 48


@pytest.mark.parametrize(("n", "k"), [(12, 4), (13, 4), (7, 6), (5, 5), (9, 1)])
def test_thinning_keeps_every_place_alike(n: int, k: int) -> None:
    """Alone and beside other sequences: those beside do not change it."""
    batch = keys(30_000)
    alone = thinned(np.full(30_000, n), np.full(30_000, k), batch, 20)
    mixed = np.tile([n, 20], 15_000), np.tile([k, 9], 15_000)
    assert np.array_equal(thinned(*mixed, batch, 20)[::2, :k], alone[::2])
    assert (np.diff(alone, axis=1) > 0).all()
    member = np.random.default_rng(0).integers(k, size=30_000)
    counts = np.bincount(alone[np.arange(30_000), member], minlength=n)
    assert len(counts) == n
    assert stats.chisquare(counts).pvalue > SMALLEST_P


@pytest.mark.parametrize(("name", "count"), [("equal", 32), ("equal", 40), ("ragged", 42), ("one larger", 30)])
def test_points_of_different_blocks_meet_no_more_than_by_chance(name: str, count: int) -> None:
    """Over an epoch of 20,000 samples, every pair of points that lie in different blocks, against (Q / N)²: the
    chance of two points that are drawn independently. No pair may exceed it beyond what the number of pairs explains.
    """
    domain, draws = stored(name), 20_000
    index = draw_queries(sampling("blocks", count), domain, keys(draws), epoch=0).index
    drawn = np.zeros((draws, domain.num_points), np.float32)
    np.put_along_axis(drawn, index, 1, 1)
    together = drawn.T @ drawn
    block_of = domain.blocks.slots // domain.blocks.block_points
    apart = block_of[:, None] != block_of
    chance = (count / domain.num_points) ** 2
    assert together[apart].max() <= stats.binom.isf(SMALLEST_P / apart.sum(), draws, chance)


def test_every_set_of_blocks_is_drawn() -> None:
    draw = draw_queries(sampling("blocks", 48), stored("equal"), keys(60_000), epoch=0)
    sets = {s: i for i, s in enumerate(itertools.combinations(range(16), 3))}
    counts = np.bincount([sets[tuple(row)] for row in np.sort(draw.blocks, axis=1).tolist()], minlength=len(sets))
    assert stats.chisquare(counts).pvalue > SMALLEST_P


@pytest.mark.parametrize("name", STORED)
def test_ratio_one_reads_every_block_and_gives_row_major_order(name: str) -> None:
    domain = stored(name)
    draw = draw_queries(QuerySampling(mode="blocks"), domain, keys(3), epoch=0)
    assert np.array_equal(draw.index, np.tile(np.arange(domain.num_points), (3, 1)))
    assert np.array_equal(draw.blocks, np.tile(np.arange(len(domain.blocks)), (3, 1)))
    assert np.array_equal(domain.blocks.index[draw.slots], draw.index)
    assert draw.grid_shape == domain.grid_shape
    assert draw.weight is None


def test_without_blocks() -> None:
    with pytest.raises(UpsDataError, match="made with blocks=1: convert it again with --blocks, or use.*'stratified'"):
        draw_queries(QuerySampling(ratio=0.1, mode="blocks"), grid(16, 16), keys(1), epoch=0)
    assert draw_queries(QuerySampling(mode="blocks"), grid(4, 4), keys(1), epoch=0).index.shape == (1, 16)


def test_blocks_of_another_domain() -> None:
    with pytest.raises(UpsDataError, match="domain has 100 points, its blocks hold 256"):
        Domain(100, blocks=stored("equal").blocks)


def test_known_draws() -> None:
    """A change here redraws every point of every training run: make it on purpose only."""
    draw = draw_queries(sampling("blocks", 25), stored("ragged"), keys(2), epoch=0)
    assert draw.blocks.tolist() == [[7, 12, 0], [9, 7, 8]]
    assert draw.slots[:, 22:].tolist() == [[29, 31, 32], [28, 30, 31]]


def test_domains_hold_no_blocks_by_default() -> None:
    assert all(domain.blocks is None for domain in DOMAINS.values())
