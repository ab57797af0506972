"""States: exact at every batch, whatever makes the batches; as cheap as a start; refused where anything differs."""

import itertools

import pytest
import torch

from tests.datasets import fields, write_grid
from tests.faults.streaming import digest
from ups_data import QueryLoader, QuerySampling, ShardWriter, UpsDataError
from ups_data.loader.pipeline import SampleSource
from ups_data.reading.reader import SampleReader

RAMP = {"start_ratio": 0.6, "end_ratio": 0.25, "end_epoch": 2}
ERRORS = QuerySampling(ratio=0.2, mode="importance", importance_metric="error", importance_window=1)
PLANS = {
    "stratified": {"sampling": QuerySampling(ratio=0.1, mode="stratified")},
    "schedule by epoch": {"sampling": QuerySampling(schedule="cosine", **RAMP)},
    "schedule by step": {"sampling": QuerySampling(schedule="linear", schedule_unit="step", **RAMP)},
    "feedback": {"sampling": ERRORS, "drop_last": False},
    "repeats": {"sampling": QuerySampling(num_queries=7), "repeats": 3, "batch_size": 11},
    "blocks": {"sampling": QuerySampling(ratio=0.25, mode="blocks")},
    "lattice queries": {"sampling": QuerySampling(ratio=0.1), "lattice_queries": True},
    "padding": {"sampling": QuerySampling(ratio=0.1), "pad": True, "horizon": 2},
    "inputs": {"sampling": QuerySampling(ratio=0.1), "inputs": QuerySampling(ratio=0.5), "input_queries": False},
    "no shuffle": {"sampling": QuerySampling(ratio=0.1), "shuffle": False, "drop_last": False},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("resume") / "d"
    write_grid(root, grid=(12, 12), steps=(6, 3, 7, 4, 6), codec="lz4", blocks=4, shard_bytes=10_000)  # 21 samples
    return root


def loader(root, **options):
    return QueryLoader(root, **{"split": "train", "batch_size": 4, "seed": 1, "threads": 1, **options})


def stream(source, feeds_back):
    """Digests of the batches of many epochs; errors of no round numbers are fed back."""
    for batch in itertools.chain.from_iterable(source for _ in range(99)):
        yield digest(batch)
        if feeds_back:
            source.feedback(batch, 0.1 + (batch.target_queries.index % 7) ** 1.5)


@pytest.mark.parametrize("name", PLANS)
def test_at_every_batch(root, name):
    """The state of one run, taken after each of its batches of two epochs; each goes on with all that follow."""
    options, feeds_back = PLANS[name], name == "feedback"
    source = loader(root, **options)
    length = len(source)
    run, states, expected = stream(source, feeds_back), [source.state_dict()], []
    for number in range(2 * length + 3):
        expected.append(next(run))
        states.append(source.state_dict())
        assert (states[-1]["epoch"], states[-1]["batch"]) == divmod(number + 1, length)
    assert len(set(expected)) == len(expected)
    if feeds_back:
        states = _after_each(root, options, 2 * length)
    for stop, state in enumerate(states[: 2 * length]):
        resumed = loader(root, threads=stop % 3, **options)
        resumed.load_state_dict(state)
        found = list(itertools.islice(stream(resumed, feeds_back), len(expected) - stop))
        assert found == expected[stop:], stop


def _after_each(root, options, number):
    """States after each batch and what was fed back of it."""
    source = loader(root, **options)
    states = [source.state_dict()]
    for batch in itertools.islice(itertools.chain.from_iterable(source for _ in range(9)), number):
        source.feedback(batch, 0.1 + (batch.target_queries.index % 7) ** 1.5)
        states.append(source.state_dict())
    return states


@pytest.mark.parametrize("name", ["schedule by step", "feedback", "repeats"])
def test_with_worker_processes(root, name):
    """A state from threads goes on in two worker processes at every batch, and theirs in threads."""
    options, feeds_back = PLANS[name], name == "feedback"
    states = _after_each(root, options, 9) if feeds_back else None
    source = loader(root, **options)
    length = len(source)
    expected = list(itertools.islice(stream(source, feeds_back), 2 * length))
    resumed = loader(root, num_workers=2, **options)
    for stop in range(1, length):
        state = states[stop] if states else {**source.state_dict(), "epoch": 0, "batch": stop}
        resumed.load_state_dict(state)
        run = stream(resumed, feeds_back)
        assert [next(run) for _ in range(2)] == expected[stop : stop + 2], stop
        run.close()
    back = loader(root, **options)
    back.load_state_dict(state := resumed.state_dict())
    if not feeds_back:
        at = state["epoch"] * length + state["batch"]
        assert list(itertools.islice(stream(back, False), 2 * length - at)) == expected[at:]


def test_no_more_is_made_or_read_than_at_the_start(tmp_path, monkeypatch):
    """Wherever a state was taken: the samples made and the bytes read until two batches are there, and one plan."""
    made, plans = [], []
    block, plan = SampleReader.block, SampleSource.plan
    monkeypatch.setattr(SampleReader, "block", lambda self, n, *a, **k: made.append(len(n)) or block(self, n, *a, **k))
    monkeypatch.setattr(SampleSource, "plan", lambda self, *a, **k: plans.append(1) or plan(self, *a, **k))
    monkeypatch.setattr("ups_data.writing.layout.CHUNK_BYTES", 960)  # a frame to a chunk
    write_grid(tmp_path / "d", steps=(41,) * 10, codec="lz4")
    state = loader(tmp_path / "d", sampling=QuerySampling(ratio=0.1)).state_dict()
    for batch in (0, 1, 50, 97):
        source = loader(tmp_path / "d", sampling=QuerySampling(ratio=0.1), threads=0)
        assert len(source) == 100
        source.load_state_dict({**state, "batch": batch})
        run = iter(source)
        next(run), next(run)
        assert source.state_dict()["batch"] == batch + 2
        print(f"\nfrom batch {batch}: {sum(made)} samples of 400, {source.stats.read_bytes} bytes, {len(plans)} plan")
        assert sum(made) <= 12  # blocks of one and of two batches
        assert len(plans) == 1
        assert 0 < source.stats.read_bytes <= 24 * 1000  # input and target frames
        made.clear(), plans.clear()


CHANGES = {
    "sampling.ratio was 0.1 and is 0.2": {"sampling": QuerySampling(ratio=0.2)},
    "sampling.mode was not given and is 'stratified'": {"sampling": QuerySampling(ratio=0.1, mode="stratified")},
    "inputs was 'dense' and is not given": {"inputs": QuerySampling(ratio=0.5), "input_queries": False},
    "global_batch_size was 4 and is 5": {"batch_size": 5},
    "seed was 1 and is 7": {"seed": 7},
    "horizon was 1 and is 2": {"horizon": 2},
    "dt_stride was 1 and is 2": {"dt_stride": 2},
    "input_steps was 1 and is 2": {"input_steps": 2},
    "shuffle was True and is False": {"shuffle": False},
    "drop_last was True and is False": {"drop_last": False},
    "pad was False and is True": {"pad": True},
    "canonical_ranks was 8 and is 4": {"canonical_ranks": 4},
    "repeats was 1 and is 2": {"repeats": 2},
    "lattice_queries was False and is True": {"lattice_queries": True},
    "input_queries was True and is False": {"input_queries": False},
    "input_stride was 1 and is 2": {"input_stride": 2, "input_queries": False},
    "target_fields was ['u', 'v'] and is ['u']": {"target_fields": ["u"]},
    "input_fields was ['u', 'v'] and is ['v']": {"input_fields": ["v"]},
    "ragged was 'sample' and is 'pad'": {"ragged": "pad"},
    "split was 'train' and is 'valid'": {"split": "valid", "shuffle": True, "drop_last": True},
}


def write_two(root, change=0.0):
    with ShardWriter(root) as writer:
        for i in range(8):
            u = fields(i, 6, (10, 10)) + change * (i == 3)
            writer.add({"u": u, "v": u[..., :1]}, split="valid" if i == 7 else "train")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    root = tmp_path_factory.mktemp("two") / "d"
    write_two(root)
    return root


@pytest.mark.parametrize("says", CHANGES)
def test_what_differs_is_told(two, says):
    sampling = QuerySampling(ratio=0.1)
    source = loader(two, sampling=sampling)
    next(iter(source))
    with pytest.raises(UpsDataError) as told:
        loader(two, **{"sampling": sampling, **CHANGES[says]}).load_state_dict(source.state_dict())
    assert says in str(told.value)
    assert "give what it was, or leave the state and call set_epoch(0)" in str(told.value)
    assert "\n" not in str(told.value)


def test_another_dataset_is_told(two, tmp_path):
    sampling = QuerySampling(ratio=0.1)
    state = loader(two, sampling=sampling).state_dict()
    write_two(tmp_path / "same")
    loader(tmp_path / "same", sampling=sampling).load_state_dict(state)  # wherever it lies
    write_two(tmp_path / "other", change=1.0)
    with pytest.raises(UpsDataError, match="another run: dataset was '.*' and is '.*': give"):
        loader(tmp_path / "other", sampling=sampling).load_state_dict(state)


def test_what_changes_no_batch_may_change(two):
    sampling = QuerySampling(ratio=0.1)
    source = loader(two, sampling=sampling)
    run = stream(source, False)
    next(run), next(run)
    expected = next(run)
    for options in ({"threads": 3}, {"num_workers": 1}, {"pool_bytes": 1000}, {"prefetch": 5}):
        source = loader(two, sampling=sampling)
        other, run = loader(two, sampling=sampling, **options), iter(source)
        next(run), next(run)
        other.load_state_dict(source.state_dict())
        assert next(stream(other, False)) == expected


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 1}, "of version 1, this is version 2"),
        ({"batch": 99}, "names batch 99 of epoch 0, an epoch has 8"),
        ({"batch": None}, "names batch None"),
        ({"epoch": -1}, "names batch 0 of epoch -1"),
    ],
)
def test_a_state_that_is_none(two, change, says):
    source = loader(two, sampling=QuerySampling(ratio=0.1))
    with pytest.raises(UpsDataError, match=says):
        source.load_state_dict({**source.state_dict(), **change})


def test_a_state_is_plain(two, tmp_path):
    source = loader(two, sampling=QuerySampling(ratio=0.1, mode={"stratified": 0.5, "uniform": 0.5}))
    torch.save(source.state_dict(), tmp_path / "state.pt")
    source.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
