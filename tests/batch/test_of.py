"""A dense prediction at the drawn points: the exact field must give exactly the drawn values."""

import pytest
import torch

from tests.datasets import write_grid
from ups_data import QueryLoader, QuerySampling, UpsDataError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("of") / "ds"
    write_grid(folder, grid=(6, 10))
    return folder


@pytest.mark.parametrize("horizon", [1, 2])
@pytest.mark.parametrize("channels_last", [False, True])
def test_the_exact_field_gives_the_drawn_values(root, horizon, channels_last):
    options = {"split": "train", "batch_size": 3, "shuffle": False, "horizon": horizon}
    few = next(iter(QueryLoader(root, sampling=QuerySampling(ratio=0.2), **options))).target_queries
    every = next(iter(QueryLoader(root, sampling=1.0, **options))).target_queries
    for name, values in few.values.items():
        dense = every.values[name] if channels_last else every.to_grid(name)
        torch.testing.assert_close(few.of(dense, channels_last=channels_last), values, rtol=0, atol=0)


def test_gradients_reach_the_picked_points_only(root):
    few = next(iter(QueryLoader(root, split="train", batch_size=2, sampling=0.2))).target_queries
    dense = torch.zeros(2, 1, 6, 10, requires_grad=True)
    few.of(dense).sum().backward()
    assert dense.grad is not None
    touched = dense.grad.flatten(1).nonzero()
    assert sorted(map(tuple, touched.tolist())) == sorted((b, int(i)) for b in range(2) for i in few.index[b])


def test_what_does_not_fit_is_one_line(root):
    few = next(iter(QueryLoader(root, split="train", batch_size=2, sampling=0.2))).target_queries
    with pytest.raises(UpsDataError, match="with the same samples and steps"):
        few.of(torch.zeros(3, 1, 6, 10))
    with pytest.raises(UpsDataError, match="channels_last"):
        few.of(torch.zeros(2, 60, 1))
