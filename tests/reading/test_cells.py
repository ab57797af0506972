"""`measure="volume"`: on a strongly graded mesh the weighted mean is the integral mean, in every mode and mixture."""

import numpy as np
import pytest
import torch

from ups_data import QueryDataset, QueryLoader, QuerySampling, ShardWriter, UpsDataError, query_collate
from ups_data.schema import Manifest
from ups_data.trajectory import Axis, PointSet

GRADED = 1e-3 * 1.3 ** np.arange(24)
MODES = {
    "uniform": "uniform",
    "stratified": "stratified",
    "importance": "importance",
    "blocks": "blocks",
    "preferring": {"stratified": 0.7, "importance": 0.3},
    "alike": {"uniform": 0.5, "stratified": 0.5},
}
METRICS = ["gradient", "variance", "error", "volume"]


def mesh(number, points):
    """Points that crowd at a wall, with cells from 1e-9 to 1e-3, and a field that is large where cells are small."""
    random = np.random.default_rng(number)
    coords = random.random((points, 3)) ** [4, 1, 1]
    sizes = 1e-9 * np.exp(14 * coords[:, :1] ** 0.25)
    values = 3 + np.sin(9 * coords[:, 1:2]) - 2 * coords[:, :1] ** 0.25
    return coords.astype(np.float32), sizes.astype(np.float32), values.astype(np.float32)


@pytest.fixture(
    scope="module", params=["blocks", *(pytest.param(name, marks=pytest.mark.slow) for name in ("frames", "packed"))]
)
def meshes(request, tmp_path_factory):
    """Two meshes of different sizes; of the second frame the field is another one."""
    root = tmp_path_factory.mktemp("graded") / request.param
    options = {"frames": {"codec": "none"}, "blocks": {"blocks": 8, "codec": "lz4"}, "packed": {"pack": True}}
    runs = [mesh(0, 700), mesh(1, 777)]
    with ShardWriter(root, importance=("gradient", "variance"), **options[request.param]) as writer:
        for coords, sizes, values in runs:
            fields, static = {"p": np.stack([values, values[::-1]])}, {"cell_volume": sizes}
            if request.param == "packed":  # as files have it that list sizes among the results
                fields["cell_volume"], static = np.stack([sizes, sizes]), {}
            writer.add(fields, coords=coords, static=static, time=np.arange(2.0))
    return root, runs


def loader(root, sampling, **options):
    defaults = {"split": "train", "batch_size": 100, "sampling": sampling, "seed": 7, "target_fields": ["p"]}
    return QueryLoader(root, **{**defaults, "inputs": False, "threads": 0, **options})


def integral_mean(run, step):
    _, sizes, values = run
    values = values if step == 0 else values[::-1]
    return (sizes.astype(np.float64) * values).sum() / sizes.astype(np.float64).sum()


def check(estimates, expected, most=0.1):
    """Within four standard errors, which are at most so large."""
    found = np.array(estimates)
    error = found.std() / np.sqrt(len(found))
    assert abs(found.mean() - expected) < 4 * error + 1e-6 * abs(expected)
    assert error < most


def means_of(batches, part=lambda queries: queries):
    """(trajectory, step) → weighted means of `p` over the points drawn."""
    found = {}
    for batch in batches:
        queries = part(batch.target_queries)
        weighted = (queries.weight * queries.values["p"][..., 0]).mean(-1)
        for key, mean in zip(zip(batch.trajectory.tolist(), batch.step.tolist(), strict=True), weighted, strict=True):
            found.setdefault(key, []).append(mean.item())
    return found


@pytest.mark.parametrize("order", ["stored", "random"])
@pytest.mark.parametrize("mode", MODES)
def test_weighted_means_are_integral_means(meshes, mode, order):
    root, runs = meshes
    if mode == "blocks" and Manifest.load(root).blocks == 1:
        pytest.skip("not stored in blocks")
    options = {"mode": MODES[mode], "order": order}
    options |= {"importance_metric": "volume"} if "importance" in str(MODES[mode]) else {}
    sampling = QuerySampling(ratio=0.1, measure="volume", **options)
    found = means_of(loader(root, sampling, repeats=200, horizon=0))
    assert len(found) == 4
    for (trajectory, step), estimates in found.items():
        check(estimates, integral_mean(runs[trajectory], step))
    if mode in ("uniform", "blocks"):
        counted = means_of(loader(root, sampling.model_copy(update={"measure": "count"}), repeats=200, horizon=0))
        for (trajectory, step), estimates in counted.items():
            away = np.mean(estimates) - integral_mean(runs[trajectory], step)
            assert abs(away) > 10 * np.std(estimates) / np.sqrt(len(estimates))


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_of_importance(meshes, metric):
    root, runs = meshes
    sampling = QuerySampling(ratio=0.1, mode="importance", importance_metric=metric, measure="volume")
    for (trajectory, step), estimates in means_of(loader(root, sampling, repeats=200, horizon=0)).items():
        check(estimates, integral_mean(runs[trajectory], step))


def test_both_parts_of_a_split_are_fair_and_rows_are_padded(meshes):
    root, runs = meshes
    sampling = QuerySampling(ratio=0.1, mode="stratified", order="random", measure="volume")
    batches = list(loader(root, sampling, repeats=400, horizon=0, ragged="pad"))
    assert batches[0].target_queries.mask is not None
    for part in (lambda q: q.split(20)[0], lambda q: q.split(20)[1], lambda q: q):
        for (trajectory, step), estimates in means_of(batches, part).items():
            check(estimates, integral_mean(runs[trajectory], step))


def test_the_points_drawn_are_the_same_and_weights_are_sizes(meshes):
    root, runs = meshes
    sampling = QuerySampling(ratio=0.2, mode={"stratified": 0.7, "importance": 0.3}, importance_metric="volume")
    by_volume = sampling.model_copy(update={"measure": "volume"})
    options = {"batch_size": 2, "input_queries": True, "target_fields": ["p", "cell_volume"], "input_fields": ["p"]}
    for counted, sized in zip(loader(root, sampling, **options), loader(root, by_volume, **options), strict=True):
        for queries, others in (
            (counted.target_queries, sized.target_queries),
            (counted.input_queries, sized.input_queries),
        ):
            assert torch.equal(queries.index, others.index)
            for row, trajectory in enumerate(counted.trajectory.tolist()):
                sizes = runs[trajectory][1][:, 0].astype(np.float64)
                factor = (sizes / sizes.mean())[queries.index[row]]
                np.testing.assert_allclose(others.weight[row].numpy(), queries.weight[row].numpy() * factor, rtol=1e-5)
        assert torch.equal(counted.target_queries.values["cell_volume"], sized.target_queries.values["cell_volume"])


def test_large_cells_are_drawn_more_often(meshes):
    """In proportion to their tile's, but for the floor, which is spread evenly."""
    root, runs = meshes
    options = {"mode": "importance", "importance_metric": "volume", "importance_floor": 0.2, "measure": "volume"}
    batches = loader(root, QuerySampling(num_queries=30, **options), repeats=400, horizon=0)
    index = torch.cat([b.target_queries.index[b.trajectory == 0] for b in batches])
    drawn = np.bincount(index.flatten(), minlength=700) / len(index)
    sizes = runs[0][1][:, 0].astype(np.float64)
    large = np.argsort(sizes)[-70:]
    assert drawn[large].sum() > 0.5 * 30 * sizes[large].sum() / sizes.sum()
    assert drawn[np.argsort(sizes)[:350]].mean() < 0.5 * drawn.mean()
    assert drawn.min() > 0


def test_every_point_and_the_same_points_for_a_batch(meshes):
    root, runs = meshes
    [batch] = loader(root, QuerySampling(measure="volume"), batch_size=4, horizon=0, ragged="pad")
    for row, (trajectory, step) in enumerate(zip(batch.trajectory.tolist(), batch.step.tolist(), strict=True)):
        queries = batch.target_queries
        points = int(queries.mask[row].sum())
        mean = (queries.weight * queries.values["p"][..., 0]).mean(-1)[row]
        assert mean.item() == pytest.approx(integral_mean(runs[trajectory], step), rel=1e-5)
        assert points == len(runs[trajectory][0])
    shared = QuerySampling(ratio=0.1, mode="stratified", shared=True, measure="volume")
    for (trajectory, step), estimates in means_of(loader(root, shared, repeats=400, batch_size=7, horizon=0)).items():
        check(estimates, integral_mean(runs[trajectory], step))


def test_only_the_sizes_of_drawn_blocks_are_read_and_all_of_them_once(tmp_path):
    coords, sizes, values = mesh(0, 4000)
    with ShardWriter(tmp_path / "d", blocks=40, codec="none") as writer:
        writer.add({"p": np.stack([values] * 9)}, coords=coords, static={"cell_volume": sizes}, time=np.arange(9.0))
    used = {}
    for measure in ("count", "volume"):
        batches = loader(
            tmp_path / "d", QuerySampling(num_queries=100, mode="blocks", measure=measure), batch_size=3, horizon=0
        )
        used[measure] = [len(list(batches)) and batches.stats.used_bytes for _ in range(2)]
    first, second = (volume - count for volume, count in zip(used["volume"], used["count"], strict=True))
    block = 100 * 4 + 4  # with a checksum
    assert (first, second - first) == ((40 + 9) * block, 9 * block)


@pytest.fixture(scope="module")
def grids(tmp_path_factory):
    """One frame on a grid that is graded along its first axis."""
    root = tmp_path_factory.mktemp("graded") / "grid"
    u = np.random.default_rng(0).random((1, 24, 10, 1), np.float32) + 40 * GRADED[:, None, None].astype(np.float32)
    with ShardWriter(root, blocks=9) as writer:
        writer.add({"p": u}, axes=[Axis("y", GRADED), Axis("x", np.arange(10.0))])
    gaps = np.diff(GRADED)
    widths = np.append(gaps[0], gaps) + np.append(gaps, gaps[-1])
    return root, float((widths[:, None] * u[0, ..., 0]).sum() / (10 * widths.sum()))


@pytest.mark.parametrize(
    "options",
    [{"mode": mode} for mode in ("uniform", "stratified", "lattice", "blocks")]
    + [{"mode": "stratified", "off_grid": True}, {"mode": "importance", "importance_metric": "volume"}],
    ids=str,
)
def test_uneven_axes_of_a_grid(grids, options):
    root, expected = grids
    sampling = QuerySampling(ratio=0.1, measure="volume", **options)
    [estimates] = means_of(loader(root, sampling, repeats=500, horizon=0)).values()
    check(estimates, expected, most=0.2)


def test_every_point_of_an_uneven_grid(grids):
    root, expected = grids
    for order in ("stored", "random"):
        [batch] = loader(root, QuerySampling(measure="volume", order=order), batch_size=1, horizon=0)
        queries = batch.target_queries
        assert (queries.weight * queries.values["p"][..., 0]).mean().item() == pytest.approx(expected, rel=1e-5)


def test_on_an_even_grid_nothing_changes(tmp_path):
    with ShardWriter(tmp_path / "d") as writer:
        u = np.random.default_rng(0).random((3, 8, 6, 1), np.float32)
        writer.add({"p": u}, axes=[Axis("y", np.arange(8.0)), Axis("x", np.arange(6.0))])
    for measure in ("count", "volume"):
        [batch] = loader(tmp_path / "d", QuerySampling(ratio=0.25, measure=measure), batch_size=2)
        assert batch.target_queries.weight.stride() == (0, 0)  # ones that take no memory
        assert (batch.target_queries.weight == 1).all()


def test_samples_that_a_stage_of_one_s_own_collates(meshes):
    root, _ = meshes
    samples = list(QueryDataset(root, split="train", batch_size=2, sampling=QuerySampling(ratio=0.1, measure="volume")))
    whole, apart = query_collate(samples), [query_collate([sample]) for sample in samples]
    for row, batch in enumerate(apart):
        assert torch.equal(whole.target_queries.weight[row], batch.target_queries.weight[0])
        assert not (batch.target_queries.weight == 1).any()


@pytest.mark.parametrize("option", [{"measure": "volume"}, {"mode": "importance", "importance_metric": "volume"}])
def test_what_has_no_sizes_is_refused_in_one_line(tmp_path, option):
    coords, sizes, values = mesh(0, 50)
    sets = {
        "wall": PointSet(coords, {"cp": values[None]}, {"wall_area": sizes}),
        "air": PointSet(coords, {"u": values[None]}),
    }
    with ShardWriter(tmp_path / "d") as writer:
        writer.add({}, sets=sets)
    for field in ("cp", "u"):
        sampling = QuerySampling(ratio=0.5, **option)
        given = {"split": "train", "batch_size": 1, "sampling": sampling, "input_fields": [field], "horizon": 0}
        if field == "cp":
            next(iter(QueryLoader(tmp_path / "d", target_fields=[field], **given)))
            continue
        with pytest.raises(UpsDataError, match=r"the set 'air' has no field of one channel with the sizes") as error:
            QueryLoader(tmp_path / "d", target_fields=[field], **given)
        assert "\n" not in str(error.value)
        assert "convert meshes again" in str(error.value)


@pytest.mark.parametrize("wrong", [-1.0, 0.0])
def test_sizes_that_weigh_nothing_are_refused(tmp_path, wrong):
    coords, sizes, values = mesh(0, 50)
    sizes[3:4] = wrong
    with ShardWriter(tmp_path / "d") as writer:
        writer.add({"p": values[None]}, coords=coords, static={"area": sizes if wrong else 0 * sizes})
    batches = loader(tmp_path / "d", QuerySampling(ratio=0.5, measure="volume"), batch_size=1, horizon=0)
    with pytest.raises(UpsDataError, match="field 'area' holds sizes that are negative, not finite or all 0 in row 0"):
        next(iter(batches))


def test_off_grid_needs_cells_that_follow_from_the_axes(tmp_path):
    u = np.ones((1, 4, 4, 1), np.float32)
    with ShardWriter(tmp_path / "d") as writer:
        writer.add({"p": u}, static={"cell_area": u[0]})
    sampling = QuerySampling(ratio=0.5, mode="stratified", off_grid=True, measure="volume")
    with pytest.raises(
        UpsDataError, match="off_grid with measure='volume' needs cells that follow from the grid's axes"
    ):
        loader(tmp_path / "d", sampling, horizon=0)
