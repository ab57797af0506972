"""Mixtures of loaders keep what holds for one: order, equal batches, points, states."""

import itertools
from collections import Counter

import pytest
import torch

from tests.datasets import write_grid
from ups_data import QueryLoader, QuerySampling, UpsDataError, mix

SAMPLING = QuerySampling(ratio=0.2, mode="stratified")
ERRORS = QuerySampling(ratio=0.2, mode="importance", importance_metric="error")
WEIGHTS = [3, 2]


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    root = tmp_path_factory.mktemp("mixture")
    write_grid(root / "two", grid=(12, 10), steps=(9, 4, 7, 6), codec="lz4")
    write_grid(root / "one", grid=(60,), steps=(5, 9))
    return root / "two", root / "one"


def mixture(roots, *, world=1, rank=0, sampling=SAMPLING, weights=WEIGHTS, making=({}, {}), **options):
    """22 samples in batches of 4 and 12 in batches of 8 over all ranks: 5 and 2 batches."""
    loaders = [
        QueryLoader(
            root,
            split="train",
            batch_size=size // world,
            sampling=sampling,
            rank=rank,
            world_size=world,
            drop_last=last,
            **{"threads": 1, **how},
        )
        for root, size, last, how in zip(roots, (4, 8), (True, False), making, strict=True)
    ]
    return mix(loaders, weights=weights, **options)


def rows(batch):
    """What a batch is: its loader and its samples with their points and values."""
    parts = (
        batch.trajectory[:, None],
        batch.step[:, None],
        batch.target_queries.index,
        batch.target_queries.values["u"].flatten(1),
    )
    return batch.source, torch.cat([p.double() for p in parts], 1).tolist()


def steps(source, number, feeds_back=False):
    found = []
    for batch in itertools.islice(itertools.chain.from_iterable(source for _ in range(99)), number):
        found.append(rows(batch))
        if feeds_back:
            source.feedback(batch, 0.1 + (batch.target_queries.index % 7) ** 1.5)
    return found


def test_epochs_of_the_mixture_and_of_its_loaders(roots):
    source = mixture(roots)
    assert len(source) == 5  # until the second loader is through its 2 batches, at a share of 2/5
    drawn = [rows(b) for _ in range(12) for b in source]
    assert source.epoch == 12
    assert Counter(which for which, _ in drawn) == {0: 36, 1: 24}
    assert source.stats.batches == 60
    alone = [
        QueryLoader(roots[0], split="train", batch_size=4, sampling=SAMPLING),
        QueryLoader(roots[1], split="train", batch_size=8, sampling=SAMPLING, drop_last=False),
    ]
    for which, loader in enumerate(alone):
        mine = [batch for number, batch in drawn if number == which]
        expected = [
            rows(b)[1] for b in itertools.islice(itertools.chain.from_iterable(loader for _ in range(99)), len(mine))
        ]
        assert mine == expected  # the loader's own epochs, whole, in its own order


@pytest.mark.parametrize("making", [({"threads": 0}, {"threads": 3}), ({"num_workers": 1}, {"num_workers": 2})])
def test_threads_and_workers_change_nothing(roots, making):
    assert steps(mixture(roots, making=making), 23) == steps(mixture(roots), 23)


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_share_the_global_batches(roots, world):
    ranks = [mixture(roots, world=world, rank=r) for r in range(world)]
    assert {len(r) for r in ranks} == {5}
    for together, *parts in zip(steps(mixture(roots), 23), *(steps(r, 23) for r in ranks), strict=True):
        assert {which for which, _ in parts} == {together[0]}
        assert list(itertools.chain(*(part for _, part in parts))) == together[1]


@pytest.mark.parametrize("making", [({}, {}), ({"num_workers": 1}, {})])
def test_resume_at_every_batch(roots, making):
    expected = steps(mixture(roots, sampling=ERRORS), 18, feeds_back=True)
    for stop in range(12) if making == ({}, {}) else (4,):
        source = mixture(roots, sampling=ERRORS)
        steps(source, stop, feeds_back=True)
        resumed = mixture(roots, sampling=ERRORS, making=making)
        resumed.load_state_dict(source.state_dict())
        assert steps(resumed, 18 - stop, feeds_back=True) == expected[stop:], stop


def test_after_a_pass_that_is_left_early_comes_the_next_epoch_and_set_epoch_goes_anywhere(roots):
    source = mixture(roots)
    epochs = [[rows(b) for b in source] for _ in range(4)]
    source.set_epoch(2)
    for batch in source:
        assert rows(batch) == epochs[2][0]
        break
    state = source.state_dict()
    assert [rows(b) for b in source] == epochs[3]
    assert source.epoch == 4
    source.load_state_dict(state)
    assert [rows(b) for b in source] == epochs[2][1:]
    source.set_epoch(2)
    assert [rows(b) for b in source] == epochs[2]


def test_on_a_device(roots):
    source = mixture(roots, sampling=ERRORS)
    moved = source.to("meta")
    assert source.to("cpu") is source
    for number, batch in enumerate(moved):
        assert batch.target_queries.index.is_meta
        state = moved.state_dict()
        assert state["batch"] == (number + 1) % 5
        assert len(state["feedback"]) == len(state["loaders"]) == 2
    assert moved.epoch == 1
    assert [m.grid.shape for m in moved.manifests] == [(12, 10), (60,)]


def test_a_state_of_another_mixture_is_refused(roots):
    state = mixture(roots).state_dict()
    with pytest.raises(UpsDataError, match=r"weights was \[3.0, 2.0\] and is \[1.0, 1.0\]"):
        mixture(roots, weights=[1, 1]).load_state_dict(state)
    with pytest.raises(UpsDataError, match="loader 0: dataset was .* loader 1: dataset was"):
        mixture(roots[::-1]).load_state_dict(state)
    with pytest.raises(UpsDataError, match="seed of the mixture was 0 and is 3"):
        mixture(roots, seed=3).load_state_dict(state)
    with pytest.raises(UpsDataError, match="epoch_batches was 5 and is 7"):
        mixture(roots, epoch_batches=7).load_state_dict(state)
    with pytest.raises(UpsDataError, match="loaders was not given"):
        mixture(roots).load_state_dict(mixture(roots).loaders[0].state_dict())


def test_what_cannot_be_mixed(roots):
    def loader(**options):
        return QueryLoader(roots[0], split="train", batch_size=2, sampling=SAMPLING, **options)

    one = loader()
    for loaders, weights, says in (
        ([one, loader()], [1], "give each one a positive number"),
        ([one, loader()], [1, -1], "give each one a positive number"),
        ([one, one], [1, 1], "one loader is given twice"),
        ([one, loader(rank=1, world_size=2)], [1, 1], r"different ranks \(0 of 1, 1 of 2\)"),
        ([one, loader().to("meta")], [1, 1], "loader 1 is bound to a device: mix first"),
        ([one, QueryLoader.mix([loader()], weights=[1])], [1, 1], "loader 1 is a QueryMixture"),
        ([one, 3], [1, 1], "loader 1 is a int: give QueryLoaders"),
        ([], [], "no loader"),
    ):
        with pytest.raises(UpsDataError, match=says):
            QueryLoader.mix(loaders, weights=weights)
