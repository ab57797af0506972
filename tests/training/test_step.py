from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ups_data.batch import QueryBatch
from ups_data.models.reference import UpsModel, build_model
from ups_data.training.config import TrainConfig
from ups_data.training.loaders import train_loader
from ups_data.training.step import batch_losses


def setup(root: Path, ratio: float, weights: dict[str, float], horizon: int = 1) -> tuple[UpsModel, QueryBatch]:
    config = TrainConfig.model_validate(
        {
            "data": {"root": str(root), "batch_size": 4, "horizon": horizon},
            "model": {"dim": 32, "depth": 1},
            "training": {"query_sample_ratio": ratio, "loss_weights": weights},
        }
    )
    torch.manual_seed(0)
    loader = train_loader(config)
    return build_model(root, loader.manifest, config.data, config.model), next(iter(loader))


@pytest.mark.parametrize(
    ("term", "queries", "horizon"),
    [
        ("prediction", "target", 1),
        ("prediction", "target", 2),
        ("rollout", "target", 2),
        ("inverse_encoding", "input", 1),
    ],
)
def test_the_query_sets_weights_reach_the_losses(waves: Path, term: str, queries: str, horizon: int) -> None:
    """Tripled weights triple the loss: they are used, and not renormalised."""
    model, batch = setup(waves, 0.3, {term: 1.0}, horizon)
    points = getattr(batch, f"{queries}_queries")
    heavy = replace(batch, **{f"{queries}_queries": replace(points, weight=3 * points.weight)})
    plain, tripled = (batch_losses(model, b, weights={term: 1.0}).total for b in (batch, heavy))
    torch.testing.assert_close(tripled, 3 * plain)


def test_sampled_runs_draw_a_lattice_for_inverse_decoding_and_dense_ones_need_none(waves: Path) -> None:
    weights = {"inverse_decoding": 1.0}
    found = []
    for ratio in (0.3, 1.0):
        model, batch = setup(waves, ratio, weights)
        found.append(batch.lattice_queries is not None)
        assert batch_losses(model, batch, weights=weights).total > 0
    assert found == [True, False]


def test_without_terms_that_predict_the_operator_is_left_alone(waves: Path) -> None:
    model, batch = setup(waves, 0.3, {})
    batch_losses(model, batch, weights={"inverse_encoding": 1.0}).total.backward()
    assert all(p.grad is None for p in model.operator.parameters())


@pytest.mark.parametrize(
    "term", ["prediction", "inverse_encoding", "inverse_decoding", "latent", "spectral", "rollout"]
)
def test_samples_that_only_fill_a_batch_count_in_no_loss(waves: Path, term: str) -> None:
    weights = {term: 1.0}
    model, batch = setup(waves, 1.0, weights, horizon=2 if term == "rollout" else 1)
    model.eval()
    filled = batch.only(torch.tensor([True, False, True, True]))
    own = [batch_losses(model, batch.part(i, i + 1), weights=weights).total for i in (0, 2, 3)]
    torch.testing.assert_close(batch_losses(model, filled, weights=weights).total, torch.stack(own).sum() / 4)
