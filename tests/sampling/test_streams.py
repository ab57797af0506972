"""Streams, epochs, seeds, trajectories and steps draw independently: their overlap is what chance gives."""

import itertools

import numpy as np
import pytest

from tests.sampling.cases import grid, keys, sampling
from ups_data.sampling import Stream, draw_queries, sample_keys

TOTAL, DRAWS = 400, 4000
SAMPLE = np.arange(DRAWS)


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Shared points of each row of two draws, (R,)."""
    marks = np.zeros((len(a), TOTAL), bool)
    np.put_along_axis(marks, a, True, 1)
    return np.take_along_axis(marks, b, 1).sum(axis=1)


def assert_distributed(shared: np.ndarray, mean: float, variance: float) -> None:
    """Mean and variance of `shared` within 3.5 standard errors of the hypergeometric's (near normal: p < 5e-4)."""
    assert abs(shared.mean() - mean) < 3.5 * np.sqrt(variance / len(shared))
    assert abs(shared.var(ddof=1) - variance) < 3.5 * variance * np.sqrt(2 / (len(shared) - 1))


def hypergeometric(q1: int, q2: int) -> tuple[float, float]:
    return q1 * q2 / TOTAL, q1 * q2 * (TOTAL - q1) * (TOTAL - q2) / (TOTAL**2 * (TOTAL - 1))


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(Stream, 2)))
@pytest.mark.parametrize(("q1", "q2"), [(80, 80), (40, 90), (100, 250)])
def test_streams_of_one_seed(one: Stream, other: Stream, q1: int, q2: int) -> None:
    a = draw_queries(sampling("uniform", q1), grid(TOTAL), keys(DRAWS, stream=one), 0).index
    b = draw_queries(sampling("uniform", q2), grid(TOTAL), keys(DRAWS, stream=other), 0).index
    shared = overlap(a, b)
    assert shared.max() < min(q1, q2)  # no draw is a subset of the other
    assert_distributed(shared, *hypergeometric(q1, q2))


NEIGHBOURS = {
    "seed": lambda k: sample_keys(k, 0, SAMPLE, 0, Stream.INPUTS),
    "epoch": lambda k: sample_keys(0, k, SAMPLE, 0, Stream.INPUTS),
    "trajectory": lambda k: sample_keys(0, 0, 2 * SAMPLE + k, 0, Stream.INPUTS),
    "step": lambda k: sample_keys(0, 0, 0, 2 * SAMPLE + k, Stream.INPUTS),
}


@pytest.mark.parametrize("part", NEIGHBOURS)
def test_neighbouring_keys(part: str) -> None:
    a, b = (draw_queries(sampling("uniform", 80), grid(TOTAL), NEIGHBOURS[part](k), 0).index for k in (0, 1))
    assert_distributed(overlap(a, b), *hypergeometric(80, 80))


def test_streams_of_stratified_draws() -> None:
    """Per tile the two points coincide with probability 1 / L, independently: a binomial."""
    domain, count = grid(20, 20), 80
    a = draw_queries(sampling("stratified", count), domain, keys(DRAWS, stream=Stream.INPUT_QUERIES), 0).index
    b = draw_queries(sampling("stratified", count), domain, keys(DRAWS, stream=Stream.TARGET_QUERIES), 0).index
    assert_distributed(overlap(a, b), 16.0, 16.0 * 0.8)
