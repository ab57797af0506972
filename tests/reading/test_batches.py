"""What is in a batch: the right values at the right places, and nothing else."""

import numpy as np
import pytest
import torch

from tests.datasets import write_grid
from ups_data import QueryLoader, QuerySampling, ShardWriter, UpsDataError, make_grid_coords
from ups_data.sampling import Stream, sample_keys

GRID, POINTS = (12, 10), 120


@pytest.fixture(scope="module", params=["none", "lz4"])
def dataset(tmp_path_factory, request):
    root = tmp_path_factory.mktemp("batches") / "d"
    return root, write_grid(root, codec=request.param, shard_bytes=12_000)


def loader(root, **options):
    defaults = {"split": "train", "batch_size": 4, "sampling": QuerySampling(ratio=0.1), "drop_last": False}
    return QueryLoader(root, **{**defaults, "coords": "source", **options})


def gathered(runs, batch, index, steps):
    """What the queries' values must be, from the arrays that were written: (B, Q, C)."""
    flat = [u.reshape(len(u), POINTS, -1) for u in runs]
    rows = zip(batch.trajectory.tolist(), steps.tolist(), index.numpy(), strict=True)
    return np.stack([flat[t][s][i] for t, s, i in rows])


@pytest.mark.parametrize("mode", ["uniform", "stratified", "lattice", "full"])
def test_contract(dataset, mode):
    root, runs = dataset
    for batch in loader(root, sampling=QuerySampling(ratio=None if mode == "full" else 0.1, mode=mode)):
        size = len(batch)
        queries = batch.target_queries.index.shape[1]
        assert queries == {"lattice": 12, "full": POINTS}.get(mode, 12)
        dense = np.stack([runs[t][s].reshape(POINTS, 2) for t, s in zip(batch.trajectory, batch.step, strict=True)])
        assert np.array_equal(batch.inputs.fields["u"].numpy(), dense)
        assert torch.equal(batch.inputs.coords, make_grid_coords(GRID))
        for drawn, steps in ((batch.input_queries, batch.step), (batch.target_queries, batch.step + 1)):
            assert drawn.index.dtype == torch.int64
            assert drawn.weight.dtype == torch.float32
            assert drawn.coords.shape == (size, queries, 2)
            assert drawn.index.shape == drawn.weight.shape == (size, queries)
            assert np.array_equal(drawn.values["u"].numpy(), gathered(runs, batch, drawn.index, steps))
            assert torch.equal(drawn.coords, make_grid_coords(GRID)[0][drawn.index])
        assert torch.equal(batch.time, 0.5 * batch.step.float())
        assert torch.equal(batch.dt, torch.full((size,), 0.5))
        assert torch.allclose(batch.params["nu"], 0.1 * batch.trajectory.float())


@pytest.mark.parametrize(("input_steps", "horizon", "dt_stride"), [(2, 1, 1), (1, 3, 1), (3, 2, 1), (2, 2, 2)])
def test_steps_of_a_sample(dataset, input_steps, horizon, dt_stride):
    root, runs = dataset
    seen = set()
    for batch in loader(root, input_steps=input_steps, horizon=horizon, dt_stride=dt_stride):
        seen |= set(zip(batch.trajectory.tolist(), batch.step.tolist(), strict=True))
        before = [-dt_stride * s for s in reversed(range(input_steps))]
        for k, offset in enumerate(before):
            frames = batch.inputs.fields["u"] if input_steps == 1 else batch.inputs.fields["u"][:, k]
            every = torch.arange(POINTS).expand(len(batch), -1)
            assert np.array_equal(frames.numpy(), gathered(runs, batch, every, batch.step + offset))
        # The queries of the input are of its last frame.
        drawn = batch.input_queries
        assert np.array_equal(drawn.values["u"].numpy(), gathered(runs, batch, drawn.index, batch.step))
        queries = batch.target_queries
        if horizon > 1:
            assert queries.coords.shape == (len(batch), horizon, 12, 2)
            assert queries.values["u"].shape == (len(batch), horizon, 12, 2)
            assert batch.dt.shape == (len(batch), horizon)
            assert not torch.equal(queries.index[:, 0], queries.index[:, 1])
        for k in range(horizon):
            index, values = (
                (queries.index[:, k], queries.values["u"][:, k])
                if horizon > 1
                else (queries.index, queries.values["u"])
            )
            steps = batch.step + (k + 1) * dt_stride
            assert np.array_equal(values.numpy(), gathered(runs, batch, index, steps))
    span = ((input_steps - 1) * dt_stride, horizon * dt_stride)
    assert seen == {(i, s) for i, u in enumerate(runs) for s in range(span[0], len(u) - span[1])}


def test_horizon_zero_makes_the_input_its_own_target(dataset):
    root, runs = dataset
    count = 0
    for batch in loader(root, horizon=0):
        count += len(batch)
        target = batch.target_queries
        assert np.array_equal(target.values["u"].numpy(), gathered(runs, batch, target.index, batch.step))
        assert not torch.equal(target.index, batch.input_queries.index)
        assert torch.equal(batch.dt, torch.zeros(len(batch)))
    assert count == sum(map(len, runs))


def test_ratio_one_is_every_point_in_order(dataset):
    root, _ = dataset
    for mode in ("uniform", "stratified", "lattice", "full"):
        sampling = QuerySampling(mode=mode) if mode == "full" else QuerySampling(ratio=1.0, mode=mode)
        for batch in loader(root, sampling=sampling, horizon=2):
            queries = batch.target_queries
            assert torch.equal(queries.index, torch.arange(POINTS).expand(len(batch), 2, POINTS))
            assert torch.equal(queries.weight, torch.ones(len(batch), 2, POINTS))
            assert torch.equal(queries.coords, make_grid_coords(GRID)[:, None].expand(len(batch), 2, -1, -1))
            assert queries.grid_shape == GRID
            assert batch.input_queries.values["u"].data_ptr() == batch.inputs.fields["u"].data_ptr()


def test_no_dense_target_leaves_the_pipeline(tmp_path):
    """The batch's bytes: the dense input, the coordinates, and Q points of each set, nothing of the size of a frame."""
    grid, points = (64, 64), 4096
    write_grid(tmp_path / "d", grid=grid, steps=(6, 6))
    frame, samples, storages = points * 2 * 4, 0, {}
    for batch in loader(tmp_path / "d", sampling=QuerySampling(ratio=0.1), input_queries=False):
        queries = batch.target_queries.index.shape[1]
        assert queries == round(0.1 * points)
        sparse = len(batch) * queries * (2 * 4 + 2 * 4 + 8)  # values, coordinates, index
        coords = points * 2 * 4  # one for the batch
        small = 64 * len(batch) + 4096  # times, parameters, alignment
        assert batch.nbytes() <= len(batch) * frame + coords + sparse + small
        samples += len(batch)
        for tensor in (*batch.target_queries.values.values(), batch.target_queries.coords):
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage  # kept, so that no address comes twice
    # What batches of a block share is no larger than their points either.
    assert sum(s.nbytes() for s in storages.values()) <= 0.101 * samples * frame * 2
    # A dense batch has another frame per sample.
    dense = next(iter(loader(tmp_path / "d", sampling=QuerySampling(), input_queries=False)))
    assert dense.nbytes() >= 2 * len(dense) * frame


def test_streams_draw_different_points(dataset):
    root, _ = dataset
    batch = next(iter(loader(root, sampling=QuerySampling(ratio=0.5), horizon=0)))
    overlap = [
        len(set(a) & set(b))
        for a, b in zip(batch.input_queries.index.tolist(), batch.target_queries.index.tolist(), strict=True)
    ]
    # Of 60 points each, chance has 30 in common with a standard deviation of 2.7.
    assert all(19 <= n <= 41 for n in overlap)


def test_the_encoder_may_take_drawn_points(dataset):
    root, runs = dataset
    options = {"inputs": QuerySampling(num_queries=30, mode="stratified"), "sampling": QuerySampling(ratio=0.1)}
    batch = next(iter(loader(root, **options)))
    assert batch.inputs.fields["u"].shape == (4, 30, 2)
    assert batch.inputs.coords.shape == (4, 30, 2)
    nodes = {tuple(c): i for i, c in enumerate(make_grid_coords(GRID)[0].tolist())}
    index = torch.tensor([[nodes[tuple(c)] for c in row] for row in batch.inputs.coords.tolist()])
    assert np.array_equal(batch.inputs.fields["u"].numpy(), gathered(runs, batch, index, batch.step))


def test_lattice_queries_are_a_coarse_grid(dataset):
    root, _ = dataset
    batch = next(iter(loader(root, lattice_queries=True, sampling=QuerySampling(ratio=0.25))))
    lattice = batch.lattice_queries
    assert lattice.values == {}
    assert lattice.grid_shape == (6, 5)
    coords = lattice.coords.reshape(4, 6, 5, 2)
    assert (coords[..., 0] == coords[:, :1, :, 0]).all()
    assert (coords[..., 1] == coords[:, :, :1, 1]).all()


def test_points_with_coordinates_of_their_own(tmp_path):
    rng = np.random.default_rng(0)
    runs = [(rng.random((3, 50, 1), np.float32), rng.random((50, 3), np.float32)) for _ in range(4)]
    with ShardWriter(tmp_path / "d", shard_bytes=500) as writer:
        for u, x in runs:
            writer.add({"u": u}, coords=x)
    for mode in ("uniform", "stratified", "full"):
        sampling = QuerySampling(mode=mode) if mode == "full" else QuerySampling(ratio=0.2, mode=mode)
        for batch in loader(tmp_path / "d", sampling=sampling):
            queries = batch.target_queries
            for i, (t, s) in enumerate(zip(batch.trajectory.tolist(), batch.step.tolist(), strict=True)):
                u, x = runs[t]
                assert np.array_equal(batch.inputs.coords[i].numpy(), x)
                assert np.array_equal(queries.coords[i].numpy(), x[queries.index[i]])
                assert np.array_equal(queries.values["u"][i].numpy(), u[s + 1][queries.index[i]])


def test_static_fields_come_along(tmp_path):
    rng = np.random.default_rng(0)
    runs = [(rng.random((5, 6, 6, 1), np.float32), rng.random((6, 6, 2), np.float32)) for _ in range(3)]
    with ShardWriter(tmp_path / "d", shard_bytes=500) as writer:
        for u, k in runs:
            writer.add({"u": u}, static={"k": k})
    options = {
        "input_fields": ["u", "k"],
        "target_fields": ["u"],
        "input_steps": 2,
        "sampling": QuerySampling(ratio=0.2),
    }
    for batch in loader(tmp_path / "d", **options):
        assert batch.inputs.fields["u"].shape == (len(batch), 2, 36, 1)
        assert batch.inputs.fields["k"].shape == (len(batch), 36, 2)
        assert list(batch.target_queries.values) == ["u"]
        for i, t in enumerate(batch.trajectory.tolist()):
            assert np.array_equal(batch.inputs.fields["k"][i].numpy(), runs[t][1].reshape(36, 2))
            at = batch.input_queries.index[i]
            assert np.array_equal(batch.input_queries.values["k"][i].numpy(), runs[t][1].reshape(36, 2)[at])


def test_the_points_are_those_of_the_sampler(dataset):
    """A pure function of (seed, epoch, trajectory, step of the frame drawn, stream), checked against the sampler."""
    from ups_data.points.domain import Domain
    from ups_data.sampling import draw_queries

    root, _ = dataset
    sampling = QuerySampling(ratio=0.1, mode="stratified")
    source = loader(root, sampling=sampling, seed=7)
    source.set_epoch(3)
    domain = Domain(POINTS, GRID)
    for batch in source:
        for stream, drawn, steps in (
            (Stream.INPUT_QUERIES, batch.input_queries, batch.step),
            (Stream.TARGET_QUERIES, batch.target_queries, batch.step + 1),
        ):
            keys = sample_keys(7, 3, batch.trajectory.numpy(), steps.numpy(), stream)
            assert np.array_equal(drawn.index.numpy(), draw_queries(sampling, domain, keys, 3).index)


def test_a_batch_moves_as_a_whole(dataset):
    root, _ = dataset
    batch = next(iter(loader(root, lattice_queries=True)))
    moved = batch.to("meta")
    assert moved.inputs.fields["u"].is_meta
    assert moved.target_queries.values["u"].is_meta
    assert moved.params["nu"].is_meta
    assert moved.lattice_queries.grid_shape == batch.lattice_queries.grid_shape
    assert not batch.time.is_meta


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sampling": QuerySampling(num_queries=121)}, "num_queries is 121 but the frame has 120 points"),
        ({"horizon": 9}, "longest trajectory has 9 frames, a sample spans 10"),
        ({"horizon": -1}, "horizon is -1"),
        ({"dt_stride": 0}, "dt_stride is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 64, "drop_last": True}, "lower batch_size"),
        ({"rank": 2, "world_size": 2}, "ranks count from 0"),
        ({"num_workers": -1}, "num_workers"),
    ],
)
def test_bad_options(dataset, options, says):
    with pytest.raises(UpsDataError, match=says) as error:
        loader(dataset[0], **options)
    assert "\n" not in str(error.value)
