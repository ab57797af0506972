"""The mean over drawn points estimates the dense mean: without bias, and with little variance where strata help."""

import math

import h5py
import numpy as np
import pytest

from tests.sampling.cases import REAL_FRAME_FILE, grid, keys
from ups_data.points.domain import Domain
from ups_data.sampling import QuerySampling, draw_queries

needs_real_frame = pytest.mark.skipif(not REAL_FRAME_FILE.exists(), reason=f"{REAL_FRAME_FILE} is not there")
MODES = ["uniform", "stratified", "lattice"]


def squared_gradient() -> np.ndarray:
    """Of u in the last frame of one diffusion–reaction run, (128 · 128,)."""
    with h5py.File(REAL_FRAME_FILE) as file:
        u = file["0003/data"][-1, ..., 0].astype(np.float64)
    return (np.square(np.gradient(u)).sum(axis=0)).ravel()


def synthetic(shape: tuple[int, ...]) -> np.ndarray:
    """A trend, an oscillation that aliases with any lattice, and one spike: hard for a biased sampler."""
    where = np.indices(shape).reshape(len(shape), -1)
    values = where[0] / shape[0] + np.cos(math.pi * where.sum(axis=0)) + np.sin(where[-1])
    values[0] += 30
    return values


def estimates(values: np.ndarray, domain: Domain, sampling: QuerySampling, draws: int) -> np.ndarray:
    """The weighted mean of each of `draws` draws."""
    parts = []
    for batch in np.array_split(keys(draws), -(-draws // 500)):
        draw = draw_queries(sampling, domain, batch, epoch=0)
        weight = 1.0 if draw.weight is None else draw.weight
        parts.append((weight * values[draw.index]).mean(axis=1))
    return np.concatenate(parts)


def assert_unbiased(found: np.ndarray, dense: float) -> None:
    assert abs(found.mean() - dense) < 4 * found.std(ddof=1) / math.sqrt(len(found))


@needs_real_frame
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ratio", [1 / 16, 0.1, 0.4])
def test_unbiased_on_a_real_frame(mode: str, ratio: float) -> None:
    values = squared_gradient()
    found = estimates(values, grid(128, 128), QuerySampling(ratio=ratio, mode=mode), 3000)
    assert_unbiased(found, values.mean())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(97,), (17, 10), (16, 16), (5, 7, 3)])
@pytest.mark.parametrize("ratio", [0.1, 0.25, 0.8])
def test_unbiased_on_a_synthetic_frame(mode: str, shape: tuple[int, ...], ratio: float) -> None:
    values = synthetic(shape)
    found = estimates(values, grid(*shape), QuerySampling(ratio=ratio, mode=mode), 20_000)
    assert_unbiased(found, values.mean())


@needs_real_frame
@pytest.mark.parametrize(("ratio", "at_most"), [(1 / 16, 0.5), (0.1, 0.5)])
def test_strata_halve_the_variance(ratio: float, at_most: float, record_property) -> None:
    """At 1/16 the strata are 4 × 4 tiles; at 0.1 they are shifted runs of 10 or 11 points along the curve."""
    values, domain = squared_gradient(), grid(128, 128)
    variance = {m: estimates(values, domain, QuerySampling(ratio=ratio, mode=m), 3000).var() for m in MODES}
    relative = {mode: float(v / variance["uniform"]) for mode, v in variance.items()}
    record_property("variance relative to uniform", relative)
    print(f"ratio {ratio:.4f}: variance relative to uniform {relative}")
    assert relative["stratified"] < at_most
