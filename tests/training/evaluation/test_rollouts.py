"""Twenty steps of the problems that the project ships configurations for.

Errors by step, and files of predictions, against the model rolled out by hand.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.programs import printed
from tests.datasets import BURGERS, DIFFUSION_REACTION, real
from tests.training.rolled import by_hand, from_netcdf, from_shards, from_vtk
from tests.training.runs import QUIET
from ups_data.cli.shipped import find_config
from ups_data.training import load_config, train

SMALL = ["model.dim=16", "model.depth=1", "training.epochs=1", "training.device=cpu", "data.threads=1"]


def rolled(root: Path, folder: Path, config: str, *overrides: str, from_noise: bool = False) -> dict:
    """Train a little, and evaluate a rollout of 20 steps.

    Args:
        from_noise: the first frame is noise, and the last one is nearer to it than the second.
    """
    options = [f"data.root={root}", f"out={folder / 'run'}", *SMALL, *overrides]
    train(load_config(find_config(config), options), console=QUIET)
    text = printed("evaluate", folder / "run", "--rollout", 20, "--out", folder / "out")
    assert "nRMSE, persistence" in " ".join(text.split())
    assert (folder / "out" / "error-by-step.png").stat().st_size > 10_000
    assert list((folder / "out").glob("frames-*.png"))
    values = json.loads((folder / "out" / "report.json").read_text())
    assert [step["step"] for step in values["steps"]] == list(range(1, 21))
    persistence = [step["baselines"]["persistence"]["nrmse"] for step in values["steps"]]
    assert (persistence[-1] < persistence[0]) == from_noise
    return values


def check_against_the_tensors(values: dict, root: Path, folder: Path, field: str, *, stride: int, starts: int) -> None:
    """Errors by step are those of the model rolled out by hand from each start; files hold those of the first start."""
    errors = []
    for start in range(starts):
        found, truth = by_hand(folder / "run", root, field, start=start, stride=stride, steps=20)
        away = np.linalg.norm((found - truth).reshape(20, -1), axis=1)
        errors.append(away / np.linalg.norm(truth.reshape(20, -1), axis=1))
    np.testing.assert_allclose([s["nrmse"] for s in values["steps"]], np.mean(errors, axis=0), rtol=1e-4)
    found, _ = by_hand(folder / "run", root, field, start=0, stride=stride, steps=20)
    for kind, reopened in {"shards": from_shards, "vtk": from_vtk, "netcdf": from_netcdf}.items():
        printed("predict", folder / "run", root, "--out", folder / kind, "--rollout", 20, "--format", kind)
        np.testing.assert_allclose(reopened(folder / kind, field), found, rtol=1e-5, atol=1e-5 * np.abs(found).max())
    of_shards = from_shards(folder / "shards", field)
    np.testing.assert_array_equal(from_vtk(folder / "vtk", field), of_shards)
    np.testing.assert_array_equal(from_netcdf(folder / "netcdf", field), of_shards)


def test_diffusion_reaction(tmp_path: Path) -> None:
    printed("simulate", tmp_path / "s.h5", "--trajectories", 4, "--size", 12, "--steps", 22)
    printed("convert", tmp_path / "s.h5", "--out", tmp_path / "d", "--split", "train=0.5,valid=0.25,test=0.25")
    values = rolled(tmp_path / "d", tmp_path, "train_diffusion_reaction", "model.tokens=3")
    assert values["samples"] == 2
    assert values["points"] == 2 * 20 * 12 * 12
    assert values["steps"][19]["dt"] == pytest.approx(20 * 5 / 21, rel=1e-5)
    check_against_the_tensors(values, tmp_path / "d", tmp_path, "data", stride=1, starts=2)


@pytest.mark.slow
def test_diffusion_reaction_of_pdebench(tmp_path: Path) -> None:
    printed("convert", real(DIFFUSION_REACTION), "--out", tmp_path / "d")
    small = ["model.tokens=8", "data.batch_size=2"]
    values = rolled(tmp_path / "d", tmp_path, "train_diffusion_reaction", *small, from_noise=True)
    assert values["steps"][19]["dt"] == pytest.approx(5.0, rel=1e-3)
    check_against_the_tensors(values, tmp_path / "d", tmp_path, "data", stride=1, starts=1)


@pytest.mark.slow
def test_burgers(tmp_path: Path) -> None:
    printed("convert", real(BURGERS), "--out", tmp_path / "d")
    values = rolled(tmp_path / "d", tmp_path, "train_burgers", "data.dt_stride=10")
    assert values["steps"][19]["dt"] == pytest.approx(2.0, rel=1e-3)
    assert values["fields"].keys() == {"tensor"}
    check_against_the_tensors(values, tmp_path / "d", tmp_path, "tensor", stride=10, starts=1)
