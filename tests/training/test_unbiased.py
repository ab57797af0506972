"""The reference model's loss on points has, on average, the gradient of its loss on all points."""

from pathlib import Path

import h5py
import pytest
import torch

from tests.datasets import DIFFUSION_REACTION, real
from tests.training.runs import config
from ups_data import QueryLoader, QuerySampling, ShardWriter
from ups_data.models.reference import UpsModel, build_model
from ups_data.training.step import batch_losses

RATIO = 1 / 16
MODES = {
    "uniform": {"mode": "uniform"},
    "stratified": {"mode": "stratified"},
    "lattice": {"mode": "lattice"},
    "blocks": {"mode": "blocks"},
    "gradient": {"mode": "importance"},
    "variance": {"mode": "importance", "importance_metric": "variance"},
    "error": {"mode": "importance", "importance_metric": "error"},
    "mixture": {"mode": {"stratified": 0.7, "importance": 0.3}},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps of a real run, in 16 blocks."""
    with h5py.File(real(DIFFUSION_REACTION)) as file:
        u = file["0003/data"][8:10]
    root = tmp_path_factory.mktemp("data") / "real"
    with ShardWriter(root, blocks=16, importance=("gradient", "variance")) as writer:
        writer.add({"data": u})
    return root


def loader(root: Path, **sampling: object) -> QueryLoader:
    return QueryLoader(root, split="train", batch_size=1, sampling=QuerySampling(**sampling), shuffle=False, threads=0)


def gradient(model: UpsModel, batch: object, errors: list[torch.Tensor] | None = None) -> torch.Tensor:
    model.zero_grad()
    weights = {"prediction": 1.0, "inverse_encoding": 1.0}
    total, _ = batch_losses(model, batch, weights=weights, on_errors=None if errors is None else errors.append)
    total.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.fixture(scope="module")
def model(root: Path, tmp_path_factory: pytest.TempPathFactory) -> UpsModel:
    """After some steps: the gradient of a fresh model is that of its wrong mean, which any point tells."""
    torch.manual_seed(0)
    run, source = config(root, tmp_path_factory.mktemp("run")), loader(root, ratio=0.1, mode="stratified")
    model = build_model(root, source.manifest, run.data, run.model)
    adam = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        (batch,) = source
        gradient(model, batch)
        adam.step()
    return model


@pytest.fixture(scope="module")
def dense(root: Path, model: UpsModel) -> torch.Tensor:
    (batch,) = loader(root, ratio=1.0)
    return gradient(model, batch)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.nn.functional.cosine_similarity(a, b, dim=0).item()


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("draws", [30, pytest.param(400, marks=pytest.mark.slow)])
def test_gradients_over_draws_point_to_the_dense_one(
    root: Path, model: UpsModel, dense: torch.Tensor, name: str, draws: int
) -> None:
    """Cosine at least 0.99 with draws of a 16th of the points; the mean of many is as long, too."""
    source = loader(root, ratio=RATIO, **MODES[name])
    total, first = torch.zeros_like(dense), []
    for _ in range(draws):
        (batch,) = source
        errors: list[torch.Tensor] = []
        found = gradient(model, batch, errors)
        source.feedback(batch, errors[0])
        total += found / draws
        first.append(cosine(found, dense))
    length = (total.norm() / dense.norm()).item()
    print(f"{name}: cosine {cosine(total, dense):.4f} (of single draws {min(first):.2f}), length {length:.3f}")
    assert cosine(total, dense) >= 0.99
    assert draws < 400 or length == pytest.approx(1, abs=0.05)


def test_without_their_weights_they_point_elsewhere(root: Path, model: UpsModel, dense: torch.Tensor) -> None:
    """What the other test would see of draws that prefer points and do not say so."""
    source = loader(root, ratio=RATIO, **MODES["gradient"])
    total = torch.zeros_like(dense)
    for _ in range(50):
        (batch,) = source
        for queries in (batch.input_queries, batch.target_queries):
            queries.weight.fill_(1.0)
        total += gradient(model, batch) / 50
    print(f"without weights: cosine {cosine(total, dense):.4f}, length {total.norm() / dense.norm():.3f}")
    assert cosine(total, dense) < 0.99
