"""`shared=True` in a loader: one geometry for a batch, whatever makes the batches and however many at once."""

from pathlib import Path

import pytest
import torch

from tests.datasets import write_grid
from tests.sampling.cases import grid
from tests.writing import test_clouds
from ups_data import QueryBatch, QueryDataset, QueryLoader, QuerySampling, QuerySet, query_collate
from ups_data.sampling import Stream, draw_queries, sample_keys

GRID = (12, 10)
MODES = {
    "uniform": {"num_queries": 20},
    "stratified": {"num_queries": 20, "mode": "stratified", "order": "random"},
    "off the grid": {"num_queries": 20, "mode": "stratified", "off_grid": True},
    "blocks": {"num_queries": 20, "mode": "blocks"},
    "importance": {"num_queries": 20, "mode": "importance"},
    "every point": {"ratio": 1.0, "order": "random"},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("shared") / "d"
    write_grid(root, grid=GRID, blocks=9, importance=("gradient",))
    return root


def batches(root: Path, sampling: dict, **options: object) -> list[QueryBatch]:
    given = {"split": "train", "batch_size": 4, "seed": 3, "drop_last": False, "threads": 0, **options}
    return list(QueryLoader(root, sampling=QuerySampling(**sampling, shared=True), **given))


def rows_of(queries: QuerySet) -> list[torch.Tensor]:
    """What has one row for each sample, of the first frame where there are several."""
    rows = (queries.index, queries.weight, queries.coords)
    return [row[:, 0] if queries.index.dim() == 3 else row for row in rows]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("horizon", [1, 2])
def test_samples_of_a_batch_have_the_points_of_the_first(root, mode: str, horizon: int) -> None:
    """As drawn for that sample alone; the engine makes many batches at once."""
    seen = set()
    for batch in batches(root, MODES[mode], horizon=horizon):
        for queries, stream, step in (
            (batch.target_queries, Stream.TARGET_QUERIES, batch.step + 1),
            (batch.input_queries, Stream.INPUT_QUERIES, batch.step),
        ):
            for row in rows_of(queries):
                assert torch.equal(row, row[:1].expand_as(row))
            if mode in ("uniform", "stratified", "every point"):
                keys = sample_keys(3, 0, int(batch.trajectory[0]), int(step[0]), stream)
                expected = draw_queries(QuerySampling(**MODES[mode]), grid(*GRID), keys, 0).index[0]
                assert rows_of(queries)[0][0].tolist() == expected.tolist()
            seen.add(tuple(rows_of(queries)[0][0].tolist()))
        assert not torch.equal(batch.target_queries.values["u"][0], batch.target_queries.values["u"][1])
    assert len(seen) > 10  # but batches differ


def test_a_horizon_draws_each_of_its_steps(root) -> None:
    for batch in batches(root, MODES["uniform"], horizon=2):
        index = batch.target_queries.index
        assert torch.equal(index, index[:1].expand_as(index))
        assert not torch.equal(index[0, 0], index[0, 1])


@pytest.mark.parametrize("options", [{"threads": 3}, {"num_workers": 2}], ids=str)
def test_threads_and_workers_make_the_same_batches(root, options: dict) -> None:
    for one, other in zip(
        batches(root, MODES["stratified"]), batches(root, MODES["stratified"], **options), strict=True
    ):
        assert torch.equal(one.target_queries.index, other.target_queries.index)
        assert torch.equal(one.target_queries.values["u"], other.target_queries.values["u"])


def test_the_pipeline_of_samples(root) -> None:
    sampling = QuerySampling(num_queries=20, shared=True)
    dataset = QueryDataset(root, split="train", batch_size=4, sampling=sampling, seed=3, shuffle=False)
    for batch in dataset.batched(4, collation_fn=query_collate):
        index = batch.target_queries.index
        assert torch.equal(index, index[:1].expand_as(index))


def test_windows_of_one_mesh_share_and_others_do_not(tmp_path) -> None:
    test_clouds.write(tmp_path / "d", [test_clouds.cloud(n, points, 6) for n, points in enumerate((90, 70))])
    shared = 0
    for batch in batches(tmp_path / "d", {"num_queries": 15, "mode": "stratified"}, batch_size=3):
        for run in (0, 1):
            index = batch.target_queries.index[batch.trajectory == run]
            assert torch.equal(index, index[:1].expand_as(index))
            shared += len(index) > 1
    assert shared


def test_an_epochs_batches_are_other_ones(root) -> None:
    loader = QueryLoader(root, split="train", batch_size=4, sampling=QuerySampling(num_queries=9, shared=True))
    first, second = ([tuple(b.target_queries.index[0].tolist()) for b in loader] for _ in range(2))
    assert not set(first) & set(second)
