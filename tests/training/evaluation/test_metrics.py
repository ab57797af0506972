"""Measures against their formulas, written out, and against those who defined them."""

import math

import pytest
import torch
from torch import Tensor

from ups_data.training.evaluation.metrics import FrameSums, max_error, nrmse, relative_l1, relative_l2, vrmse
from ups_data.training.evaluation.spectra import bands_of, shell_errors


def pair(*shape: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(len(shape))
    return torch.randn(shape), 1.5 + 2 * torch.randn(shape)


def test_measures_are_their_formulas() -> None:
    predicted, target = (x.double() for x in pair(3, 4, 50, 2))
    error = predicted - target
    torch.testing.assert_close(nrmse(predicted, target), error.norm(dim=(-2, -1)) / target.norm(dim=(-2, -1)))
    torch.testing.assert_close(relative_l2(predicted, target), nrmse(predicted, target))
    torch.testing.assert_close(relative_l1(predicted, target), error.abs().sum((-2, -1)) / target.abs().sum((-2, -1)))
    torch.testing.assert_close(max_error(predicted, target), error.abs().amax((-2, -1)))
    each = [(error[..., c].square().mean(-1) / target[..., c].var(-1)).sqrt() for c in (0, 1)]
    torch.testing.assert_close(vrmse(predicted, target), (each[0] + each[1]) / 2)


def test_frames_in_parts_are_frames_at_once() -> None:
    """Also where a large mean would eat the digits of a variance, with points that do not count, and out of order."""
    predicted, target = (x.double() for x in pair(2, 3, 40, 2))
    predicted, target = predicted + 1e6, target + 1e6
    sums = FrameSums((2, 3), torch.full((2,), 1e6))
    for start, stop in ((13, 40), (0, 13)):
        mask = torch.ones(2, 2, stop - start + 5, dtype=torch.bool)
        mask[..., -5:] = False
        more = [torch.cat([x[:, 1:, start:stop], torch.full((2, 2, 5, 2), 7e8)], dim=2) for x in (predicted, target)]
        sums.add(more[0] * 1.0, more[1], mask, steps=slice(1, 3))
        sums.add(predicted[:, :1, start:stop], target[:, :1, start:stop], steps=slice(0, 1))
    found = sums.measures()
    for name, function in (("nrmse", nrmse), ("vrmse", vrmse), ("rel_l1", relative_l1), ("max_error", max_error)):
        torch.testing.assert_close(found[name], function(predicted, target), rtol=1e-9, atol=0)


def test_a_frame_of_zeros_has_no_relative_error() -> None:
    zeros = torch.zeros(1, 5, 1)
    assert nrmse(zeros + 1, zeros).isnan().all()
    assert (nrmse(zeros, zeros) == 0).all()


@pytest.mark.parametrize("grid", [(40,), (30, 28), (26, 30, 28)])
def test_bands_are_pdebench_s(grid: tuple[int, ...]) -> None:
    """The definition of appendix B, wavenumber by wavenumber."""
    predicted, target = (x.double() for x in pair(3, math.prod(grid), 2))
    shells = min(grid) // 2 if len(grid) > 1 else grid[0] // 2 + 1
    squares = torch.zeros(3, 2, shells, dtype=torch.float64)
    error = torch.fft.fftn((predicted - target).unflatten(1, grid), dim=tuple(range(1, 1 + len(grid)))).abs() ** 2
    for k in (
        torch.cartesian_prod(*(torch.arange(n // 2 + (len(grid) == 1)) for n in grid)).view(-1, len(grid)).tolist()
    ):
        shell = math.isqrt(sum(i * i for i in k))
        if shell < shells:
            squares[:, :, shell] += error[(slice(None), *k)]
    amplitude = squares.mean(0).sqrt() / math.prod(grid)
    expected = {"low": amplitude[:, :4].mean(), "mid": amplitude[:, 4:12].mean(), "high": amplitude[:, 12:].mean()}
    found = bands_of(shell_errors(predicted, target, grid).mean(0), math.prod(grid))
    assert found == pytest.approx({name: value.item() for name, value in expected.items()}, rel=1e-9)


def test_nrmse_and_the_largest_error_are_pdebench_s() -> None:
    """Of each channel √(mean e²) / √(mean t²), averaged over samples; the largest error of all."""
    predicted, target = pair(4, 60, 1)
    rmse = (predicted - target).square().mean(1).sqrt()
    expected = (rmse / target.square().mean(1).sqrt()).mean().item()
    assert nrmse(predicted, target).mean().item() == pytest.approx(expected, rel=1e-6)
    assert max_error(predicted, target).max().item() == pytest.approx((predicted - target).abs().max().item())


@pytest.mark.clients
@pytest.mark.parametrize("grid", [(64,), (16, 12), (8, 6, 10)])
def test_measures_are_those_of_the_well(grid: tuple[int, ...]) -> None:
    metrics = pytest.importorskip("the_well.benchmark.metrics.spatial")
    from types import SimpleNamespace

    meta = SimpleNamespace(n_spatial_dims=len(grid))
    predicted, target = pair(3, math.prod(grid), 2)
    theirs = [x.unflatten(1, grid) for x in (predicted, target)]
    for name, ours in {"VRMSE": vrmse, "NRMSE": nrmse, "NMAE": relative_l1, "LInfinity": max_error}.items():
        expected = getattr(metrics, name).eval(*theirs, meta)
        found = torch.stack([ours(predicted[..., c : c + 1], target[..., c : c + 1]) for c in (0, 1)], dim=-1)
        torch.testing.assert_close(found.float(), expected, rtol=1e-6, atol=1e-6)
    both = metrics.VRMSE.eval(*theirs, meta).mean(-1)
    torch.testing.assert_close(vrmse(predicted, target).float(), both, rtol=1e-6, atol=1e-6)


@pytest.mark.clients
@pytest.mark.parametrize("grid", [(64,), (30, 28), (26, 30, 28)])
def test_measures_are_those_of_pdebench(grid: tuple[int, ...]) -> None:
    """Its own code, where there is any: `pip install --no-deps --ignore-requires-python pdebench`."""
    theirs = pytest.importorskip("pdebench.models.metrics").metric_func
    predicted, target = pair(3, math.prod(grid), 2)
    # (batch, *grid, step, channel) with the channels outermost in memory: its views want that of three axes.
    frames = [x.mT.contiguous().mT.unflatten(1, grid).unsqueeze(-2) for x in (predicted, target)]
    _, relative, _, largest, _, spectrum = theirs(*frames, if_mean=False)
    each = [(predicted[..., c : c + 1], target[..., c : c + 1]) for c in (0, 1)]
    ours = torch.stack([nrmse(*pair_).mean() for pair_ in each])
    torch.testing.assert_close(ours.float(), relative[:, 0], rtol=1e-6, atol=1e-6)
    most = torch.stack([max_error(*pair_).max() for pair_ in each])
    torch.testing.assert_close(most.float(), largest[:, 0], rtol=1e-6, atol=1e-6)
    found = bands_of(shell_errors(predicted, target, grid).mean(0), math.prod(grid))
    expected = dict(zip(("low", "mid", "high"), spectrum[..., 0].mean(0).tolist(), strict=True))
    assert found == pytest.approx({name: expected[name] for name in found}, rel=1e-5)
