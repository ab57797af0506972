"""Streaming from stored blocks: the same points as without, and only the bytes of what was drawn."""

import numpy as np
import pytest
import torch

from tests.datasets import fields
from ups_data import QueryLoader, QuerySampling, ShardWriter, UpsDataError
from ups_data.trajectory import PointSet

STEPS = 6


def write(root, *, grid=(16, 16), blocks=16, codec="none", runs=3, channels=2):
    truth = [fields(i, STEPS, grid, channels) for i in range(runs)]
    with ShardWriter(root, blocks=blocks, codec=codec) as writer:
        for u in truth:
            writer.add({"u": u}, split="train")
    return np.stack(truth).reshape(runs, STEPS, -1, channels)


@pytest.fixture
def small_chunks(monkeypatch):
    """A chunk is one block of one frame, however small; else several frames share one."""
    monkeypatch.setattr("ups_data.writing.chunks.rows_of_block_chunk.__defaults__", (1,))


ORDER = 1024 * 4 + 16 * 4  # which points the 16 blocks of a 32 × 32 grid hold, read once; and checksums


def loader(root, mode="blocks", ratio=0.25, **options):
    sampling = options.pop("sampling", None) or QuerySampling(ratio=ratio, mode=mode)
    defaults = {"split": "train", "batch_size": 3, "sampling": sampling, "threads": 0, "coords": "source"}
    return QueryLoader(root, **{**defaults, **options})


def check(batch, truth, horizon=1):
    """Dense input, queries and coordinates are those of the frames that the batch says they are of."""
    for i, (run, step) in enumerate(zip(batch.trajectory.tolist(), batch.step.tolist(), strict=True)):
        np.testing.assert_array_equal(batch.inputs.fields["u"][i], truth[run, step])
        queries = batch.target_queries
        values, index = queries.values["u"][i], queries.index[i]
        if horizon == 1:
            values, index = values[None], index[None]
        for k in range(horizon):
            assert len(set(index[k].tolist())) == index.shape[1]
            np.testing.assert_array_equal(values[k], truth[run, step + 1 + k][index[k]])
    coords = queries.coords.reshape(-1, queries.coords.shape[-1])
    np.testing.assert_array_equal(coords, batch.inputs.coords[0][queries.index.reshape(-1)])


@pytest.mark.parametrize("mode", ["blocks", "uniform", "stratified", "lattice", "full"])
@pytest.mark.parametrize("codec", ["none", "lz4"])
@pytest.mark.parametrize(("grid", "blocks"), [((16, 16), 16), ((13, 10), 9), ((9, 7, 5), 8), ((37,), 5)])
def test_every_mode_on_blocks(tmp_path, mode, codec, grid, blocks):
    truth = write(tmp_path / "d", grid=grid, blocks=blocks, codec=codec)
    for batch in loader(tmp_path / "d", mode, pool_bytes=4000):
        check(batch, truth)


@pytest.mark.parametrize("mode", ["uniform", "stratified", "lattice"])
def test_stored_blocks_change_no_batch(tmp_path, mode):
    write(tmp_path / "blocks")
    write(tmp_path / "whole", blocks=1)
    for a, b in zip(loader(tmp_path / "blocks", mode), loader(tmp_path / "whole", mode), strict=True):
        for name in ("index", "coords", "weight"):
            assert torch.equal(getattr(a.target_queries, name), getattr(b.target_queries, name))
        assert torch.equal(a.target_queries.values["u"], b.target_queries.values["u"])
        assert torch.equal(a.inputs.fields["u"], b.inputs.fields["u"])


def test_ratio_one_on_blocks_is_dense(tmp_path):
    truth = write(tmp_path / "d")
    for batch in loader(tmp_path / "d", ratio=1.0):
        check(batch, truth)
        assert torch.equal(batch.target_queries.index[0], torch.arange(256))


@pytest.mark.parametrize("threads", [0, 3])
def test_blocks_do_not_depend_on_threads_or_batches(tmp_path, threads):
    write(tmp_path / "d", codec="lz4")

    def points(**options):
        drawn = {}
        for batch in loader(tmp_path / "d", ratio=0.2, drop_last=False, **options):
            for run, step, index in zip(batch.trajectory, batch.step, batch.target_queries.index, strict=True):
                drawn[int(run), int(step)] = index.tolist()
        return drawn

    assert points(threads=threads) == points(batch_size=1)


@pytest.mark.parametrize("horizon", [1, 4])
def test_a_step_reads_the_dense_frame_and_the_blocks_drawn(tmp_path, small_chunks, horizon):
    """Bytes counted at the store: K sparse frames cost K m / B of a frame."""
    truth = write(tmp_path / "d", grid=(32, 32), blocks=16, runs=2, channels=4)
    source = loader(tmp_path / "d", ratio=2 / 16, horizon=horizon, input_queries=False, batch_size=1)
    for batch in source:
        check(batch, truth, horizon)
    frame, checksums = 32 * 32 * 16, 4 * (16 + 2 * horizon)
    assert source.stats.read_bytes == len(source) * (frame * (1 + horizon * 2 / 16) + checksums) + ORDER


def test_sampled_inputs_are_a_draw_of_their_own_and_nothing_else_is_read(tmp_path, small_chunks):
    truth = write(tmp_path / "d", grid=(32, 32), blocks=16, runs=2, channels=4)
    drawn = QuerySampling(ratio=1 / 16, mode="blocks")
    source = loader(tmp_path / "d", sampling=drawn, inputs=drawn, input_queries=False, batch_size=1)
    overlaps = []
    for batch in source:
        run, step = int(batch.trajectory), int(batch.step)
        overlaps.append(len(set(batch.target_queries.index[0].tolist())) == 64)
        np.testing.assert_array_equal(
            batch.target_queries.values["u"][0], truth[run, step + 1][batch.target_queries.index[0]]
        )
        assert batch.inputs.fields["u"].shape == (1, 64, 4)
    assert all(overlaps)
    assert source.stats.read_bytes == len(source) * 2 * (1024 + 4) + ORDER


def test_the_encoder_may_see_a_coarse_grid(tmp_path):
    for blocks in (1, 16):
        truth = write(tmp_path / str(blocks), grid=(16, 12), blocks=blocks if blocks == 1 else 16)
        source = loader(tmp_path / str(blocks), "stratified", input_stride=4, input_queries=False)
        for batch in source:
            assert batch.inputs.grid_shape == (4, 3)
            for i, (run, step) in enumerate(zip(batch.trajectory.tolist(), batch.step.tolist(), strict=True)):
                frame = truth[run, step].reshape(16, 12, 2)[::4, ::4].reshape(-1, 2)
                np.testing.assert_array_equal(batch.inputs.fields["u"][i], frame)
            assert batch.inputs.coords.shape == (1, 12, 2)
            assert batch.target_queries.index.max() > 100


def test_options_that_do_not_go_together(tmp_path):
    write(tmp_path / "d", blocks=1)
    with pytest.raises(UpsDataError, match="input_stride"):
        loader(tmp_path / "d", "uniform", input_stride=2)
    with pytest.raises(UpsDataError, match="--blocks"):
        next(iter(loader(tmp_path / "d")))


# Clouds


COUNTS = (50, 83, 64, 50)


def cloud(run, points, *, moving):
    rng = np.random.default_rng(100 + run)
    coords = rng.random((STEPS, points, 3) if moving else (points, 3)).astype(np.float32)
    return coords, fields(run, STEPS, (points,), 2)


def write_clouds(root, *, blocks=8, moving=False, counts=COUNTS, **options):
    truth = [cloud(i, n, moving=moving) for i, n in enumerate(counts)]
    with ShardWriter(root, blocks=blocks, **options) as writer:
        for coords, u in truth:
            writer.add({"u": u}, split="train", coords=coords)
    return truth


def check_clouds(batch, truth):
    for i, (run, step) in enumerate(zip(batch.trajectory.tolist(), batch.step.tolist(), strict=True)):
        coords, u = truth[run]
        queries = batch.target_queries
        real = slice(None) if queries.mask is None else queries.mask[i]
        index = queries.index[i][real]
        assert len(set(index.tolist())) == len(index)
        at = coords[step + 1] if coords.ndim == 3 else coords
        np.testing.assert_array_equal(queries.coords[i][real], at[index])
        np.testing.assert_array_equal(queries.values["u"][i][real], u[step + 1][index])


@pytest.mark.parametrize("mode", ["blocks", "uniform", "stratified"])
@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("codec", ["none", "lz4"])
@pytest.mark.parametrize("dense", [False, True])
def test_clouds_of_different_sizes(tmp_path, mode, moving, codec, dense):
    truth = write_clouds(tmp_path / "d", moving=moving, codec=codec)
    source = loader(tmp_path / "d", mode, 0.2, inputs=None if dense else QuerySampling(num_queries=9, mode=mode))
    for batch in source:
        assert batch.target_queries.values["u"].shape == (3, 10, 2)  # a fifth of the smallest
        assert batch.target_queries.mask is None
        check_clouds(batch, truth)
        if dense:
            for i, (run, step) in enumerate(zip(batch.trajectory.tolist(), batch.step.tolist(), strict=True)):
                points = COUNTS[run]
                values = batch.inputs.fields["u"][i]
                np.testing.assert_array_equal(values[:points], truth[run][1][step])
                assert not values[points:].any()
                if batch.inputs.mask is not None:
                    assert batch.inputs.mask[i].tolist() == [j < points for j in range(len(values))]


@pytest.mark.parametrize("mode", ["blocks", "uniform"])
@pytest.mark.parametrize("ratio", [0.3, 1.0])
def test_padded_clouds(tmp_path, mode, ratio):
    truth = write_clouds(tmp_path / "d")
    source = loader(tmp_path / "d", mode, ratio, ragged="pad", batch_size=4, shuffle=False, drop_last=False)
    wide = 0
    for batch in source:
        queries = batch.target_queries
        check_clouds(batch, truth)
        if queries.mask is None:
            continue
        wide += 1
        for i, run in enumerate(batch.trajectory.tolist()):
            assert int(queries.mask[i].sum()) == round(ratio * COUNTS[run])
        # A weighted mean over all Q is the mean over the points drawn.
        assert torch.allclose(queries.weight.mean(1), torch.ones(len(queries.weight)))
        assert not queries.weight[~queries.mask].any()
    assert wide >= 3


def test_every_point_of_clouds_of_different_sizes_needs_padding(tmp_path):
    write_clouds(tmp_path / "d")
    with pytest.raises(UpsDataError, match="ragged='pad'"):
        loader(tmp_path / "d", ratio=1.0)


def test_drawing_blocks_reads_no_index(tmp_path, small_chunks):
    """Two draws of blocks read their values, positions and, of the queries, numbers: nothing of what was not drawn."""
    truth = write_clouds(tmp_path / "d", counts=(4096,) * 3, blocks=64)
    drawn = QuerySampling(num_queries=128, mode="blocks")
    source = loader(tmp_path / "d", sampling=drawn, inputs=drawn, input_queries=False, batch_size=1)
    for batch in source:
        check_clouds(batch, truth)
    point = 2 * 4 + 3 * 4  # values and position
    of_inputs, of_queries = 128 * point + 2 * 2 * 4, 128 * (point + 4) + 2 * 3 * 4  # two blocks, with checksums
    assert source.stats.read_bytes == len(source) * (of_inputs + of_queries)
    assert source.stats.read_bytes <= 1.15 * len(source) * 2 * 128 * point


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_whole_blocks_pass_by_a_pool_that_is_too_small(tmp_path, small_chunks, codec):
    """The same batches as through the pool, every chunk drawn decoded once for each draw."""
    truth = write_clouds(tmp_path / "d", counts=(4096,) * 6, blocks=64, codec=codec, shard_bytes=100_000)
    drawn = QuerySampling(num_queries=128, mode="blocks")
    options = {"sampling": drawn, "inputs": drawn, "input_queries": False, "batch_size": 2, "repeats": 4}
    small, large = (loader(tmp_path / "d", pool_bytes=size, **options) for size in (50_000, 10_000_000))
    for batch, same in zip(small, large, strict=True):
        check_clouds(batch, truth)
        assert torch.equal(batch.inputs.coords, same.inputs.coords)
        for name in ("coords", "index"):
            assert torch.equal(getattr(batch.target_queries, name), getattr(same.target_queries, name))
        for name, values in batch.target_queries.values.items():
            assert torch.equal(values, same.target_queries.values[name])
    of_sample = 2 * 2 + 3 * 2  # two blocks: values and positions for the encoder, numbers too of the queries
    assert small.stats.decoded_chunks == small.stats.samples * of_sample
    assert large.stats.decoded_chunks < small.stats.decoded_chunks


@pytest.mark.parametrize("scratch", [1, 3000, 10**6])  # a frame at a time, a few, all of a batch
@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.parametrize(("grid", "blocks"), [((16, 16), 16), ((13, 10), 9)])
def test_frames_in_blocks_pass_by_a_pool_that_is_too_small(
    tmp_path, small_chunks, monkeypatch, grid, blocks, codec, scratch
):
    """Input frames, which no other sample reads whole, and blocks that lose some of their points."""
    monkeypatch.setattr("ups_data.reading.past.SCRATCH_BYTES", scratch)
    truth = write(tmp_path / "d", grid=grid, blocks=blocks, codec=codec)
    source = loader(tmp_path / "d", ratio=0.23, horizon=2, pool_bytes=4000, input_queries=False)
    for batch in source:
        check(batch, truth, horizon=2)
    if grid == (16, 16):  # every chunk once: all blocks of the input frame, 4 for 58 of 256 points of each target
        assert source.stats.decoded_chunks == source.stats.samples * (16 + 2 * 4)


def test_frames_that_several_samples_read_whole_stay_in_the_pool(tmp_path, small_chunks):
    write(tmp_path / "d", codec="lz4")
    decoded = []
    for steps in (1, 3):
        source = loader(tmp_path / "d", pool_bytes=30_000, input_steps=steps, input_queries=False)
        for _ in source:
            pass
        decoded.append(source.stats.decoded_chunks / source.stats.samples)
    assert decoded[1] < 2 * decoded[0]


# Several sets


def write_sets(root, runs=4):
    truth = []
    with ShardWriter(root, blocks=4) as writer:
        for i in range(runs):
            sets = {}
            for name, field, points in (("surface", "p", 40 + i), ("volume", "u", 90 - 5 * i)):
                coords, values = cloud(10 * i + points, points, moving=False)
                sets[name] = PointSet(coords=coords, fields={field: values})
            truth.append(sets)
            writer.add(sets=sets, split="train")
    return truth


def test_several_sets_of_points(tmp_path):
    truth = write_sets(tmp_path / "d")
    sampling = {
        "surface": QuerySampling(num_queries=7, mode="blocks"),
        "volume": QuerySampling(ratio=0.2, mode="uniform"),
    }
    inputs = {"surface": QuerySampling(num_queries=11)}
    seen = 0
    for batch in loader(tmp_path / "d", sampling=sampling, inputs=inputs, batch_size=4):
        assert batch["surface"] is batch
        assert batch["volume"].inputs.mask is not None or batch["volume"].inputs.fields["u"].shape[0] == 4
        assert batch.inputs.fields["p"].shape == (4, 11, 2)
        for name, field, count in (("surface", "p", 7), ("volume", "u", 15)):
            part = batch[name]
            assert torch.equal(part.trajectory, batch.trajectory)
            assert part.target_queries.index.shape == (4, count)
            for i, (run, step) in enumerate(zip(part.trajectory.tolist(), part.step.tolist(), strict=True)):
                index = part.target_queries.index[i]
                points = truth[run][name]
                np.testing.assert_array_equal(
                    part.target_queries.values[field][i], points.fields[field][step + 1][index]
                )
                np.testing.assert_array_equal(part.target_queries.coords[i], points.coords[index])
                seen += 1
        assert batch.to("cpu")["volume"].step.equal(batch.step)
    assert seen == 2 * 4 * (STEPS - 1)


def test_several_sets_need_a_sampling_each(tmp_path):
    write_sets(tmp_path / "d")
    with pytest.raises(UpsDataError, match="'surface'"):
        loader(tmp_path / "d")
    one = loader(tmp_path / "d", input_fields=["p"], target_fields=["p"])
    assert set(next(iter(one)).target_queries.values) == {"p"}
    with pytest.raises(UpsDataError, match="no set of points 'roof'"):
        loader(tmp_path / "d", sampling={"roof": QuerySampling(ratio=0.5)})


def test_repeats_draw_other_points_each_time(tmp_path):
    truth = write_clouds(tmp_path / "d", counts=(60, 60, 60))
    options = {"sampling": QuerySampling(num_queries=12, mode="uniform"), "shuffle": False, "drop_last": False}

    def points(**more):
        drawn = {}
        for batch in loader(tmp_path / "d", **options, **more):
            check_clouds(batch, truth)
            numbers = batch.trajectory.tolist(), batch.step.tolist(), batch.target_queries.index.tolist()
            for run, step, index in zip(*numbers, strict=True):
                drawn.setdefault((run, step), []).append(index)
        return drawn

    once, drawn = points(), points(repeats=4)
    assert drawn.keys() == once.keys()
    for key, draws in drawn.items():
        assert once[key][0] in draws
        assert len({tuple(d) for d in draws}) == len(draws) == 4
