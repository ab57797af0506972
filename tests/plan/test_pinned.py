"""An epoch's order is a promise: a state taken by one version is continued by the next."""

import hashlib

import numpy as np
import pytest

from ups_data.plan import SampleTable, epoch_order, plan_epoch, plan_mixture
from ups_data.plan.batches import canonical_rank_of_positions


def table(samples: int = 600, windows: int = 60, window_bytes: int = 64 * 1024**2) -> SampleTable:
    """Windows of ten samples, four of them to a group."""
    number = np.arange(samples)
    zeros = np.zeros(samples, np.int64)
    return SampleTable(
        number, zeros, zeros, number, zeros, number * windows // samples, np.full(windows, window_bytes, np.int64)
    )


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(a, "<i8").tobytes() for a in arrays)).hexdigest()[:16]


@pytest.mark.parametrize(
    ("seed", "epoch", "expected"),
    [(0, 0, "1d7df0bdb0b245a1"), (0, 1, "e01a3a6b21a2a18a"), (1, 0, "26c21a30b9536415"), (7, 12, "d9a5ea134a2da7fc")],
)
def test_the_order_of_an_epoch(seed: int, epoch: int, expected: str) -> None:
    order = epoch_order(table(), seed=seed, epoch=epoch, shuffle=True)
    assert sorted(order.tolist()) == list(range(600))
    assert digest(order) == expected


def test_the_batches_of_ranks() -> None:
    plans = [
        plan_epoch(table(), seed=3, epoch=2, batch_size=5, rank=rank, world_size=4, canonical_ranks=8)
        for rank in range(4)
    ]
    assert digest(*[plan[batch] for plan in plans for batch in range(len(plan))]) == "755c6ee66058a262"


def test_the_canonical_ranks_of_an_order() -> None:
    bounds = np.array([0, 40, 80, 105])
    canonical = canonical_rank_of_positions(bounds, 110, 8)
    assert digest(epoch_order(table(110, 11), seed=5, epoch=1, shuffle=True, canonical=canonical)) == "7dbb5657ba05c3f0"


@pytest.mark.parametrize(
    ("seed", "epoch", "expected"), [(0, 0, "bdaaa570c56e6dc8"), (0, 1, "98f85437684adc03"), (5, 0, "4b6679b6749f601a")]
)
def test_the_order_of_a_mixture(seed: int, epoch: int, expected: str) -> None:
    plan = plan_mixture([40, 25, 60], [3.0, 1.0, 2.0], seed=seed, epoch=epoch)
    assert digest(plan.dataset, plan.epoch, plan.batch) == expected
