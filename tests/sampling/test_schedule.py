"""Ratio schedules against their formulae, and Q epoch by epoch."""

import math

import pytest

from ups_data.sampling import QuerySampling
from ups_data.sampling.schedule import ratio_at


@pytest.mark.parametrize("epoch", range(-1, 14))
@pytest.mark.parametrize(("start", "end"), [(1.0, 0.2), (0.05, 0.6)])
def test_formulae(epoch: int, start: float, end: float) -> None:
    first, last = 2, 10
    p = min(1.0, max(0.0, (epoch - first) / (last - first)))
    assert ratio_at("linear", epoch, start, end, first, last) == pytest.approx((1 - p) * start + p * end, rel=1e-12)
    cosine = start + (end - start) * math.sin(0.5 * math.pi * p) ** 2  # (1 - cos πp) / 2 = sin²(πp / 2)
    assert ratio_at("cosine", epoch, start, end, first, last) == pytest.approx(cosine, rel=1e-12)
    assert ratio_at("constant", epoch, start, end, first, last) == start


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_ends_are_exact(schedule) -> None:
    assert [ratio_at(schedule, e, 1.0, 0.2, 3, 7) for e in (0, 3, 7, 99)] == [1.0, 1.0, 0.2, 0.2]
    assert [ratio_at(schedule, e, 1.0, 0.2, 3, 3) for e in (2, 3)] == [1.0, 0.2]  # no epochs between: a jump


def test_queries_per_epoch() -> None:
    linear = QuerySampling(schedule="linear", start_ratio=1.0, end_ratio=0.2, start_epoch=1, end_epoch=5)
    assert [linear.count(1000, e) for e in range(7)] == [1000, 1000, 800, 600, 400, 200, 200]
    cosine = QuerySampling(schedule="cosine", start_ratio=1.0, end_ratio=0.5, end_epoch=4, query_multiple=64)
    assert [cosine.count(4096, e) for e in range(5)] == [4096, 3776, 3072, 2368, 2048]
    assert [round(cosine.ratio_at(e), 4) for e in range(5)] == [1.0, 0.9268, 0.75, 0.5732, 0.5]
