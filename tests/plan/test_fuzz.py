"""The planner's invariants over manifests and plans that nobody would think of."""

from collections import Counter, OrderedDict
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ups_data import QuerySampling, UpsDataError, plan
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
        points = max(1, self.frame // 20_000)
        axes = [AxisSpec(name="x", physical=list(range(points)), normalised=[0.0] * points)]
        zeros, ones = [0.0] * (self.frame // points), [1.0] * (self.frame // points)
        one = FieldStatistics(count=1, mean=zeros, std=ones, rms=ones, min=zeros, max=ones)
        fields = [
            FieldSpec(
                name=name,
                channels=self.frame // points,
                dtype="float32",
                source_dtype="float32",
                static=static,
                chunk_rows=rows,
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


def check(shape, span, size, order, end, repeats):
    manifest = shape.manifest()
    try:
        table = plan.sample_table(manifest, "train", [f.name for f in manifest.fields], **span)
    except UpsDataError:
        SEEN["no trajectory long enough"] += 1
        return
    table = plan.repeated(table, repeats)
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
                check_pool(table, p)
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
    group = max(plan.samples.GROUP_BYTES, int(table.window_bytes.max()))
    # A batch of more samples than a group holds needs all that it needs.
    needed = max(int(table.window_bytes[np.unique(table.window[n])].sum()) for n in numbers)
    assert np.cumsum(change).max() <= max(2 * group, needed + 2 * group * (needed > group))


def check_pool(table, mine):
    """A pool of two groups that drops what was used least recently decodes every window once."""
    if sum(len(mine[b]) for b in range(len(mine))) > 2000:
        return
    used = [np.unique(table.window[mine[b]]).tolist() for b in range(len(mine))]
    largest = max(int(table.window_bytes[windows].sum()) for windows in used)
    group = max(plan.samples.GROUP_BYTES, int(table.window_bytes.max()))
    limit = 2 * group if largest <= group else largest + 2 * group
    pool, held, decoded = OrderedDict(), 0, Counter()
    for windows in used:
        for window in windows:
            if window in pool:
                pool.move_to_end(window)
                continue
            decoded[window] += 1
            pool[window] = int(table.window_bytes[window])
            held += pool[window]
            while held > limit:
                held -= pool.popitem(last=False)[1]
    assert set(decoded.values()) == {1}
    SEEN["epochs through a pool of two groups, every window decoded once"] += 1


@pytest.mark.parametrize("examples", [60, pytest.param(2000, marks=pytest.mark.faults)])
def test_the_planner_keeps_its_promises(examples):
    SEEN.clear()

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=HealthCheck)
    @given(shape=shapes, span=spans, size=sizes, order=orders, end=ends, repeats=st.sampled_from([1, 1, 1, 2, 3]))
    def run(shape, span, size, order, end, repeats):
        SEEN["shapes"] += 1
        with np.errstate(all="raise", over="ignore"):  # the hash wraps around
            check(shape, span, size, order, end, repeats)

    run()
    print(f"\n{dict(SEEN)}")
    assert SEEN["shapes"] >= examples
    assert SEEN["plans compared with one rank's"] > examples / 2


counts = st.lists(st.tuples(st.integers(1, 2000), st.floats(1e-3, 1e3)), min_size=1, max_size=6)


def check_mixture(datasets, seed, epoch, epoch_batches, epochs):
    """Every dataset goes through its own epochs whole, and has its share of every stretch, across epochs."""
    lengths, weights = zip(*datasets, strict=True)
    plans = [
        plan.plan_mixture(lengths, weights, seed=seed, epoch=e, epoch_batches=epoch_batches)
        for e in range(epoch, epoch + epochs)
    ]
    assert len({len(p) for p in plans}) == 1
    assert epoch_batches in (None, len(plans[0]))
    dataset, own, batch = (np.concatenate([getattr(p, n) for p in plans]) for n in ("dataset", "epoch", "batch"))
    for number, length in enumerate(lengths):
        mine = own[dataset == number] * length + batch[dataset == number]
        assert (np.diff(mine) == 1).all()
        assert mine.size == 0 or (batch[dataset == number] < length).all()
    share = np.array(weights) / sum(weights)
    ahead = np.cumsum(dataset[:, None] == np.arange(len(lengths)), axis=0)
    ahead = ahead - np.arange(1, len(dataset) + 1)[:, None] * share
    assert np.ptp(np.vstack([np.zeros(len(lengths)), ahead]), axis=0).max() < len(lengths) + 1 + 1e-6


@pytest.mark.parametrize("examples", [100, pytest.param(2000, marks=pytest.mark.faults)])
def test_mixtures_keep_their_promises(examples):
    done = Counter()

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=HealthCheck)
    @given(
        datasets=counts,
        seed=st.integers(-(2**31), 2**63 - 1),
        epoch=st.integers(0, 300),
        epoch_batches=st.one_of(st.none(), st.integers(1, 300)),
        epochs=st.integers(1, 4),
    )
    def run(datasets, seed, epoch, epoch_batches, epochs):
        done["mixtures"] += 1
        check_mixture(datasets, seed, epoch, epoch_batches, epochs)

    run()
    print(f"\n{dict(done)}")
    assert done["mixtures"] >= examples


ratios = st.one_of(st.none(), st.floats(1e-4, 1.0), st.sampled_from([0.0, 1.0, 1.5]))
options = st.fixed_dictionaries(
    {},
    optional={
        "ratio": ratios,
        "num_queries": st.one_of(st.none(), st.integers(0, 5000)),
        "mode": st.sampled_from(["full", "uniform", "stratified", "lattice", "blocks", "random", "nonsense"]),
        "schedule": st.sampled_from(["constant", "linear", "cosine", "exponential", "step"]),
        "schedule_unit": st.sampled_from(["epoch", "step"]),
        "start_ratio": ratios,
        "end_ratio": ratios,
        "start_epoch": st.integers(0, 20),
        "end_epoch": st.one_of(st.none(), st.integers(0, 40)),
        "jumps": st.integers(0, 6),
        "query_multiple": st.integers(1, 300),
    },
)


def check_config(given, points, epoch, seen):
    """A sampling is refused in one line, or asks for 1 to N points at every epoch."""
    sampling, refusal = None, ""
    try:
        sampling = QuerySampling(**given)
    except UpsDataError as error:
        refusal = str(error)
    if sampling is None:
        assert "\n" not in refusal
        seen["refused"] += 1
        return
    seen["accepted"] += 1
    if sampling.num_queries is not None and sampling.num_queries > points and sampling.mode != "full":
        with pytest.raises(UpsDataError, match="give at most"):
            sampling.count(points, 10**6)
        return
    count = sampling.count(points, epoch)
    assert 1 <= count <= points
    assert count == points or count % min(sampling.query_multiple, points) == 0
    if sampling.schedule != "constant" and sampling.mode != "full":
        ends = sorted([sampling.start_ratio, sampling.end_ratio])
        assert ends[0] * (1 - 1e-9) <= sampling.ratio_at(epoch) <= ends[1] * (1 + 1e-9)
        seen["schedules"] += 1


@pytest.mark.parametrize("examples", [100, pytest.param(3000, marks=pytest.mark.faults)])
def test_configurations_are_refused_or_kept(examples):
    seen = Counter()

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=HealthCheck)
    @given(given=options, points=st.integers(1, 20_000), epoch=st.floats(0, 60))
    def run(given, points, epoch):
        check_config(given, points, epoch, seen)

    run()
    print(f"\n{dict(seen)}")
    assert min(seen["accepted"], seen["refused"]) > examples / 20
