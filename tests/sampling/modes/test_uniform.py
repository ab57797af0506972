"""Uniform draws: every subset equally likely, by either algorithm."""

import itertools

import numpy as np
import pytest
from scipy import stats

from tests.sampling.cases import SMALLEST_P, grid, keys
from ups_data.sampling.modes.uniform import _first_distinct, _smallest, draw_uniform
from ups_data.sampling.random import random_bits, random_integers


def subset_p_value(index: np.ndarray, num_points: int) -> float:
    """χ² over all subsets of the rows' size."""
    subsets = {s: i for i, s in enumerate(itertools.combinations(range(num_points), index.shape[1]))}
    counts = np.bincount([subsets[tuple(row)] for row in index.tolist()], minlength=len(subsets))
    return float(stats.chisquare(counts).pvalue)


@pytest.mark.parametrize(("num_points", "count"), [(8, 2), (12, 3), (6, 3), (7, 5), (5, 4), (9, 3)])
def test_every_subset_is_equally_likely(num_points: int, count: int) -> None:
    index = draw_uniform(grid(num_points), keys(30_000), count).index
    assert subset_p_value(index, num_points) > SMALLEST_P


def test_few_points_are_the_first_distinct_values() -> None:
    """Against the definition, followed number by number."""
    total, count = 300, 40
    batch = keys(50)
    sequences = random_integers(batch, 1000, total).tolist()
    expected = [sorted(list(dict.fromkeys(sequence))[:count]) for sequence in sequences]
    assert draw_uniform(grid(total), batch, count).index.tolist() == expected


@pytest.mark.parametrize("generated", [40, 41, 60, 500])
def test_the_amount_generated_does_not_matter(generated: int) -> None:
    """40 numbers hold a repeat in nearly every row, so the first try falls short and a longer one is made."""
    expected = draw_uniform(grid(300), keys(50), 40).index
    assert np.array_equal(_first_distinct(keys(50), 40, 300, generated), expected)


def test_many_points_are_those_of_the_smallest_priorities() -> None:
    total, count = 101, 60
    priorities = random_bits(keys(20), 51).view(np.uint32)[:, :total]
    expected = np.sort(np.argsort(priorities, axis=1, kind="stable")[:, :count], axis=1)
    assert np.array_equal(draw_uniform(grid(total), keys(20), count).index, expected)


@pytest.mark.parametrize("values", [1, 2, 3])
def test_equal_priorities_are_told_apart_fairly(values: int) -> None:
    """Priorities from so few values that nearly every row has ties on the border."""
    batch = keys(10_000)
    priorities = random_integers(batch, 6, values).astype(np.uint32)
    index = _smallest(priorities, batch, 3)
    assert subset_p_value(index, 6) > SMALLEST_P
    assert np.array_equal(_smallest(priorities[7:8], batch[7:8], 3), index[7:8])


@pytest.mark.parametrize("count", [50, 500])
def test_rows_ascend(count: int) -> None:
    assert (np.diff(draw_uniform(grid(1000), keys(100), count).index, axis=1) > 0).all()
