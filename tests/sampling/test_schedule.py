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
    exponential = math.exp((1 - p) * math.log(start) + p * math.log(end))
    assert ratio_at("exponential", epoch, start, end, first, last) == pytest.approx(exponential, rel=1e-12)
    for jumps, levels in ((1, [0] * 8 + [1]), (2, [0] * 4 + [1] * 4 + [2]), (3, [0, 0, 0, 1, 1, 1, 2, 2, 3])):
        level = levels[min(max(epoch - first, 0), 8)]  # 8 epochs from first to last
        expected = start + (end - start) * level / jumps
        assert ratio_at("step", epoch, start, end, first, last, jumps) == pytest.approx(expected, rel=1e-12)
    assert ratio_at("constant", epoch, start, end, first, last) == start


def test_jumps_come_at_whole_epochs_where_they_are_due() -> None:
    """n jumps in n epochs: one at each, for every n, though k / n is rounded."""
    for n in range(1, 200):
        ratios = [ratio_at("step", epoch, 1.0, 0.0, 0, n, n) for epoch in range(n + 1)]
        assert ratios == [1.0 - k / n for k in range(n + 1)]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "exponential", "step"])
def test_ends_are_exact(schedule) -> None:
    assert [ratio_at(schedule, e, 1.0, 0.2, 3, 7) for e in (0, 3, 7, 99)] == [1.0, 1.0, 0.2, 0.2]
    assert [ratio_at(schedule, e, 1.0, 0.2, 3, 3) for e in (2, 3)] == [1.0, 0.2]  # no epochs between: a jump


def test_queries_per_epoch() -> None:
    linear = QuerySampling(schedule="linear", start_ratio=1.0, end_ratio=0.2, start_epoch=1, end_epoch=5)
    assert [linear.count(1000, e) for e in range(7)] == [1000, 1000, 800, 600, 400, 200, 200]
    cosine = QuerySampling(schedule="cosine", start_ratio=1.0, end_ratio=0.5, end_epoch=4, query_multiple=64)
    assert [cosine.count(4096, e) for e in range(5)] == [4096, 3776, 3072, 2368, 2048]
    assert [round(cosine.ratio_at(e), 4) for e in range(5)] == [1.0, 0.9268, 0.75, 0.5732, 0.5]
    falling = {"start_ratio": 0.8, "end_ratio": 0.1, "start_epoch": 1, "end_epoch": 4}
    exponential = QuerySampling(schedule="exponential", **falling, query_multiple=10)
    assert [exponential.count(1000, e) for e in range(6)] == [800, 800, 400, 200, 100, 100]
    step = QuerySampling(schedule="step", jumps=2, **falling)
    assert [step.count(1000, e) for e in range(6)] == [800, 800, 800, 450, 100, 100]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "exponential", "step"])
def test_by_epoch_or_by_step(schedule) -> None:
    ramp = {"schedule": schedule, "start_ratio": 1.0, "end_ratio": 0.2, "start_epoch": 1, "end_epoch": 5}
    by_epoch, by_step = QuerySampling(**ramp), QuerySampling(**ramp, schedule_unit="step")
    for tenths in range(70):
        moment = tenths / 10
        assert by_epoch.ratio_at(moment) == ratio_at(schedule, tenths // 10, 1.0, 0.2, 1, 5)
        assert by_step.ratio_at(moment) == ratio_at(schedule, moment, 1.0, 0.2, 1, 5)
    assert by_step.ratio_at(2) == by_epoch.ratio_at(2)
    assert 0.2 < by_step.ratio_at(4.9) < by_step.ratio_at(3.1) < 1.0


def test_a_constant_ratio_begins_at_its_start_epoch() -> None:
    chosen = QuerySampling(ratio=0.1, start_epoch=2)
    assert [chosen.count(1000, e) for e in (0, 1, 1.9, 2, 9)] == [1000, 1000, 1000, 100, 100]
    assert [chosen.ratio_at(e) for e in (1, 2)] == [1.0, 0.1]
    assert QuerySampling(num_queries=7, start_epoch=1).count(1000, 0) == 1000
