"""What other projects get wrong about losses on points and about predictions."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.datasets import fields
from tests.training.runs import config
from ups_data import QueryLoader, QuerySampling, ShardWriter
from ups_data.models.reference import build_model
from ups_data.training.evaluation.validation import evaluate
from ups_data.training.step import batch_losses

DRAWS = 400


def test_upt_samples_by_weight_without_correcting_the_loss(tmp_path: Path) -> None:
    """The loss over points drawn by importance is on average that over all points, and without their weights another:
    where the field moves, the untrained model is further off."""
    u = 0.1 * fields(0, 2, (16, 16), 1)
    u[:, :6, :6] += 3 * fields(1, 2, (6, 6), 1)
    with ShardWriter(tmp_path / "d", importance=["gradient"]) as writer:
        writer.add({"u": u})

    def source(sampling: QuerySampling) -> QueryLoader:
        return QueryLoader(tmp_path / "d", split="train", batch_size=1, sampling=sampling, threads=0)

    few = source(QuerySampling(ratio=0.1, mode="importance"))
    run = config(tmp_path / "d", tmp_path / "run")
    torch.manual_seed(0)
    model = build_model(tmp_path / "d", few.manifest, run.data, run.model)

    @torch.no_grad()
    def loss(batch: object) -> float:
        return batch_losses(model, batch, weights={"prediction": 1.0, "inverse_encoding": 1.0}).total.item()

    (batch,) = source(QuerySampling())
    dense = loss(batch)
    corrected, plain = [], []
    for _ in range(DRAWS):
        (batch,) = few
        corrected.append(loss(batch))
        for queries in (batch.input_queries, batch.target_queries):
            queries.weight.fill_(1.0)
        plain.append(loss(batch))
    off = [abs(np.mean(x) - dense) / (np.std(x, ddof=1) / math.sqrt(DRAWS)) for x in (corrected, plain)]
    print(
        f"dense loss {dense:.4f}; importance {np.mean(corrected):.4f}, {off[0]:.1f} standard errors off; "
        f"without weights {np.mean(plain):.4f}, {off[1]:.1f} off"
    )
    assert off[0] < 4
    assert off[1] > 10


@pytest.mark.parametrize("batch_size", [2, 5])
def test_pdebench_drops_the_tail_of_what_it_predicts(tmp_path: Path, batch_size: int) -> None:
    """Every point of every frame is predicted and counts, whatever the batches and the chunks that are decoded at
    once: seven frames of 150 × 150 points, and a last batch that is not full. What lies in the tail is far off."""
    u = fields(0, 8, (150, 150), 1)
    u[-1, -1, -3:] = 1e4
    with ShardWriter(tmp_path / "d") as writer:
        writer.add({"u": u}, split="train")
        writer.add({"u": u}, split="valid")
    run = config(tmp_path / "d", tmp_path / "run")
    options = {"split": "valid", "batch_size": batch_size, "sampling": QuerySampling(), "threads": 0}
    source = QueryLoader(tmp_path / "d", input_queries=False, **options)
    model = build_model(tmp_path / "d", source.manifest, run.data, run.model)
    each = []
    for batch in source:
        predicted = model.predict(batch)["u"]
        assert predicted.shape == (len(batch), 150 * 150, 1)
        with torch.no_grad():
            latent = model.advance(model.encode(batch), batch.dt, batch.params)
            at_once = model.decode(latent, batch.target_queries)["u"]
        torch.testing.assert_close(predicted, at_once, rtol=1e-4, atol=1e-3)
        error = (predicted - batch.target_queries.values["u"]).square().sum((1, 2)).sqrt()
        each += (error / batch.target_queries.values["u"].square().sum((1, 2)).sqrt()).tolist()
    assert len(each) == 7
    assert evaluate(model, source).nrmse == pytest.approx(np.mean(each), rel=1e-5)
