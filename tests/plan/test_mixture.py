"""Mixtures of datasets: weights hold over every stretch, and every dataset goes through its epochs whole."""

import numpy as np
import pytest

from ups_data import UpsDataError
from ups_data.plan import plan_mixture

MIXTURES = [
    ([100, 30, 7], [5, 2, 1]),
    ([1, 1], [1, 1]),
    ([10, 1000], [0.999, 0.001]),
    ([13], [0.2]),
    ([3, 4, 5, 6], [1, 2, 3, 4]),
]


def run(lengths, weights, epochs, **options):
    """The epochs of a run one after another: (dataset, own epoch, own batch) of every batch."""
    plans = [plan_mixture(lengths, weights, **{"seed": 0, **options}, epoch=e) for e in range(epochs)]
    assert len({len(p) for p in plans}) == 1
    return np.concatenate([np.stack([p.dataset, p.epoch, p.batch], 1) for p in plans])


@pytest.mark.parametrize(("lengths", "weights"), MIXTURES)
@pytest.mark.parametrize("epoch_batches", [None, 1, 17])
def test_every_dataset_goes_through_its_epochs_in_order(lengths, weights, epoch_batches):
    steps = run(lengths, weights, 60, epoch_batches=epoch_batches)
    for number, length in enumerate(lengths):
        own = steps[steps[:, 0] == number, 1] * length + steps[steps[:, 0] == number, 2]
        assert own.tolist() == list(range(len(own)))


@pytest.mark.parametrize(("lengths", "weights"), MIXTURES)
def test_every_stretch_holds_its_share(lengths, weights):
    steps = run(lengths, weights, 40, epoch_batches=50)
    share = np.array(weights) / np.sum(weights)
    counts = np.cumsum(steps[:, 0, None] == np.arange(len(lengths)), axis=0)
    ahead = counts - np.arange(1, len(steps) + 1)[:, None] * share
    # Between any two places of the run, the difference of these.
    assert np.ptp(np.vstack([np.zeros(len(lengths)), ahead]), axis=0).max() < len(lengths) + 1


@pytest.mark.parametrize("seed", range(12))
def test_epochs_are_slices_of_one_run(seed):
    options = {"lengths": [50, 20, 9, 3], "weights": [9, 5, 3, 1], "seed": seed}
    long = run(**options, epochs=1, epoch_batches=600)
    for size in (1, 7, 300):
        assert np.array_equal(run(**options, epochs=600 // size, epoch_batches=size), long[: 600 // size * size])


def test_an_epoch_lasts_until_the_first_dataset_is_through():
    assert len(plan_mixture([100, 30, 7], [5, 2, 1], seed=0, epoch=0)) == 56  # 7 batches at a share of 1/8
    assert len(plan_mixture([100, 30, 7], [50, 2, 1], seed=0, epoch=0)) == 106  # 100 batches at 50/53
    counts = np.bincount(plan_mixture([100, 30, 7], [5, 2, 1], seed=0, epoch=0).dataset)
    assert counts.tolist() == [35, 14, 7]


def test_seeds_and_epochs():
    first = run([50, 20, 20], [3, 2, 2], 2)
    assert np.array_equal(first, run([50, 20, 20], [3, 2, 2], 2))
    others = {run([50, 20, 20], [3, 2, 2], 2, seed=seed)[:, 0].tobytes() for seed in range(10)}
    assert len(others) > 3
    assert np.array_equal(first, run([50, 20, 20], [6.0, 4.0, 4.0], 2))


@pytest.mark.parametrize(
    ("lengths", "weights", "options", "says"),
    [
        ([10, 10], [1], {}, "give each one a positive number"),
        ([], [], {}, "give each one a positive number"),
        ([10, 10], [1, 0], {}, "give each one a positive number"),
        ([10, 10], [1, float("nan")], {}, "give each one a positive number"),
        ([10, 0], [1, 1], {}, "give at least 1 of each"),
        ([10, 10], [1, 1], {"epoch_batches": 0}, "give at least 1 of each"),
    ],
)
def test_bad_mixtures(lengths, weights, options, says):
    with pytest.raises(UpsDataError, match=says):
        plan_mixture(lengths, weights, seed=0, epoch=0, **options)
