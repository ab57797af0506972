"""neuraloperator's Trainer drives a loop over a QueryLoader: an FNO whose loss is taken at drawn points."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.training.conftest import travelling_waves
from ups_data import QueryBatch, QueryLoader, QuerySampling, ShardWriter

neuralop = pytest.importorskip("neuralop", reason="needs the extra clients")
from neuralop import Trainer  # noqa: E402
from neuralop.models import FNO  # noqa: E402

pytestmark = pytest.mark.clients


class AtQueries(nn.Module):
    """A data processor: what neuraloperator asks a batch for, and its prediction where the batch has values."""

    def __init__(self) -> None:
        super().__init__()
        self.device = torch.device("cpu")  # the Trainer asks
        self.seen: list[tuple[int, Tensor]] = []

    def preprocess(self, batch: QueryBatch) -> dict[str, Any]:
        if self.training:
            self.seen.append((batch.epoch, batch.target_queries.index.clone()))
        return {"x": batch.to_grid("u"), "y": batch.target_queries.values["u"], "batch": batch}

    def postprocess(self, out: Tensor, sample: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        index = sample["batch"].target_queries.index[..., None].expand(-1, -1, out.shape[1])
        return out.flatten(2).transpose(1, 2).gather(1, index), sample


class Net(nn.Module):
    """Takes no more of a sample than it needs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fno = FNO(n_modes=(4, 4), in_channels=channels, out_channels=channels, hidden_channels=8, n_layers=2)

    def forward(self, x: Tensor, **sample: Any) -> Tensor:
        return self.fno(x)


def summed_loss(out: Tensor, y: Tensor, batch: QueryBatch, **sample: Any) -> Tensor:
    """The weighted mean over points, summed over samples, as the Trainer wants it."""
    return (batch.target_queries.weight * (out - y).square().mean(-1)).mean(-1).sum()


def test_epochs_advance_and_the_loss_falls(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path / "d") as writer:
        for _ in range(4):
            writer.add(fields={"u": travelling_waves(rng, 9, (16, 16))}, split="train", time=np.arange(9.0))
    options: dict[str, Any] = {"batch_size": 8, "seed": 0}
    train = QueryLoader(tmp_path / "d", split="train", sampling=QuerySampling(ratio=0.25), **options)
    dense = QueryLoader(tmp_path / "d", split="train", sampling=1.0, shuffle=False, drop_last=False, **options)
    torch.manual_seed(0)
    net, processor = Net(channels=1), AtQueries()
    adam = torch.optim.Adam(net.parameters(), 0.01)
    trainer = Trainer(
        model=net, n_epochs=3, data_processor=processor, eval_interval=2, verbose=True
    )  # it asks `len` of `loader.dataset` otherwise
    losses: list[float] = []

    def loss(*given: Any, **sample: Any) -> Tensor:
        found = summed_loss(*given, **sample)
        losses.append(float(found.detach()))
        return found

    metrics = trainer.train(
        train, {"dense": dense}, adam, torch.optim.lr_scheduler.ConstantLR(adam), training_loss=loss,
        eval_losses={"mse": summed_loss},
    )  # fmt: skip
    assert metrics["dense_mse"] > 0
    assert [epoch for epoch, _ in processor.seen] == [epoch for epoch in range(3) for _ in range(len(train))]
    again = QueryLoader(tmp_path / "d", split="train", sampling=QuerySampling(ratio=0.25), **options)
    expected = [batch.target_queries.index for _ in range(3) for batch in again]
    assert all(torch.equal(found, points) for (_, found), points in zip(processor.seen, expected, strict=True))
    assert len({tuple(points.flatten().tolist()) for _, points in processor.seen}) == len(expected)
    steps = len(train)
    assert sum(losses[-steps:]) < 0.95 * sum(losses[:steps])
