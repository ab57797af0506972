"""Order and points do not depend on how the batches are made."""

import gc
import hashlib
import itertools
import sys
import threading

import numpy as np
import pytest
import torch
from webdataset import WebLoader

from tests.datasets import write_grid
from ups_data import QueryDataset, QueryLoader, QuerySampling, UpsDataError, query_collate

SAMPLING = QuerySampling(ratio=0.1, mode="stratified")


@pytest.fixture(scope="module", params=["none", "lz4"])
def root(tmp_path_factory, request):
    root = tmp_path_factory.mktemp("loader") / "d"
    write_grid(root, steps=(9,) * 8, codec=request.param, shard_bytes=20_000)
    return root


def loader(root, **options):
    return QueryLoader(root, **{"split": "train", "batch_size": 4, "sampling": SAMPLING, "seed": 1, **options})


def digest(batch):
    parts = (batch.inputs.fields["u"], batch.target_queries.values["u"], batch.target_queries.index, batch.time)
    return hashlib.sha256(b"".join(p.contiguous().numpy().tobytes() for p in parts)).hexdigest()


def points(source):
    """(trajectory, step) → the points drawn for it."""
    drawn = {}
    for batch in source:
        for i, key in enumerate(zip(batch.trajectory.tolist(), batch.step.tolist(), strict=True)):
            drawn[key] = (*batch.input_queries.index[i].tolist(), *batch.target_queries.index[i].tolist())
    return drawn


def test_threads_and_workers_yield_the_same_batches(root):
    expected = [digest(b) for b in loader(root, threads=0)]
    assert len(set(expected)) == len(expected) == 16
    for options in ({"threads": 1}, {"threads": 4}, {"threads": 3, "prefetch": 1}, {"num_workers": 2}):
        assert [digest(b) for b in loader(root, **options)] == expected, options


def test_points_do_not_depend_on_workers_threads_or_batch_size(root):
    expected = points(loader(root, threads=1))
    assert len(expected) == 64
    for options in (
        {"num_workers": 2},
        {"threads": 4},
        {"batch_size": 16},
        {"shuffle": False, "batch_size": 3, "drop_last": False},
    ):
        assert points(loader(root, **options)) == expected, options


def test_another_epoch_or_seed_draws_other_points_in_another_order(root):
    source = loader(root)
    first, second = points(source), points(source)
    assert first.keys() == second.keys()
    assert all(first[k] != second[k] for k in first)
    assert list(first) != list(second)
    assert all(first[k] != v for k, v in points(loader(root, seed=2)).items())


def test_a_complete_pass_moves_on_and_set_epoch_goes_anywhere(root):
    source = loader(root)
    epochs = [[digest(b) for b in source] for _ in range(3)]
    assert source.epoch == 3
    source.set_epoch(1)
    assert [digest(b) for b in source] == epochs[1]
    assert epochs[0] != epochs[1] != epochs[2]


def test_after_a_pass_that_is_left_early_comes_the_next_epoch(root, caplog):
    """And a state that was taken in between goes on where the pass was left."""
    reference = loader(root)
    epochs = [[digest(b) for b in reference] for _ in range(3)]
    source = loader(root)
    for batch in source:
        assert digest(batch) == epochs[0][0]
        break
    state = source.state_dict()
    assert [digest(b) for b in source] == epochs[1]
    next(iter(source))
    _ = [None for _ in source]
    assert caplog.text.count("was left after") == 1
    assert "epoch 0 was left after 1 of 16 batches, and this pass is epoch 1" in caplog.text
    again = loader(root)
    again.load_state_dict(state)
    assert [digest(b) for b in again] == epochs[0][1:]


def test_evaluation_is_in_order_and_complete(root):
    source = loader(root, shuffle=False, drop_last=False, batch_size=7)
    keys = [k for b in source for k in zip(b.trajectory.tolist(), b.step.tolist(), strict=True)]
    assert keys == [(t, s) for t in range(8) for s in range(8)]
    assert len(source) == 10


def test_persistent_workers_follow_the_schedule(root):
    """The Q of every batch, epoch by epoch, equals the formula's, in processes that live on."""
    ramp = QuerySampling(schedule="linear", start_ratio=1.0, end_ratio=0.1, start_epoch=1, end_epoch=4)
    source = loader(root, sampling=ramp, num_workers=2)
    for epoch in (0, 1, 2, 3, 4, 5):
        expected = round(120 * (1.0 - 0.9 * min(max(epoch - 1, 0) / 3, 1)))
        assert {b.target_queries.index.shape[1] for b in source} == {expected}
    source.set_epoch(2)
    batch = next(iter(source))
    assert (batch.epoch, batch.target_queries.index.shape[1]) == (2, 84)


def test_ranks_split_the_batches_of_one_process(root):
    whole = list(loader(root, batch_size=8))
    ranks = [loader(root, batch_size=4, rank=r, world_size=2) for r in range(2)]
    for together, *parts in zip(whole, *ranks, strict=True):
        index = torch.cat([p.target_queries.index for p in parts])
        assert torch.equal(index, together.target_queries.index)


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}])
def test_resume_in_the_middle_of_an_epoch(root, options):
    source = loader(root)
    expected = [digest(b) for b in itertools.chain(source, source)]
    for stop in (0, 1, 7, 15, 16, 20):
        if options and stop not in (7, 20):
            continue
        source = loader(root)
        stream = itertools.chain(source, source)
        for _ in range(stop):
            next(stream)
        state = source.state_dict()
        stream = None
        resumed = loader(root, **options)
        resumed.load_state_dict(state)
        rest = [digest(b) for _ in range((47 - stop) // 16) for b in resumed]
        assert rest[: 32 - stop] == expected[stop:], stop


def test_a_state_of_another_run_is_refused(root):
    state = loader(root).state_dict()
    with pytest.raises(UpsDataError, match="seed was 1 and is 2"):
        loader(root, seed=2).load_state_dict(state)
    with pytest.raises(UpsDataError, match="global_batch_size was 4 and is 2"):
        loader(root, batch_size=2).load_state_dict(state)


def test_batches_that_are_kept_stay_as_they_were(root):
    source = loader(root)
    kept, expected = [], []
    for _ in range(3):
        for batch in source:
            kept.append(batch)
            expected.append(digest(batch))
    assert [digest(b) for b in kept] == expected


def test_buffers_are_used_again(tmp_path):
    write_grid(tmp_path / "d", grid=(128, 128), steps=(12,))
    source = loader(tmp_path / "d", threads=1)
    buffers, places = set(), set()
    for batch in itertools.chain.from_iterable(source for _ in range(20)):
        buffers.add(batch.inputs.fields["u"].untyped_storage().data_ptr())
        places.add(batch.inputs.fields["u"].data_ptr())
    # Two blocks of one batch, as the first pass is made in a hurry. Then a pass is one block of two batches: one block
    # is made, two are ready, and of one the last batch is still held.
    assert len(buffers) <= 2 + 4
    assert len(places) <= 2 + 4 * 2
    part = next(iter(source)).inputs.fields["u"][0, :3]  # a small view keeps its buffer from being used again
    before = part.clone()
    for _ in source:
        pass
    assert torch.equal(part, before)


def test_a_chunk_is_decoded_once_an_epoch(tmp_path):
    write_grid(tmp_path / "d", steps=(9,) * 8, codec="lz4")
    source = loader(tmp_path / "d", threads=4)
    shard = tmp_path / "d/train/shard-000000.zarr/fields/u"
    for _ in source:
        pass
    import zarr

    chunks = -(-72 // zarr.open_array(shard).chunks[0])
    assert source.stats.decoded_chunks == chunks


def test_a_long_horizon_decodes_a_chunk_once_too(tmp_path, monkeypatch):
    """Frames larger than a window, as in three dimensions: a sample's frames lie in one window all the same."""
    monkeypatch.setattr("ups_data.writing.layout.CHUNK_BYTES", 960)
    monkeypatch.setattr("ups_data.plan.samples.WINDOW_BYTES", 480)
    monkeypatch.setattr("ups_data.plan.samples.GROUP_BYTES", 48 * 960)
    monkeypatch.setattr("ups_data.loader.drawing.BLOCK_SAMPLES", 4)  # as few, against a group, as large frames make it
    write_grid(tmp_path / "d", steps=(12,) * 12, codec="lz4")
    # One thread: where two are at the end of one group and the beginning of the next, two groups are not quite enough.
    source = loader(tmp_path / "d", horizon=4, pool_bytes=96 * 960, threads=1)
    assert sum(len(b) for b in source) == 96
    assert source.stats.decoded_chunks == 144


def test_a_small_pool_changes_nothing_but_the_reads(tmp_path, monkeypatch):
    monkeypatch.setattr("ups_data.writing.layout.CHUNK_BYTES", 960)
    write_grid(tmp_path / "d", steps=(9,) * 8, codec="lz4")
    large, small = loader(tmp_path / "d"), loader(tmp_path / "d", pool_bytes=3 * 960)
    assert [digest(b) for b in small] == [digest(b) for b in large]
    assert small.stats.decoded_chunks > large.stats.decoded_chunks == 72


def test_no_thread_outlives_a_pass_left_early(root):
    gc.collect()  # loaders of other tests
    before = set(threading.enumerate())
    for batch in loader(root, threads=4):
        assert len(batch) == 4
        break
    assert set(threading.enumerate()) <= before


def test_threads_that_have_begun_the_next_epoch_end_with_their_loader(root):
    gc.collect()
    before = set(threading.enumerate())
    source = loader(root, threads=2)
    _ = [None for _ in source]
    threads = set(threading.enumerate()) - before
    assert len(threads) == 2
    del source
    for thread in threads:
        for _ in range(10):  # what a thread has at hand is garbage only when it is done with it
            gc.collect()
            thread.join(1)
        assert not thread.is_alive()


def test_the_switch_interval_is_given_back(root):
    before = sys.getswitchinterval()
    first, second = iter(loader(root)), iter(loader(root))
    next(first), next(second)
    assert sys.getswitchinterval() < before
    first.close()
    assert sys.getswitchinterval() < before
    second.close()
    assert sys.getswitchinterval() == before


def test_damage_is_an_error_in_the_training_process(tmp_path):
    write_grid(tmp_path / "d", steps=(9,) * 8, codec="lz4")
    file = tmp_path / "d/train/shard-000000.zarr/fields/u/c/0/0/0/0"
    data = bytearray(file.read_bytes())
    data[1000] ^= 4
    file.write_bytes(data)
    for options in ({"threads": 0}, {"threads": 2}, {"num_workers": 1}):
        with pytest.raises(ValueError, match="damaged") as error:
            list(loader(tmp_path / "d", **options))
        assert isinstance(error.value, UpsDataError), options


def test_the_dataset_is_a_webdataset_pipeline(root):
    options = {"split": "train", "batch_size": 4, "sampling": SAMPLING, "seed": 1}
    expected = [digest(b) for b in loader(root)]
    pipeline = QueryDataset(root, **options).batched(4, collation_fn=query_collate)
    assert [digest(b) for b in pipeline] == expected
    late = QueryDataset(root, **options).select(lambda s: s.time > 1.0).map(lambda s: (s.trajectory, s.step))
    assert sorted(late) == [(t, s) for t in range(8) for s in range(3, 8)]
    assert len(list(QueryDataset(root, **options).with_epoch(10))) == 10


def test_the_dataset_runs_in_a_webloader(root):
    pipeline = QueryDataset(root, split="train", batch_size=4, sampling=SAMPLING, seed=1)
    batches = WebLoader(
        pipeline.batched(4, collation_fn=query_collate), batch_size=None, num_workers=2, multiprocessing_context="spawn"
    )
    assert [digest(b) for b in batches] == [digest(b) for b in loader(root)]


def test_samples_are_views(root):
    dataset = QueryDataset(root, split="train", batch_size=4, sampling=SAMPLING)
    sample = next(iter(dataset))
    (frame,) = sample.inputs["u"]
    assert frame.shape == (120, 2)
    assert not frame.flags.owndata
    assert np.isfinite(frame).all()


def test_a_device_loader_hands_out_the_same_batches_one_ahead(root):
    source = loader(root)
    assert source.to("cpu") is source
    moved = source.to("meta")  # a device that every machine has
    assert len(moved) == 16
    for number, batch in enumerate(moved):
        assert batch.target_queries.index.is_meta
        assert moved.state_dict()["batch"] == (number + 1) % 16
    assert number == 15
    assert moved.epoch == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_arrive_whole_on_cuda(root):
    plain, source = loader(root), loader(root).to("cuda")
    expected = [digest(b) for _ in range(3) for b in plain]
    assert [digest(b.to("cpu")) for _ in range(3) for b in source] == expected
