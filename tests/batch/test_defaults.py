"""Batches are the same whatever device and number type torch makes tensors of by default."""

import contextlib

import numpy as np
import pytest
import torch

from tests.datasets import fields
from ups_data import QueryDataset, QueryLoader, QuerySampling, ShardWriter, query_collate

CASES = {
    "drawn": {"sampling": QuerySampling(ratio=0.2, mode="stratified"), "lattice_queries": True},
    "full": {"sampling": QuerySampling(), "pad": True, "batch_size": 5},
    "off grid": {"sampling": QuerySampling(ratio=0.2, off_grid=True), "horizon": 2},
    "coarse": {"sampling": QuerySampling(ratio=0.2), "input_stride": 2, "input_queries": False},
    "errors": {"sampling": QuerySampling(ratio=0.2, mode="importance", importance_metric="error")},
    "clouds": {"sampling": QuerySampling(ratio=0.2, order="random"), "ragged": "pad"},
    "workers": {"sampling": QuerySampling(ratio=0.2), "num_workers": 1},
}


@contextlib.contextmanager
def defaults(*, device=None, dtype=torch.float32):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(before)


def tensors(root, name):
    """Of two epochs, with errors fed back between; and of a pipeline."""
    options = {"split": "train", "batch_size": 4, **CASES[name]}
    source, found = QueryLoader(root, **options), []
    for _ in range(2):
        for batch in source:
            batch.for_each_tensor(found.append)
            error = np.linspace(0, 1, batch.target_queries.index.numel(), dtype=np.float32)
            source.feedback(batch, torch.from_numpy(error).reshape(batch.target_queries.index.shape))
    if name != "workers":
        pipeline = QueryDataset(root, **options).batched(4, collation_fn=query_collate)
        next(iter(pipeline)).for_each_tensor(found.append)
    return found


@pytest.mark.parametrize("name", CASES)
def test_batches_do_not_depend_on_what_torch_makes_by_default(tmp_path, name):
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path / "d") as writer:
        for run, points in enumerate((40, 60, 50)):
            shape = (points,) if name == "clouds" else (8, 8)
            coords = rng.random((points, 2)).astype(np.float32) if name == "clouds" else None
            writer.add({"u": fields(run, 5, shape)}, coords=coords, params={"nu": 0.1})
    expected = tensors(tmp_path / "d", name)
    for changed in ({"device": "meta"}, {"dtype": torch.float64}):
        with defaults(**changed):
            found = tensors(tmp_path / "d", name)
        assert [t.dtype for t in found] == [t.dtype for t in expected]
        assert {t.device.type for t in found} == {"cpu"}
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
