"""Training with every way of choosing points: from the configuration to what the history says."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import travelling_waves
from tests.training.runs import QUIET, config, outcome
from ups_data import ShardWriter, UpsDataError
from ups_data.models.protocol import query_errors
from ups_data.training.loaders import train_loader
from ups_data.training.loop import train

MODES = {
    "importance": {"query_sampling_mode": "importance"},
    "variance": {"query_sampling_mode": "importance", "importance_metric": "variance", "importance_floor": 0.3},
    "error": {"query_sampling_mode": "importance", "importance_metric": "error"},
    "mixture": {"query_sampling_mode": {"stratified": 0.7, "importance": 0.3}, "importance_metric": "error"},
    "off grid": {"query_sampling_mode": "stratified", "query_off_grid": True},
    "late": {"query_sampling_mode": "uniform", "query_mode_schedule": {1: "importance"}},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 × 16, three training trajectories and one for validation, with importance."""
    root = tmp_path_factory.mktemp("data") / "waves"
    rng = np.random.default_rng(0)
    with ShardWriter(root, importance=("gradient", "variance")) as writer:
        for i in range(4):
            writer.add({"u": travelling_waves(rng, 6, (16, 16))}, split="train" if i < 3 else "valid")
    return root


@pytest.mark.parametrize("name", MODES)
def test_every_mode_trains_and_logs_its_points(root: Path, tmp_path: Path, name: str) -> None:
    result = train(config(root, tmp_path / "run", query_sample_ratio=0.25, **MODES[name]), console=QUIET)
    assert [(e["queries"], e["ratio"]) for e in result.epochs] == [(64, 0.25)] * 2
    assert all(np.isfinite(e["loss"]["total"]) for e in result.epochs)
    history = json.loads((tmp_path / "run/history.json").read_text())
    assert [e["queries"] for e in history["epochs"]] == [64, 64]


def test_a_schedule_by_step_is_logged_step_by_step(root: Path, tmp_path: Path) -> None:
    ramp = {"query_sampling_schedule": "linear", "query_sample_end_ratio": 0.25, "query_schedule_unit": "step"}
    steps = []
    run = config(root, tmp_path / "run", **ramp, query_multiple=8)
    train(run, console=QUIET, on_step=lambda record: steps.append(record.queries))
    assert steps == [run.to_sampling().count(256, i / 3) for i in range(6)]
    assert steps[:4] == [256, 192, 128, 64]


def test_the_tables_are_those_of_the_models_errors(root: Path, tmp_path: Path) -> None:
    """Importance by error draws other points than its first, even, window, and a run that is stopped in the middle goes
    on with the same."""
    settings = {"query_sample_ratio": 0.25, "epochs": 3, **MODES["error"]}
    train(config(root, tmp_path / "whole", **settings), console=QUIET)
    steps: list[int] = []
    parts = config(root, tmp_path / "parts", **settings)
    stopped = train(parts, console=QUIET, on_step=lambda r: steps.append(r.step), stop=lambda: len(steps) >= 4)
    assert not stopped.finished
    assert train(parts, console=QUIET).finished
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")
    state = torch.load(tmp_path / "whole/checkpoint.pt", weights_only=True)["loader"]["feedback"][""]
    assert state["table"].shape == (3, 4)
    assert state["table"].min() > 0
    assert state["table"].unique().numel() == 12


def test_errors_without_a_prediction_are_refused(root: Path, tmp_path: Path) -> None:
    weights = {"prediction": 0, "inverse_encoding": 1}
    with pytest.raises(ValueError, match="importance_metric=error needs the errors of a prediction"):
        config(root, tmp_path, loss_weights=weights, **MODES["error"])


def test_importance_that_is_not_stored_is_said_before_training(waves: Path, tmp_path: Path) -> None:
    with pytest.raises(UpsDataError, match="add it with `ups-data importance DIR"):
        train(config(waves, tmp_path / "run", query_sample_ratio=0.25, **MODES["importance"]), console=QUIET)


def test_query_errors_are_root_mean_squares() -> None:
    target = {"a": torch.zeros(2, 3, 2), "b": torch.zeros(2, 3, 1)}
    predicted = {"a": torch.zeros(2, 3, 2), "b": torch.zeros(2, 3, 1), "not a target": torch.ones(2, 3, 1)}
    predicted["a"][1, 2] = torch.tensor([1.0, 7.0])
    predicted["b"][1, 2] = -5.0
    found = query_errors(predicted, target)
    assert found[1, 2] == pytest.approx(5.0)
    assert found.sum() == found[1, 2]


@pytest.mark.parametrize("mode", ["importance", {"stratified": 0.5, "importance": 0.5}], ids=str)
def test_workers_draw_the_same(root: Path, tmp_path: Path, mode: object) -> None:
    loaders = [
        train_loader(config(root, tmp_path, data={"num_workers": n}, query_sample_ratio=0.25, query_sampling_mode=mode))
        for n in (0, 2)
    ]
    for one, other in zip(*loaders, strict=True):
        assert torch.equal(one.target_queries.index, other.target_queries.index)


@pytest.mark.parametrize("fields", [["cp", "flow"], ["flow"], ["cp"]])
def test_the_share_of_frames_of_different_sizes(several: Path, tmp_path: Path, fields: list[str]) -> None:
    """A quarter of each frame's points, though the widest row of a batch is not a quarter of the largest frame."""
    data = {"input_fields": fields, "target_fields": fields, "ragged": "pad", "horizon": 0, "batch_size": 2}
    sets = {"cp": "surface", "flow": "volume"}
    data["inputs"] = {sets[name]: {"num_queries": 20} for name in fields}
    if fields == ["cp"]:  # the other set is not read at all
        data["sampling"] = {"surface": {"ratio": 0.25}}
    run = config(several, tmp_path, data=data, epochs=1, query_sample_ratio=0.25, loss_weights={"inverse_encoding": 0})
    (epoch,) = train(run, console=QUIET).epochs
    assert epoch["ratio"] == pytest.approx(0.25, rel=0.1 if fields == ["cp"] else 0.03)  # of some thirty points each
