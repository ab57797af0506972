"""Twenty steps of the problems that the project ships configurations for."""

import json
from pathlib import Path

import pytest

from tests.cli.programs import printed
from tests.datasets import BURGERS, real
from tests.training.runs import QUIET
from ups_data.cli.shipped import find_config
from ups_data.training import load_config, train

SMALL = ["model.dim=16", "model.depth=1", "training.epochs=1", "training.device=cpu", "data.threads=1"]


def rolled(root: Path, folder: Path, config: str, *overrides: str) -> dict:
    """Train a little, and evaluate a rollout of 20 steps."""
    options = [f"data.root={root}", f"out={folder / 'run'}", *SMALL, *overrides]
    train(load_config(find_config(config), options), console=QUIET)
    text = printed("evaluate", folder / "run", "--rollout", 20, "--out", folder / "out")
    assert "nRMSE, persistence" in " ".join(text.split())
    assert (folder / "out" / "error-by-step.png").stat().st_size > 10_000
    assert list((folder / "out").glob("frames-*.png"))
    values = json.loads((folder / "out" / "report.json").read_text())
    assert [step["step"] for step in values["steps"]] == list(range(1, 21))
    persistence = [step["baselines"]["persistence"]["nrmse"] for step in values["steps"]]
    assert persistence[-1] > persistence[0]
    return values


def test_diffusion_reaction(tmp_path: Path) -> None:
    printed("simulate", tmp_path / "s.h5", "--trajectories", 4, "--size", 12, "--steps", 22)
    printed("convert", tmp_path / "s.h5", "--out", tmp_path / "d", "--split", "train=0.5,valid=0.25,test=0.25")
    values = rolled(tmp_path / "d", tmp_path, "train_diffusion_reaction", "model.tokens=3")
    assert values["samples"] == 2
    assert values["points"] == 2 * 20 * 12 * 12
    assert values["steps"][19]["dt"] == pytest.approx(20 * 5 / 21, rel=1e-5)


@pytest.mark.slow
def test_burgers(tmp_path: Path) -> None:
    printed("convert", real(BURGERS), "--out", tmp_path / "d")
    values = rolled(tmp_path / "d", tmp_path, "train_burgers", "data.dt_stride=5")
    assert values["steps"][19]["dt"] == pytest.approx(1.0, rel=1e-3)
    assert values["fields"].keys() == {"tensor"}
