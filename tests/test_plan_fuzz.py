"""The planner's invariants over manifests and plans that nobody would think of."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ups_data import UpsDataError, plan
from ups_data.schema import AxisSpec, FieldSpec, FieldStatistics, GridSpec, Manifest, ShardSpec, SplitSpec

SEEN: Counter[str] = Counter()  # what the examples were


@dataclass(frozen=True)
class Shape:
    """What a plan depends on: frames of `frame` float32 values, and the steps of every shard's trajectories."""

    frame: int
    chunk_rows: int
    static: bool
    steps: list[list[int]]

    def manifest(self):
        axes = [AxisSpec(name="x", physical=[0.0], normalised=[0.0])]
        one = FieldStatistics(count=1, mean=[0.0], std=[1.0], rms=[1.0], min=[0.0], max=[1.0])
        fields = [
            FieldSpec(
                name=name, channels=self.frame, dtype="float32", source_dtype="float32", static=static, chunk_rows=rows
            )
            for name, static, rows in (("u", False, self.chunk_rows), ("k", True, 1))[: 1 + self.static]
        ]
        shards = [ShardSpec(path=f"train/{i}", steps=s, bytes=0, digest="") for i, s in enumerate(self.steps)]
        split = SplitSpec(shards=shards, statistics={f.name: one for f in fields})
        return Manifest(fields=fields, grid=GridSpec(axes=axes), splits={"train": split})


# Frames from 4 bytes to 16 MB: from one window to one frame a window. Trajectories from one frame to many windows.
lengths = st.one_of(st.integers(1, 6), st.integers(1, 60), st.sampled_from([1, 200]))
shapes = st.builds(
    Shape,
    frame=st.sampled_from([1, 64, 20_000, 500_000, 4_200_000]),
    chunk_rows=st.integers(1, 20),
    static=st.booleans(),
    steps=st.lists(st.lists(lengths, min_size=1, max_size=6), min_size=1, max_size=6),
)
spans = st.fixed_dictionaries(
    {"input_steps": st.integers(1, 3), "horizon": st.integers(0, 4), "dt_stride": st.integers(1, 3)}
)
orders = st.fixed_dictionaries(
    {
        "seed": st.integers(-(2**31), 2**63 - 1),
        "epoch": st.integers(0, 10**6),
        "shuffle": st.booleans(),
        "canonical_ranks": st.sampled_from([1, 2, 4, 8, 8, 8, 12, 64]),
    }
)
sizes = st.one_of(st.integers(1, 48), st.sampled_from([8, 16, 32]))
ends = st.sampled_from([{"drop_last": True}, {"drop_last": False}, {"drop_last": False, "pad": True}])


def check(shape, span, size, order, end):
    manifest = shape.manifest()
    try:
        table = plan.sample_table(manifest, "train", [f.name for f in manifest.fields], **span)
    except UpsDataError:
        SEEN["no trajectory long enough"] += 1
        return
    samples = len(table)
    whole = None
    for world in (w for w in range(1, size + 1) if size % w == 0):
        options = {"batch_size": size // world, "world_size": world, **order, **end}
        try:
            ranks = [plan.plan_epoch(table, rank=r, **options) for r in range(world)]
        except UpsDataError:
            # Only where a rank would be left without a sample: the last two batches share what there is.
            assert samples < size if end["drop_last"] else not end.get("pad") and samples % size
            assert end["drop_last"] or min(samples, (size + samples % size) // 2) < 2 * world
            SEEN["refused"] += 1
            continue
        SEEN["plans"] += 1
        batches = [np.concatenate([p[b] for p in ranks]) for b in range(len(ranks[0]))]
        valid = [np.concatenate([p.valid(b) for p in ranks]) for b in range(len(ranks[0]))]
        check_epoch(samples, size, ranks, batches, valid, end)
        if order["shuffle"]:
            for p in ranks:
                check_memory(table, p)
        if whole is None:
            whole = batches, valid
        elif order["canonical_ranks"] % world == 0:
            assert all(map(np.array_equal, batches, whole[0]))
            assert all(map(np.array_equal, valid, whole[1]))
            SEEN["plans compared with one rank's"] += 1
    if whole is not None and not order["shuffle"] and not end["drop_last"]:
        assert np.array_equal(np.concatenate(whole[0])[np.concatenate(whole[1])], np.arange(samples))


def check_epoch(samples, size, ranks, batches, valid, end):
    assert {len(p) for p in ranks} == {len(batches)}
    once = np.bincount(np.concatenate(batches)[np.concatenate(valid)], minlength=samples)
    sizes = [len(b) for b in batches]
    if end["drop_last"]:
        assert once.max() == 1
        assert once.sum() == samples // size * size
        assert set(sizes) == {size}
        return
    assert (once == 1).all()
    if end.get("pad"):
        assert set(sizes) == {size}
        assert len(sizes) == -(-samples // size)
    else:
        assert min(len(p[b]) for p in ranks for b in range(len(p))) >= 1
        assert max(sizes) <= size
        assert max(len(p[-1]) for p in ranks) - min(len(p[-1]) for p in ranks) <= 1


def check_memory(table, mine):
    """The windows that a rank has in use, between their first and last batch, are those of one group, or of two where a
    batch lies across their border."""
    numbers = [mine[b] for b in range(len(mine))]
    batch = np.repeat(np.arange(len(numbers)), [len(n) for n in numbers])
    window = table.window[np.concatenate(numbers)]
    first, last = np.full(len(table.window_bytes), len(numbers)), np.full(len(table.window_bytes), -1)
    np.minimum.at(first, window, batch)
    np.maximum.at(last, window, batch)
    used = last >= 0
    change = np.zeros(len(numbers) + 1, np.int64)
    np.add.at(change, first[used], table.window_bytes[used])
    np.subtract.at(change, last[used] + 1, table.window_bytes[used])
    group = max(plan.GROUP_BYTES, int(table.window_bytes.max()))
    # A batch of more samples than a group holds needs all that it needs.
    needed = max(int(table.window_bytes[np.unique(table.window[n])].sum()) for n in numbers)
    assert np.cumsum(change).max() <= max(2 * group, needed + 2 * group * (needed > group))


@pytest.mark.parametrize("examples", [150, pytest.param(2000, marks=pytest.mark.faults)])
def test_the_planner_keeps_its_promises(examples):
    SEEN.clear()

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=HealthCheck)
    @given(shape=shapes, span=spans, size=sizes, order=orders, end=ends)
    def run(shape, span, size, order, end):
        SEEN["shapes"] += 1
        with np.errstate(all="raise", over="ignore"):  # the hash wraps around
            check(shape, span, size, order, end)

    run()
    print(f"\n{dict(SEEN)}")
    assert SEEN["shapes"] >= examples
    assert SEEN["plans compared with one rank's"] > examples / 2
