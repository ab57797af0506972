from pathlib import Path

import pytest
import torch

from ups_data.models.config import ModelConfig
from ups_data.models.reference import UpsModel, build_model
from ups_data.schema import Manifest
from ups_data.training.config import DataConfig


@pytest.fixture
def model(waves: Path) -> UpsModel:
    torch.manual_seed(0)
    data = DataConfig(root=str(waves), dt_stride=3)
    model = build_model(waves, Manifest.load(waves), data, ModelConfig(dim=32, depth=1))
    torch.nn.init.normal_(model.operator.out.weight, std=0.1)
    return model


def test_conditioning_is_of_order_one(model: UpsModel) -> None:
    """Frames 0.5 apart, every third of them; training trajectories have nu = 0 … 5."""
    assert model.conditioning.time(torch.tensor([1.5, 6.0])).tolist() == [1.0, 4.0]
    nu = torch.arange(6.0)
    found = model.conditioning.params({"nu": nu})
    assert found is not None
    torch.testing.assert_close(found, ((nu - 2.5) / nu.std(unbiased=False))[:, None])


def test_statistics_are_those_of_the_training_split(model: UpsModel, waves: Path) -> None:
    statistics = Manifest.load(waves).split("train").statistics["u"]
    u = torch.randn(2, 9, 1)
    scaled = model.normalizer({"u": u})
    torch.testing.assert_close(scaled["u"], (u - statistics.mean[0]) / statistics.std[0])
    torch.testing.assert_close(model.normalizer.inverse(scaled)["u"], u)


def test_target_times_count_from_the_input_frame(model: UpsModel) -> None:
    """`dt` (B, K) is cumulative; the operator takes the length of each step."""
    latent, nu = torch.randn(2, 64, 32), {"nu": torch.tensor([1.0, 4.0])}
    dt = torch.tensor([[1.0, 2.0, 4.5], [0.5, 2.5, 3.0]])
    states = model.advance(latent, dt, nu)
    for k, step in enumerate(([1.0, 0.5], [1.0, 2.0], [2.5, 0.5])):
        latent = model.advance(latent, torch.tensor(step), nu)
        torch.testing.assert_close(states[:, k], latent)
