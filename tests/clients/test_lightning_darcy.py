"""A run that Lightning drives learns as much as one in which the epoch is set by hand: points are not drawn again.

Real Darcy flow, an FNO, a twenty-fifth of the points.
"""

import math
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
import torch

from tests.datasets import DARCY_PT, real
from ups_data import QueryBatch, QueryLoader, QuerySampling

pytestmark = pytest.mark.clients
EPOCHS, SEEDS, RATIO = 15, 3, 0.04


def loss_of(net: torch.nn.Module, batch: QueryBatch) -> torch.Tensor:
    queries = batch.target_queries
    error = queries.of(net(batch.to_grid("x"))) - queries.values["y"]
    return (queries.weight[..., None] * error.square()).mean()


@torch.no_grad()
def validation_error(net: torch.nn.Module, root: Path) -> float:
    """nRMSE over all points."""
    loader = QueryLoader(root, split="valid", batch_size=50, sampling=1.0, **OF_DARCY, drop_last=False)
    error = total = 0.0
    for batch in loader:
        true = batch.to_grid("y", of="target_queries")
        error += float((net(batch.to_grid("x")) - true).square().sum())
        total += float(true.square().sum())
    return math.sqrt(error / total)


OF_DARCY: dict[str, Any] = {"input_fields": ["x"], "target_fields": ["y"], "horizon": 0}


@pytest.fixture(scope="module")
def darcy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("darcy") / "d"
    command = ["convert", str(real(DARCY_PT)), "--out", str(root), "--split", "train=0.8,valid=0.2"]
    subprocess.run([sys.executable, "-m", "ups_data.cli", *command], check=True, capture_output=True)
    return root


def fitted(root: Path, driver: str, seed: int) -> tuple[float, float]:
    """Validation nRMSE, and how many points of a sample were drawn over the run, on average."""
    lightning = pytest.importorskip("lightning", reason="needs the extra clients")
    neuralop = pytest.importorskip("neuralop.models", reason="needs the extra clients")
    torch.manual_seed(seed)
    net = neuralop.FNO(n_modes=(8, 8), in_channels=1, out_channels=1, hidden_channels=16, n_layers=4)
    sampling = QuerySampling(ratio=RATIO)
    train = QueryLoader(
        root, split="train", batch_size=20, sampling=sampling, seed=seed, input_queries=False, **OF_DARCY
    )
    seen: dict[int, set[int]] = defaultdict(set)

    def step(batch: QueryBatch) -> torch.Tensor:
        for run, index in zip(batch.trajectory.tolist(), batch.target_queries.index.tolist(), strict=True):
            seen[run].update(index)
        return loss_of(net, batch)

    if driver == "by hand":
        optimiser = torch.optim.Adam(net.parameters(), 3e-3)
        for epoch in range(EPOCHS):
            train.set_epoch(epoch)
            for batch in train:
                optimiser.zero_grad()
                step(batch).backward()
                optimiser.step()
    else:

        class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.net = net

            def training_step(self, batch: QueryBatch, number: int) -> torch.Tensor:
                return step(batch)

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch.optim.Adam(self.parameters(), 3e-3)

        lightning.Trainer(
            max_epochs=EPOCHS,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(Module(), train)
    return validation_error(net.eval(), root), fmean(len(points) for points in seen.values())


def test_lightning_learns_as_much(darcy: Path) -> None:
    runs = {d: [fitted(darcy, d, seed) for seed in range(SEEDS)] for d in ("by hand", "Lightning")}
    errors = {driver: [error for error, _ in found] for driver, found in runs.items()}
    for driver, found in runs.items():
        told = ", ".join(f"{error:.4f}" for error, _ in found)
        print(f"{driver}: nRMSE {told}; {fmean(points for _, points in found):.0f} of 256 points drawn of a sample")
        # Ten draws of 10 different points, one for each epoch: an epoch that stands still draws 10.
        assert all(points > 100 for _, points in found)
    difference = abs(fmean(errors["by hand"]) - fmean(errors["Lightning"]))
    assert difference <= stdev(errors["by hand"]) + stdev(errors["Lightning"])
