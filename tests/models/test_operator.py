import torch

from ups_data.models.operator import LatentOperator


def operator(params: int = 2) -> LatentOperator:
    torch.manual_seed(0)
    op = LatentOperator(32, (4, 4), depth=1, params=params)
    torch.nn.init.normal_(op.out.weight, std=0.1)
    return op


def test_it_starts_as_nothing_changes() -> None:
    op, latent = LatentOperator(32, (4, 4)), torch.randn(2, 16, 32)
    assert torch.equal(op(latent, torch.ones(2)), latent)


def test_time_and_parameters_matter() -> None:
    op, latent, params = operator(), torch.randn(2, 16, 32), torch.randn(2, 2)
    a = op(latent, torch.ones(2), params)
    assert not torch.allclose(a, op(latent, 2 * torch.ones(2), params), atol=1e-4)
    assert not torch.allclose(a, op(latent, torch.ones(2), params + 1), atol=1e-4)


def test_a_rollout_is_step_after_step() -> None:
    op, latent, params = operator(), torch.randn(2, 16, 32), torch.randn(2, 2)
    dt = torch.tensor([[1.0, 2.0, 0.5], [1.0, 1.0, 3.0]])
    states = op.rollout(latent, dt, params)
    assert states.shape == (2, 3, 16, 32)
    for k in range(3):
        latent = op(latent, dt[:, k], params)
        assert torch.equal(states[:, k], latent)
