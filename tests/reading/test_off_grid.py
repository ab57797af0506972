"""Queries between a grid's points: values interpolated from the frames, at the coordinates where they are."""

import numpy as np
import pytest
import torch

from tests.datasets import fields
from ups_data import QueryDataset, QueryLoader, QuerySampling, ShardWriter, UpsDataError, query_collate
from ups_data.trajectory import Axis

GRIDS = {"1-D": (40,), "2-D": (18, 14), "3-D": (7, 6, 8)}


def write(root, grid, *, periodic=False, u=None, **options):
    """Two runs of a field that is linear along each axis, and another that is not."""
    axes = [Axis(name, np.arange(n) / n, periodic=periodic) for name, n in zip("zyx"[-len(grid) :], grid, strict=True)]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid), indexing="ij"), axis=-1).astype(np.float32)
    runs = [fields(run, 5, grid, 1) for run in range(2)]
    with ShardWriter(root, **options) as writer:
        for run, noise in enumerate(runs):
            ramps = np.repeat(index[None], 5, axis=0) + run
            writer.add({"ramp": ramps, "noise": noise}, axes=axes)
    return np.stack(runs)


def loader(root, **options):
    sampling = QuerySampling(ratio=options.pop("ratio", 0.4), mode=options.pop("mode", "stratified"), off_grid=True)
    return QueryLoader(root, **{"split": "train", "batch_size": 3, "sampling": sampling, **options})


def reference(frame, at, periodic):
    """Linear interpolation of `(*grid, C)` at positions `(Q, d)` in cells, one at a time."""
    found = []
    for place in at:
        low = np.floor(place).astype(int)
        value = 0.0
        for corner in np.ndindex(*(2,) * len(place)):
            share = np.prod([f if c else 1 - f for c, f in zip(corner, place - low, strict=True)])
            cell = [
                (n % size) if periodic else min(n, size - 1) for n, size in zip(low + corner, frame.shape, strict=False)
            ]
            value = value + share * frame[tuple(cell)]
        found.append(value)
    return np.array(found)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("stored", ["whole", "blocks", "lz4"])
def test_values_are_those_at_the_coordinates(tmp_path, name, periodic, stored):
    grid = GRIDS[name]
    options = {"whole": {}, "blocks": {"blocks": 2 ** len(grid)}, "lz4": {"codec": "lz4"}}[stored]
    noise = write(tmp_path / "d", grid, periodic=periodic, **options)
    for batch in loader(tmp_path / "d", horizon=2):
        for i, run in enumerate(batch.trajectory.tolist()):
            for k in range(2):
                queries, step = batch.target_queries, int(batch.step[i]) + 1 + k
                at = queries.coords[i, k].numpy()[:, ::-1].astype(np.float64) * (np.array(grid) - 1)
                inside = ((at >= 0) & (at <= np.array(grid) - 1)).all(-1)
                assert inside.all() or periodic
                ramp = queries.values["ramp"][i, k].numpy()
                np.testing.assert_allclose(ramp[inside], at[inside] + run, atol=1e-4)
                expected = reference(noise[run, step], at, periodic)
                np.testing.assert_allclose(queries.values["noise"][i, k].numpy(), expected, atol=1e-4)
                nearest = np.stack(np.unravel_index(queries.index[i, k].numpy(), grid), -1)
                assert np.abs(nearest - at).max() <= 0.5 + 1e-4


def test_past_the_ends_of_a_periodic_axis_lies_the_cell_that_joins_them(tmp_path):
    write(tmp_path / "d", (40,), periodic=True)
    at = torch.cat([b.target_queries.coords.reshape(-1) for b in loader(tmp_path / "d", ratio=0.9)]) * 39
    assert at.min() < -0.1
    assert at.max() > 39.1
    assert at.min() >= -0.5 - 1e-4


@pytest.mark.parametrize("mode", ["full", "uniform", "importance", {"stratified": 0.5, "importance": 0.5}], ids=str)
def test_every_point_of_a_mode_is_moved(tmp_path, mode):
    write(tmp_path / "d", (18, 14), importance=["gradient"])
    batch = next(iter(loader(tmp_path / "d", mode=mode, ratio=1.0 if mode == "full" else 0.3)))
    queries = batch.target_queries
    on_grid = batch.inputs.coords[0][queries.index]
    moved = (queries.coords - on_grid).abs() * torch.tensor([13.0, 17.0])
    assert moved.max() <= 0.5 + 1e-4
    assert (moved > 1e-3).float().mean() > 0.8
    assert queries.index.shape == queries.weight.shape == (3, 252 if mode == "full" else 76)
    assert not queries.values["noise"].isnan().any()


def test_the_same_from_threads_workers_and_a_pipeline(tmp_path):
    write(tmp_path / "d", (18, 14))
    expected = [b.target_queries.coords for b in loader(tmp_path / "d", threads=0)]
    for options in ({"threads": 2}, {"num_workers": 2}):
        for one, other in zip(loader(tmp_path / "d", **options), expected, strict=True):
            assert torch.equal(one.target_queries.coords, other)
    sampling = QuerySampling(ratio=0.4, mode="stratified", off_grid=True)
    pipeline = QueryDataset(tmp_path / "d", split="train", batch_size=3, sampling=sampling)
    for one, other in zip(pipeline.batched(3, collation_fn=query_collate), expected, strict=True):
        assert torch.equal(one.target_queries.coords, other)


def test_half_precision_and_the_encoders_own_points(tmp_path):
    noise = write(tmp_path / "d", (18, 14), cast="float16")
    inputs = QuerySampling(ratio=0.2, off_grid=True)
    batch = next(iter(loader(tmp_path / "d", inputs=inputs)))
    assert batch.inputs.fields["noise"].dtype == batch.target_queries.values["noise"].dtype == torch.float16
    at = batch.inputs.coords[0].numpy()[:, ::-1].astype(np.float64) * np.array([17, 13])
    frame = noise[int(batch.trajectory[0]), int(batch.step[0])]
    np.testing.assert_allclose(batch.inputs.fields["noise"][0].numpy(), reference(frame, at, False), atol=1e-2)


def test_a_cloud_is_refused_at_once(tmp_path):
    with ShardWriter(tmp_path / "d") as writer:
        writer.add({"u": fields(0, 3, (50,))}, coords=fields(0, 1, (50,))[0])
    with pytest.raises(UpsDataError, match="off_grid needs a grid to interpolate on, and this dataset has points"):
        loader(tmp_path / "d")
