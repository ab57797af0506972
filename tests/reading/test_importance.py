"""Streaming with importance: tiles' rows of the very frames that are queried, read and nothing else."""

import math

import numpy as np
import pytest
import torch

from tests.datasets import fields, write_grid
from ups_data import QueryDataset, QueryLoader, QuerySampling, ShardWriter, UpsDataError, query_collate
from ups_data.points.activity import tile_importance
from ups_data.points.domain import Domain
from ups_data.points.tiles import tiles_in
from ups_data.sampling import Stream, draw_queries, sample_keys
from ups_data.trajectory import PointSet

GRID = (24, 20)  # 480 points: 8 tiles
SAMPLING = QuerySampling(ratio=0.1, mode="importance")
MIXTURE = QuerySampling(ratio=0.1, mode={"stratified": 0.6, "importance": 0.4}, importance_metric="variance")


@pytest.fixture(scope="module", params=["none", "lz4", "blocks"])
def dataset(tmp_path_factory, request):
    root = tmp_path_factory.mktemp("importance") / "d"
    options = {"blocks": 4} if request.param == "blocks" else {"codec": request.param}
    runs = peaked_runs()
    with ShardWriter(root, importance=("gradient", "variance"), shard_bytes=30_000, **options) as writer:
        for u in runs:
            writer.add({"u": u})
    return root, np.stack(runs)


def peaked_runs(runs=5, steps=6):
    """Noise in a corner that moves from frame to frame, so that no two frames prefer the same tiles."""
    found = []
    for run in range(runs):
        u = 0.01 * fields(run, steps, GRID)
        for step in range(steps):
            row, column = (5 * step + 7 * run) % 18, (3 * step + run) % 14
            u[step, row : row + 6, column : column + 6] += fields(100 + run, 1, (6, 6))[0]
        found.append(u)
    return found


def loader(root, sampling=SAMPLING, **options):
    defaults = {"split": "train", "batch_size": 4, "sampling": sampling, "seed": 3, "coords": "source"}
    return QueryLoader(root, **{**defaults, **options})


def expected_draw(sampling, truth, run, step, epoch, stream):
    domain = Domain(480, GRID)
    rows = tile_importance(sampling.importance_metric, truth[run, step], domain, tiles_in(domain, 8))
    return draw_queries(sampling, domain, sample_keys(3, epoch, [run], [step], stream), epoch, rows[None])


@pytest.mark.parametrize("sampling", [SAMPLING, MIXTURE], ids=["importance", "mixture"])
@pytest.mark.parametrize("horizon", [1, 3])
def test_the_importance_is_that_of_the_frame(dataset, sampling, horizon):
    root, truth = dataset
    for batch in loader(root, sampling, horizon=horizon):
        for i, (run, step) in enumerate(zip(batch.trajectory.tolist(), batch.step.tolist(), strict=True)):
            frames = [(batch.input_queries, step, Stream.INPUT_QUERIES, ())]
            for k in range(horizon):
                frames.append((batch.target_queries, step + 1 + k, Stream.TARGET_QUERIES, (k,) if horizon > 1 else ()))
            for queries, at, stream, place in frames:
                draw = expected_draw(sampling, truth, run, at, 0, stream)
                index = queries.index[(i, *place)].numpy()
                np.testing.assert_array_equal(index, draw.index[0])
                np.testing.assert_array_equal(queries.weight[(i, *place)].numpy(), draw.weight[0])
                np.testing.assert_array_equal(
                    queries.values["u"][(i, *place)].numpy(), truth[run, at].reshape(480, 2)[index]
                )


@pytest.mark.parametrize("options", [{"threads": 0}, {"threads": 3}, {"num_workers": 2}, {"batch_size": 1}])
def test_points_do_not_depend_on_how_batches_are_made(dataset, options):
    def points(**options):
        found = {}
        for batch in loader(dataset[0], MIXTURE, drop_last=False, **options):
            for run, step, index in zip(batch.trajectory, batch.step, batch.target_queries.index, strict=True):
                found[int(run), int(step)] = index.tolist()
        return found

    assert points(**options) == points(threads=1, pool_bytes=5000)


def test_samples_of_a_pipeline_carry_it(dataset):
    root, _ = dataset
    pipeline = QueryDataset(root, split="train", batch_size=4, sampling=SAMPLING, seed=3, horizon=2)
    for one, other in zip(pipeline.batched(4, collation_fn=query_collate), loader(root, horizon=2), strict=True):
        assert torch.equal(one.target_queries.index, other.target_queries.index)
        assert torch.equal(one.input_queries.weight, other.input_queries.weight)


def test_the_encoders_points_by_another_metric_than_the_queries(dataset):
    root, truth = dataset
    inputs = QuerySampling(ratio=0.2, mode="importance", importance_metric="variance")
    batch = next(iter(loader(root, inputs=inputs)))
    run, step = int(batch.trajectory[0]), int(batch.step[0])
    draw = expected_draw(inputs, truth, run, step, 0, Stream.INPUTS)
    np.testing.assert_array_equal(batch.inputs.fields["u"][0].numpy(), truth[run, step].reshape(480, 2)[draw.index[0]])
    draw = expected_draw(SAMPLING, truth, run, step, 0, Stream.INPUT_QUERIES)
    np.testing.assert_array_equal(batch.input_queries.index[0].numpy(), draw.index[0])


def test_a_weighted_mean_over_an_epoch_is_the_dense_one(dataset):
    """Tiles are preferred by a factor of ten, and the mean of the field's square is not."""
    root, truth = dataset
    found = []
    source = loader(root, drop_last=False, shuffle=False, horizon=0)
    for _ in range(300):
        for batch in source:
            queries = batch.target_queries
            found.append((queries.values["u"].square().sum(-1) * queries.weight).mean(1))
    dense = np.square(truth).sum(-1).mean((-1, -2)).reshape(-1)
    errors = torch.cat(found).reshape(300, -1).numpy() - dense
    assert abs(errors.mean()) < 4 * errors.mean(1).std() / np.sqrt(300)
    assert np.abs(errors.mean(0)).max() < 5 * (errors.std(0) / np.sqrt(300)).max()


def test_a_mode_that_comes_later(dataset):
    late = QuerySampling(ratio=0.1, mode="uniform", mode_schedule={2: "importance"})
    source = loader(dataset[0], late)
    weighted = [{bool((b.target_queries.weight != 1).any()) for b in source} for _ in range(3)]
    assert weighted == [{False}, {False}, {True}]


def test_bytes_read_are_those_of_the_tiles(tmp_path):
    """No frame but the dense input is read for a draw: a row of importance has two bytes for each tile."""
    write_grid(tmp_path / "d", grid=(64, 64), steps=(9,) * 4, importance=["gradient"], blocks=16)
    counts = {}
    for mode in ("blocks", "importance"):
        source = loader(tmp_path / "d", QuerySampling(ratio=1 / 16, mode=mode), input_queries=False, threads=0)
        assert sum(len(b) for b in source) == 32
        arrays = source._source.readers[0].shards[0]._arrays
        counts[mode] = {name: array.read_bytes for name, array in arrays.items()}
    assert "importance/gradient" not in counts["blocks"]
    chunk = 9 * 4 * 64 * 2 + 4  # the rows of all four trajectories; every use of a mapped chunk counts
    assert counts["importance"]["importance/gradient"] == 32 * chunk
    assert set(counts["importance"]) == {*counts["blocks"], "importance/gradient"}


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_the_cache_of_tables_is_bounded(tmp_path, monkeypatch, codec):
    """Compressed rows wait in the pool and leave it; raw ones stay where they are mapped. So 10,000 trajectories of 256
    frames of 256 tiles, 1.3 GB, take no more than the pool's 512 MB, as this does with 82 KB in a pool of 40."""
    pool = 40_000
    monkeypatch.setattr("ups_data.writing.layout.CHUNK_BYTES", 4096)
    with ShardWriter(tmp_path / "d", importance=["variance"], codec=codec) as writer:
        for run in range(40):
            writer.add({"u": fields(run, 64, (64, 16), 1)})
    sampling = QuerySampling(ratio=0.05, mode="importance", importance_metric="variance")
    source = loader(tmp_path / "d", sampling, pool_bytes=pool, input_queries=False, threads=0)
    reader = source._source.readers[0]
    array = reader.shards[0].importance("variance")
    largest = 0
    for _ in source:
        largest = max(largest, reader.pool._bytes)
    assert array.shape == (2560, 16)
    print(f"{codec}: tables of {2 * math.prod(array.shape):,} bytes, at most {largest:,} in a pool of {pool:,}")
    if codec == "none":
        assert largest == 0
    else:
        assert 0 < largest <= pool
        assert array.read_bytes > 0


def test_clouds_of_any_size(tmp_path):
    counts = (640, 700, 6, 300)
    rng = np.random.default_rng(0)
    clouds = [(rng.random((n, 2)).astype(np.float32), fields(n, 4, (n,))) for n in counts]
    with ShardWriter(tmp_path / "d", importance=["variance"], blocks=4) as writer:
        for x, u in clouds:
            writer.add({"u": u}, coords=x)
    sampling = QuerySampling(num_queries=5, mode="importance", importance_metric="variance")
    for batch in loader(tmp_path / "d", sampling, drop_last=False):
        for i, (run, step) in enumerate(zip(batch.trajectory.tolist(), batch.step.tolist(), strict=True)):
            x, u = clouds[run]
            domain = Domain(len(x), coords=x)
            rows = tile_importance("variance", u[step + 1], domain, tiles_in(domain, min(10, len(x))))
            keys = sample_keys(3, 0, [run], [step + 1], Stream.TARGET_QUERIES)
            draw = draw_queries(sampling, domain, keys, 0, rows[None])
            np.testing.assert_array_equal(batch.target_queries.index[i].numpy(), draw.index[0])
            np.testing.assert_array_equal(batch.target_queries.values["u"][i].numpy(), u[step + 1][draw.index[0]])
            np.testing.assert_array_equal(batch.target_queries.coords[i].numpy(), x[draw.index[0]])
    padded = QuerySampling(ratio=0.5, mode="importance", importance_metric="variance")
    batch = next(iter(loader(tmp_path / "d", padded, ragged="pad", batch_size=12, shuffle=False)))
    means = (batch.target_queries.weight * batch.target_queries.mask).mean(1)
    assert means == pytest.approx(torch.ones(12), abs=0.5)


def test_a_cloud_of_one_point_among_others(tmp_path):
    """It is drawn whole, without weights; the others have some."""
    with ShardWriter(tmp_path / "d", importance=["variance"]) as writer:
        for points in (200, 1, 70):
            writer.add({"u": fields(points, 2, (points,))}, coords=fields(points, 1, (points,))[0])
    sampling = QuerySampling(num_queries=1, mode="importance", importance_metric="variance")
    batch = next(iter(loader(tmp_path / "d", sampling, batch_size=3, shuffle=False)))
    assert batch.target_queries.weight[1].tolist() == [1.0]
    assert (batch.target_queries.weight[[0, 2]] > 0).all()


def test_sets_of_points(tmp_path):
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path / "d", importance=["gradient"]) as writer:
        for _ in range(3):
            surface, volume = (rng.random((n, 3)).astype(np.float32) for n in (200, 400))
            p, v = fields(1, 3, (200,)), fields(2, 3, (400,))
            writer.add(sets={"surface": PointSet(surface, {"p": p}), "volume": PointSet(volume, {"v": v})})
    samplings = {"surface": SAMPLING, "volume": QuerySampling(ratio=0.5, mode="uniform")}
    batch = next(iter(loader(tmp_path / "d", samplings, input_queries=False)))
    assert batch["surface"].target_queries.weight.unique().numel() > 2
    assert batch["volume"].target_queries.weight.unique().tolist() == [1.0]


def test_importance_that_is_not_stored_is_said_at_once(tmp_path):
    write_grid(tmp_path / "d")
    for sampling in (SAMPLING, MIXTURE, QuerySampling(ratio=0.1, mode_schedule={9: "importance"})):
        says = "does not hold the tiles' importance .*`ups-data importance DIR --metrics "
        with pytest.raises(UpsDataError, match=says):
            loader(tmp_path / "d", sampling)
    with pytest.raises(UpsDataError, match="does not hold the tiles' importance"):
        loader(tmp_path / "d", QuerySampling(ratio=0.1), inputs=SAMPLING)


def test_damaged_importance_is_an_error_that_names_it(tmp_path):
    write_grid(tmp_path / "d", importance=["gradient"])
    file = tmp_path / "d/train/shard-000000.zarr/importance/gradient/c/0/0"
    data = bytearray(file.read_bytes())
    data[20] ^= 1
    file.write_bytes(data)
    with pytest.raises(UpsDataError, match="importance/gradient, rows 0 to .* damaged"):
        list(loader(tmp_path / "d"))
