"""Averaged weights: the formula, what is validated with them, and a run that goes on."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.runs import QUIET, config, outcome
from ups_data import UpsDataError
from ups_data.training.evaluation.validation import evaluate
from ups_data.training.loop import train
from ups_data.training.runs.checkpoint import load_checkpoint
from ups_data.training.runs.trained import load_trained

EMA: dict[str, Any] = {"ema": 0.8, "epochs": 1, "query_sample_ratio": 0.3, "checkpoint_every": 1}


def test_the_average_is_the_formula_and_is_what_is_validated_and_loaded(waves: Path, tmp_path: Path) -> None:
    averages: list[dict[str, torch.Tensor]] = []
    settings = config(waves, tmp_path, **EMA)

    def follow(record: Any) -> None:
        if record.step:  # the checkpoint of the step before is there
            weights = load_checkpoint(tmp_path / "checkpoint.pt")["model"]
            last = averages[-1] if averages else weights
            averages.append({name: 0.8 * last[name] + 0.2 * value for name, value in weights.items()})

    result = train(settings, on_step=follow, console=QUIET)
    state = load_checkpoint(tmp_path / "checkpoint.pt")
    expected = {name: 0.8 * averages[-1][name] + 0.2 * value for name, value in state["model"].items()}
    assert state["average"]["steps"] == 7
    for name, value in state["average"]["model"].items():
        torch.testing.assert_close(value, expected[name], msg=name)
    model, loader = load_trained(tmp_path)
    assert evaluate(model, loader).nrmse == result.valid_nrmse
    assert not torch.equal(model.state_dict()["decoder.read.2.weight"], state["model"]["decoder.read.2.weight"])
    with pytest.raises(UpsDataError, match=r"made with training\.ema=0\.8, the configuration has None"):
        train(config(waves, tmp_path, **{**EMA, "ema": None}), console=QUIET)


def test_stopped_and_continued(waves: Path, tmp_path: Path) -> None:
    keys = {**EMA, "epochs": 2, "accumulate": 2}
    train(config(waves, tmp_path / "whole", data={"batch_size": 2}, **keys), console=QUIET)
    for stop_after in (4, 11):
        answers = iter([False] * stop_after)
        stopped = config(waves, tmp_path / "stopped", data={"batch_size": 2}, **keys)
        train(stopped, console=QUIET, stop=lambda answers=answers: next(answers, True))  # type: ignore[misc]
    train(config(waves, tmp_path / "stopped", data={"batch_size": 2}, **keys), console=QUIET)
    found, expected = outcome(tmp_path / "stopped"), outcome(tmp_path / "whole")
    assert found == expected
    averages = [load_checkpoint(tmp_path / name / "checkpoint.pt")["average"]["model"] for name in ("stopped", "whole")]
    assert all(torch.equal(averages[0][name], averages[1][name]) for name in averages[0])


def test_errors_of_the_parts_are_fed_back_together(waves: Path, tmp_path: Path) -> None:
    """With the metric `error`, the points of the second epoch depend on the errors of the first."""
    keys: dict[str, Any] = {
        "query_sample_ratio": 0.2,
        "query_sampling_mode": "importance",
        "importance_metric": "error",
        "importance_window": 1,
    }
    whole = train(config(waves, tmp_path / "whole", **keys), console=QUIET)
    parts = train(config(waves, tmp_path / "parts", data={"batch_size": 2}, accumulate=2, **keys), console=QUIET)
    for found, expected in zip(parts.epochs, whole.epochs, strict=True):
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-4)


@pytest.mark.slow
def test_compiled_losses_are_the_same(waves: Path, tmp_path: Path) -> None:
    plain = train(config(waves, tmp_path / "plain", query_sample_ratio=0.3), console=QUIET)
    compiled = train(config(waves, tmp_path / "compiled", query_sample_ratio=0.3, compile=True), console=QUIET)
    for found, expected in zip(compiled.epochs, plain.epochs, strict=True):
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-3)
