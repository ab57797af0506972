"""Every sample once on any number of ranks, with and without batches that are filled to one size."""

from itertools import chain

import numpy as np
import pytest
import torch

from tests.datasets import fields, write_grid
from ups_data import QueryDataset, QueryLoader, QuerySampling, ShardWriter, UpsDataError, query_collate
from ups_data.trajectory import PointSet

SAMPLING = QuerySampling(ratio=0.1, mode="stratified")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("padding") / "d"
    write_grid(root, steps=(9, 4, 7, 5), codec="lz4", split="valid")  # 21 samples
    return root


def loader(root, **options):
    return QueryLoader(root, **{"split": "valid", "batch_size": 8, "sampling": SAMPLING, **options})


def samples(batch):
    keys = list(zip(batch.trajectory.tolist(), batch.step.tolist(), strict=True))
    return [k for k, valid in zip(keys, batch.valid, strict=True) if valid] if batch.valid is not None else keys


@pytest.mark.parametrize("pad", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_evaluation_sees_every_sample_once_on_any_number_of_ranks(root, pad, shuffle):
    expected = [samples(b) for b in loader(root, pad=pad, shuffle=shuffle)]
    assert sorted(chain(*expected)) == [(t, s) for t, n in enumerate((9, 4, 7, 5)) for s in range(n - 1)]
    for world in (2, 4, 8) if pad else (2, 4):
        options = {"batch_size": 8 // world, "world_size": world, "pad": pad, "shuffle": shuffle}
        ranks = [loader(root, rank=r, threads=1, **options) for r in range(world)]
        assert len({len(r) for r in ranks}) == 1
        found = [list(chain(*map(samples, together))) for together in zip(*ranks, strict=True)]
        assert found == expected
        if pad:
            assert {len(b) for r in ranks for b in r} == {8 // world}


@pytest.mark.parametrize("making", [{"threads": 0}, {"threads": 3}, {"num_workers": 2}])
def test_what_only_fills_a_batch_has_no_weight(root, making):
    source = loader(root, pad=True, horizon=2, lattice_queries=True, batch_size=8, **making)
    batches = list(source)
    assert [None if b.valid is None else b.valid.sum().item() for b in batches] == [None, 5, 4]  # a small rest shares
    last, whole = batches[-1], loader(root, horizon=2, lattice_queries=True, batch_size=8)
    for name in ("input_queries", "target_queries", "lattice_queries"):
        weight = getattr(last, name).weight
        assert not weight[~last.valid].any()
        assert torch.equal(weight[last.valid], getattr(list(whole)[-1], name).weight)
    assert source.stats.samples == 17
    assert torch.equal(batches[0].target_queries.weight, next(iter(whole)).target_queries.weight)


def test_fewer_samples_than_ranks(root):
    """No rank is left without a batch, and one may have nothing but filling."""
    ranks = [loader(root, batch_size=8, pad=True, rank=r, world_size=4, horizon=8) for r in range(4)]  # one sample
    batches = [next(iter(r)) for r in ranks]
    assert [len(b) for b in batches] == [8] * 4
    assert sum(b.num_valid for b in batches) == 1
    with pytest.raises(
        UpsDataError, match=r"1 samples do not give each of 4 rank\(s\) its part of the last batch: set pad=True"
    ):
        loader(root, batch_size=8, rank=0, world_size=4, horizon=8)


def test_pad_stands_for_drop_last(root, tmp_path):
    write_grid(tmp_path / "d", steps=(9, 5))
    assert [len(b) for b in loader(tmp_path / "d", split="train", pad=True)] == [8, 8]
    assert [len(b) for b in loader(tmp_path / "d", split="train")] == [8]
    with pytest.raises(UpsDataError, match="give one of them"):
        loader(tmp_path / "d", split="train", pad=True, drop_last=True)


def test_the_pipeline_pads_too(root):
    pipeline = QueryDataset(root, split="valid", batch_size=8, sampling=SAMPLING, pad=True)
    for mine, batch in zip(pipeline.batched(8, collation_fn=query_collate), loader(root, pad=True), strict=True):
        assert (mine.valid is None) == (batch.valid is None)
        assert torch.equal(mine.target_queries.weight, batch.target_queries.weight)


def test_every_set_of_points(tmp_path):
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path / "d") as writer:
        for i in range(5):
            sets = {
                name: PointSet(coords=rng.random((n, 2)).astype(np.float32), fields={name[0]: fields(i, 1, (n,))})
                for name, n in (("surface", 40), ("volume", 90))
            }
            writer.add(sets=sets, split="valid")
    both = {"surface": SAMPLING, "volume": SAMPLING}
    *_, last = loader(tmp_path / "d", sampling=both, pad=True, horizon=0, batch_size=3)
    for name in both:
        assert last[name].valid.tolist() == [True, True, False]
        assert last[name].target_queries.weight.sum(1).gt(0).tolist() == [True, True, False]


def test_filling_feeds_nothing_back(root):
    sampling = QuerySampling(ratio=0.5, mode="importance", importance_metric="error")
    tables = []
    for pad in (False, True):
        source = loader(root, sampling=sampling, pad=pad, shuffle=False)
        for batch in source:
            errors = 1.0 + batch.target_queries.index % 7
            source.feedback(batch, errors if batch.valid is None else errors + 1e6 * ~batch.valid[:, None])
        next(iter(source))
        tables.append(source._source.errors[None])
    assert tables[0].unique().numel() > 2
    assert torch.equal(*tables)


def test_canonical_ranks_choose_the_order(root):
    orders = [[samples(b) for b in loader(root, shuffle=True, canonical_ranks=c)] for c in (1, 8, 8)]
    assert orders[0] != orders[1] == orders[2]
    for world in (3, 6):  # no divisors of 8: the same batches all the same
        ranks = [
            loader(root, shuffle=True, batch_size=12 // world, rank=r, world_size=world, pad=True, threads=1)
            for r in range(world)
        ]
        found = [list(chain(*map(samples, together))) for together in zip(*ranks, strict=True)]
        assert found == [samples(b) for b in loader(root, shuffle=True, batch_size=12, pad=True)]
