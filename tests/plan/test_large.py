"""The order of a large epoch is worked out as it is reached: the same order, for little at the beginning."""

import time
import tracemalloc
from math import gcd

import numpy as np
import pytest

from ups_data import plan
from ups_data.hashing import hash_key
from ups_data.plan import order as order_module
from ups_data.plan.batches import fill
from ups_data.plan.samples import groups
from ups_data.schema import AxisSpec, FieldSpec, FieldStatistics, GridSpec, Manifest, ShardSpec, SplitSpec


def manifest(shards, points=16384):
    one = FieldStatistics(count=1, mean=[0.0], std=[1.0], rms=[1.0], min=[0.0], max=[1.0])
    axes = [AxisSpec(name="x", physical=[0.0] * points, normalised=[0.0] * points)]
    field = FieldSpec(name="u", channels=1, dtype="float32", source_dtype="float32", chunk_rows=4)
    listed = [
        ShardSpec.model_construct(path=f"train/{i}", steps=s, points=None, bytes=0, digest="")
        for i, s in enumerate(shards)
    ]
    split = SplitSpec.model_construct(shards=listed, statistics={"u": one}, params={}, time_step=None)
    return Manifest.model_construct(
        fields=[field], grid=GridSpec(axes=axes), splits={"train": split}, blocks=1, sets=None
    )


def sorted_whole(table, *, seed, epoch, canonical):
    """The order as every rank worked it out before: all samples, sorted at once."""
    window, numbers = table.window, np.arange(len(table))
    windows = np.argsort(hash_key(seed, epoch, 101, np.arange(len(table.window_bytes))), kind="stable")
    place = np.empty_like(windows)
    place[windows] = np.arange(len(windows))
    laid = np.argsort(place[window], kind="stable")
    group = groups(table.window_bytes[windows])[place[window[laid]]]
    positions = np.lexsort((canonical, group))
    shuffled = np.lexsort((hash_key(seed, epoch, 102, laid), canonical[positions], group))
    order = np.empty_like(numbers)
    order[positions] = laid[shuffled]
    return order


def canonical_of_all(bounds, samples, ranks):
    sizes = np.diff(bounds)
    place = np.arange(bounds[-1]) - np.repeat(bounds[:-1], sizes)
    canonical = np.zeros(samples, np.int64)
    canonical[: bounds[-1]] = -(-(place + 1) * ranks // np.repeat(sizes, sizes)) - 1
    return canonical


@pytest.fixture(scope="module")
def million():
    lengths = np.random.default_rng(0).integers(1, 300, 6700).tolist()
    table = plan.sample_table(manifest([lengths[i : i + 100] for i in range(0, 6700, 100)]), "train", ["u"])
    assert 950_000 < len(table) < 1_050_000
    return table


@pytest.mark.parametrize("end", [{"drop_last": True}, {"drop_last": False}, {"drop_last": False, "pad": True}])
@pytest.mark.parametrize(("world", "canonical_ranks"), [(64, 64), pytest.param(24, 8, marks=pytest.mark.slow)])
def test_the_order_of_a_million_samples_is_that_of_before(million, world, canonical_ranks, end):
    bounds = plan.batch_bounds(len(million), batch_size=5, world_size=world, canonical_ranks=canonical_ranks, **end)
    canonical = canonical_of_all(bounds, len(million), canonical_ranks)
    whole = sorted_whole(million, seed=4, epoch=9, canonical=canonical)
    mask = np.ones(len(whole), bool)
    size = 5 * world
    if end.get("pad"):
        chosen, mask = fill(bounds, size, gcd(canonical_ranks, size))
        whole, bounds = whole[chosen], np.arange(len(bounds)) * size
    for rank in (world // 3, world - 1):
        mine = plan.plan_epoch(
            million, seed=4, epoch=9, batch_size=5, rank=rank, world_size=world, canonical_ranks=canonical_ranks, **end
        )
        assert len(mine) == len(bounds) - 1
        for batch in (*range(0, len(mine), 100), len(mine) - 2, len(mine) - 1, 3, len(mine) // 2):  # resumed at will
            start, stop = int(bounds[batch]), int(bounds[batch + 1])
            low, high = (start + (stop - start) * r // world for r in (rank, rank + 1))
            assert np.array_equal(mine[batch], whole[low:high])
            assert np.array_equal(mine.valid(batch), mask[low:high])


@pytest.mark.parametrize("samples", [1, 40_000])
def test_sections_of_any_size_give_one_order(million, samples, monkeypatch):
    monkeypatch.setattr(plan.samples, "GROUP_BYTES", 64 * 1024**2)
    expected = plan.epoch_order(million, seed=1, epoch=2, shuffle=True)
    monkeypatch.setattr(order_module, "SECTION", samples)
    assert np.array_equal(plan.epoch_order(million, seed=1, epoch=2, shuffle=True), expected)


def test_a_table_by_trajectories_is_the_table_of_samples():
    lengths = np.random.default_rng(1).integers(1, 300, 600).tolist()
    options = {"input_steps": 2, "horizon": 3, "dt_stride": 2}
    made = plan.sample_table(manifest([lengths[:7], [1, 1], lengths[7:]]), "train", ["u"], **options)
    steps = [(t, s) for t, n in enumerate([*lengths[:7], 1, 1, *lengths[7:]]) for s in range(2, n - 6)]
    assert list(zip(made.trajectory.tolist(), made.step.tolist(), strict=True)) == steps
    explicit = plan.SampleTable(
        made.trajectory, made.step, made.shard, made.row, made.static_row, made.window, made.window_bytes
    )
    for times in (1, 3):
        one, other = plan.repeated(made, times), plan.repeated(explicit, times)
        assert len(one) == len(other)
        assert np.array_equal(one.window_starts, other.window_starts)
        some = np.random.default_rng(2).integers(0, len(one), 500)
        for name in ("trajectory", "step", "shard", "row", "static_row"):
            assert np.array_equal(getattr(one.at(some), name), getattr(other.at(some), name)), name
            assert np.array_equal(getattr(one, name), getattr(other, name)), name
        first = np.unique(other.trajectory)
        assert np.array_equal(one.first_of(first), other.first_of(first))


def large_epoch():
    """100 million samples in a million trajectories, 64 ranks: a table, and the memory that an epoch's begin takes."""
    source = manifest([[101] * 10_000] * 100)
    tracemalloc.start()
    try:
        table = plan.sample_table(source, "train", ["u"])
        begun = time.perf_counter()
        mine = plan.plan_epoch(table, seed=0, epoch=0, batch_size=16, rank=17, world_size=64)
        first = mine[0]
        seconds = time.perf_counter() - begun
        later = mine[len(mine) // 2]
        return table, mine, first, later, tracemalloc.get_traced_memory()[1], seconds
    finally:
        tracemalloc.stop()


def test_an_epoch_of_a_hundred_million_samples_begins_in_little_memory():
    table, mine, first, later, peak, seconds = large_epoch()
    print(
        f"\n{len(table):,} samples, {len(table.window_bytes):,} windows: {peak / 1e6:.0f} MB at most, {seconds:.2f} s"
    )
    assert len(table) == 100_000_000
    assert peak < 200e6
    # Few of the samples are looked at: neither all of the table nor all of the order is there.
    assert len(first) == len(later) == 16
    assert sum(made.nbytes for _, made in mine.samples._kept) < 4e6
