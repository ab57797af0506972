"""Keys and counter-based numbers: reference values, independence of every part of the key."""

import numpy as np
import pytest
from scipy import stats

from tests.sampling.cases import SMALLEST_P, keys
from ups_data.sampling import Stream, sample_keys
from ups_data.sampling.random import random_bits, random_integers


def test_bits_are_splitmix64() -> None:
    """The published sequence of splitmix64 from state 1234567 (Vigna's reference implementation)."""
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    key = np.array([1234567], np.uint64)
    assert random_bits(key, 5)[0].tolist() == expected
    assert random_bits(key, 3, counter0=2)[0].tolist() == expected[2:]


def splitmix64(state: int) -> int:
    """One number, in plain integers: the reference implementation's next() from `state`."""
    z = (state + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def test_keys_are_a_chain_of_splitmix64() -> None:
    """A change here redraws every point of every training run: make it on purpose only."""
    got = sample_keys(7, 3, np.array([0, 5]), np.array([11, 2]), Stream.INPUT_QUERIES)
    for found, trajectory, step in zip(got.tolist(), (0, 5), (11, 2), strict=True):
        key = 0
        for part in (7, 3, 1, trajectory, step):
            key = splitmix64(key + part * 0x9E3779B97F4A7C15)
        assert found == key
    assert got.tolist() == [13556149290642675420, 14651818059416537922]


def test_keys_of_all_parts_differ() -> None:
    trajectory, step = (a.ravel() for a in np.meshgrid(np.arange(40), np.arange(25), indexing="ij"))
    every = [
        sample_keys(seed, epoch, trajectory, step, stream)
        for seed in (-1, 0, 1, 2**63)
        for epoch in range(5)
        for stream in Stream
    ]
    assert np.unique(np.concatenate(every)).size == 4 * 5 * 4 * 1000


def test_keys_depend_on_the_sample_only() -> None:
    trajectory, step = np.array([3, 1, 4, 1]), np.array([5, 9, 2, 6])
    batch = sample_keys(0, 2, trajectory, step, Stream.INPUTS)
    alone = [sample_keys(0, 2, t, s, Stream.INPUTS)[0] for t, s in zip(trajectory, step, strict=True)]
    assert batch.dtype == np.uint64
    assert batch.tolist() == alone
    assert sample_keys(0, 2, trajectory.astype(np.int32), step.astype(np.uint16), Stream.INPUTS).tolist() == alone
    assert sample_keys(0, 2, 3, 5, Stream.INPUTS).tolist() == alone[:1]


def test_every_bit_of_the_keys_is_fair() -> None:
    key = keys(20_000)
    ones = (key[:, None] >> np.arange(64, dtype=np.uint64) & np.uint64(1)).sum(axis=0)
    statistic = ((ones - 10_000.0) ** 2 / 5_000).sum()
    assert stats.chi2.sf(statistic, 64) > SMALLEST_P


def test_uniforms() -> None:
    u = (random_bits(keys(1000), 100) >> np.uint64(11)) * 2.0**-53
    assert u.min() >= 0
    assert u.max() < 1
    assert stats.kstest(u.ravel(), "uniform").pvalue > SMALLEST_P


@pytest.mark.parametrize("bound", [1, 2, 7, 64, 1000])
def test_integers_are_uniform(bound: int) -> None:
    drawn = random_integers(keys(1000), 200, bound)
    assert drawn.min() >= 0
    assert drawn.max() < bound
    counts = np.bincount(drawn.ravel(), minlength=bound)
    assert bound == 1 or stats.chisquare(counts).pvalue > SMALLEST_P


def test_integers_reach_the_ends_of_large_bounds() -> None:
    bound = 2**31 - 1
    top = random_integers(keys(1000), 1000, bound)
    assert 0 <= top.min() < 20_000
    assert bound - 20_000 < top.max() < bound


def test_integers_with_a_bound_per_column() -> None:
    bounds = np.array([1, 2, 5, 3])
    drawn = random_integers(keys(4000), 4, bounds)
    for column, bound in enumerate(bounds):
        counts = np.bincount(drawn[:, column])
        assert len(counts) == bound
        assert bound == 1 or stats.chisquare(counts).pvalue > SMALLEST_P
