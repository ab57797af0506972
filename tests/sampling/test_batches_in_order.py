"""Batches in random order: with every point its own values, coordinates and weight, from any kind of dataset."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.datasets import write_grid
from tests.writing import test_clouds
from ups_data import QueryBatch, QueryLoader, QuerySampling, QuerySet

CLOUDS = [test_clouds.cloud(n, points) for n, points in enumerate((200, 130, 161))]
GRIDS = {"grid": {}, "grid in blocks": {"blocks": 9}, "grid in blocks, lz4": {"blocks": 9, "codec": "lz4"}}
CASES = [
    ("grid", {"ratio": 0.2, "mode": "stratified"}),
    ("grid", {"ratio": 1.0, "mode": "stratified"}),
    ("grid", {"mode": "full"}),
    ("grid", {"ratio": 0.2, "mode": "stratified", "off_grid": True}),
    ("grid in blocks", {"ratio": 0.3, "mode": "blocks"}),
    ("grid in blocks, lz4", {"ratio": 0.3, "mode": "blocks"}),
    ("grid in blocks, lz4", {"num_queries": 14, "mode": "blocks"}),
    ("grid in blocks", {"ratio": 1.0, "mode": "blocks"}),
    ("points", {"ratio": 0.2, "mode": "stratified"}),
    ("points in blocks", {"num_queries": 40, "mode": "blocks"}),
    ("points in blocks", {"ratio": 0.3, "mode": "uniform"}),
]
OPTIONS = {"split": "train", "batch_size": 3, "threads": 0, "drop_last": False}


@pytest.fixture(scope="module")
def roots(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("order")
    for name, options in GRIDS.items():
        write_grid(folder / name, steps=(4, 3, 4), **options)
    test_clouds.write(folder / "points", CLOUDS)
    test_clouds.write(folder / "points in blocks", CLOUDS, blocks=5, codec="lz4")
    return {path.name: path for path in folder.iterdir()}


def rows(queries: QuerySet) -> np.ndarray:
    """What belongs to each point, `(rows, Q, …)`, ordered by the point's number."""
    columns = [queries.index[..., None].double(), queries.weight[..., None].double(), queries.coords.double()]
    columns += [values.double() for values in queries.values.values()]
    table = torch.cat(columns, dim=-1).flatten(0, -3).numpy()
    return np.stack([row[np.argsort(row[:, 0], kind="stable")] for row in table])


def batches(root: Path, order: str, sampling: dict, **options: object) -> list[QueryBatch]:
    return list(QueryLoader(root, sampling=QuerySampling(**sampling, order=order), **{**OPTIONS, **options}))


@pytest.mark.parametrize(("name", "sampling"), CASES, ids=str)
@pytest.mark.parametrize("options", [{}, {"horizon": 2, "batch_size": 1}], ids=str)
def test_points_keep_what_is_theirs(roots, name: str, sampling: dict, options: dict) -> None:
    stored, random = (batches(roots[name], order, sampling, **options) for order in ("stored", "random"))
    for one, other in zip(stored, random, strict=True):
        for before, after in ((one.target_queries, other.target_queries), (one.input_queries, other.input_queries)):
            assert not torch.equal(before.index, after.index)
            assert np.array_equal(rows(before), rows(after))
            assert after.grid_shape is None
        for field, values in one.inputs.fields.items():
            assert torch.equal(values, other.inputs.fields[field])


def test_the_points_that_the_encoder_sees(roots) -> None:
    """In blocks of which nothing is read but what was drawn."""
    drawn = {"num_queries": 40, "mode": "blocks"}
    stored, random = (
        batches(roots["points in blocks"], order, drawn, inputs=QuerySampling(**drawn, order=order))
        for order in ("stored", "random")
    )
    for one, other in zip(stored, random, strict=True):
        before, after = (torch.cat([b.inputs.coords, b.inputs.fields["u"]], dim=-1).numpy() for b in (one, other))
        assert not np.array_equal(before, after)
        assert np.array_equal(*(np.sort(np.sum(a, axis=-1), axis=1) for a in (before, after)))
        assert np.array_equal(rows(one.target_queries), rows(other.target_queries))


@pytest.mark.parametrize("name", ["grid in blocks", "points"])
def test_threads_and_workers_hand_out_the_same_order(roots, name: str) -> None:
    sampling = {"ratio": 0.2, "mode": "stratified"}
    expected = [b.target_queries.index for b in batches(roots[name], "random", sampling)]
    for options in ({"threads": 2}, {"num_workers": 2}):
        found = [b.target_queries.index for b in batches(roots[name], "random", sampling, **options)]
        assert all(map(torch.equal, expected, found))


def test_padded_rows_are_padded_behind(roots) -> None:
    for batch in batches(roots["points"], "random", {"ratio": 0.2, "mode": "stratified"}, ragged="pad"):
        mask = batch.target_queries.mask
        if mask is not None:
            assert (mask[:, 1:] <= mask[:, :-1]).all()
            assert mask.any(dim=1).all()
