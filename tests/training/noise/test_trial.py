"""The steps that a copy of the model takes before its noise is measured are those of the run."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.training.runs import QUIET, config
from ups_data import UpsDataError
from ups_data.cli.main import app
from ups_data.training.config import TrainConfig
from ups_data.training.latents.start import started
from ups_data.training.loaders import open_manifest
from ups_data.training.loop import train
from ups_data.training.noise import measure_noise
from ups_data.training.noise.trial import after_steps
from ups_data.training.runs.rng import seed_all
from ups_data.training.targets import model_of

CPU = torch.device("cpu")


def tried(settings: TrainConfig, steps: int) -> tuple[Any, Any, list[int]]:
    """The model, the copy that has taken the steps, and what was reported."""
    told: list[int] = []
    seed_all(settings.training.seed)
    model = started(model_of(settings, open_manifest(settings), None), settings)
    copied, taken = after_steps(settings, model, steps, CPU, lambda done, of: told.append(done))
    assert taken == told[-1]
    return model, copied, told


@pytest.mark.parametrize(
    ("given", "trained"),
    [
        ({}, {"query_sample_ratio": 0.1, "query_sampling_mode": "stratified"}),
        ({"query_sample_ratio": "auto"}, {"query_sample_ratio": 0.1, "query_sampling_mode": "stratified"}),
        ({"query_sample_ratio": 0.3}, {"query_sample_ratio": 0.3}),
        ({"query_sample_ratio": 0.3, "frozen": ["encoder"]}, {"query_sample_ratio": 0.3, "frozen": ["encoder"]}),
        (
            {"query_sample_ratio": 0.2, "query_sampling_mode": "importance", "importance_metric": "error"},
            {"query_sample_ratio": 0.2, "query_sampling_mode": "importance", "importance_metric": "error"},
        ),
        (
            {"query_sampling_schedule": "linear", "query_sample_ratio": 0.2},
            {"query_sampling_schedule": "linear", "query_sample_ratio": 0.2},
        ),
    ],
)
def test_they_are_those_of_the_run(waves: Path, tmp_path: Path, given: dict[str, Any], trained: dict[str, Any]) -> None:
    """Nine steps, which is into the second epoch: bit for bit, of a tenth of the points where the run draws all."""
    model, copied, told = tried(config(waves, tmp_path / "trial", epochs=4, **given), 9)
    steps = [0]

    def count(record: Any) -> None:
        steps[0] += 1

    settings = config(waves, tmp_path / "run", epochs=4, **trained)
    run = train(settings, console=QUIET, on_step=count, stop=lambda: steps[0] >= 9)
    assert steps == [9]
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, copied.state_dict()[name]), name
    assert not all(torch.equal(p, q) for p, q in zip(model.parameters(), copied.parameters(), strict=True))
    assert told == list(range(1, 10))
    assert not (tmp_path / "trial").exists()


def test_a_run_that_is_shorter_is_the_end_of_it(waves: Path, tmp_path: Path) -> None:
    *_, told = tried(config(waves, tmp_path, epochs=1, max_steps=3), 200)
    assert told == [1, 2, 3]


def test_the_noise_is_that_of_the_model_by_then(waves: Path, tmp_path: Path) -> None:
    settings = config(waves, tmp_path, epochs=4)
    few: dict[str, Any] = {"modes": ["uniform"], "ratios": [0.1], "samples": 4, "draws": 1}
    told: list[tuple[int, int]] = []
    _, copied, _ = tried(settings, 9)
    after = measure_noise(settings, after=9, progress=lambda *done: told.append(done), **few)
    assert after.gradient == measure_noise(settings, model=copied, **few).gradient
    assert after.gradient.between != measure_noise(settings, **few).gradient.between
    assert told[:9] == [(k, told[0][1]) for k in range(1, 10)]
    assert told[-1][0] >= 9 + 8
    assert (after.after, after.to_json()["after"]) == (9, 9)


def test_a_run_that_begins_with_other_weights(waves: Path, tmp_path: Path) -> None:
    """`start_from` and `frozen` are what the noise is measured of, as the run would begin; a checkpoint has its own."""
    few: dict[str, Any] = {"modes": ["uniform"], "ratios": [0.1], "samples": 4, "draws": 1}
    train(config(waves, tmp_path / "first", epochs=1), console=QUIET)
    plain = measure_noise(config(waves, tmp_path / "run"), **few).gradient
    begun = config(waves, tmp_path / "run", start_from=str(tmp_path / "first"))
    trained = measure_noise(config(waves, tmp_path / "run"), run=tmp_path / "first", **few).gradient
    assert measure_noise(begun, **few).gradient == trained != plain
    frozen = config(waves, tmp_path / "run", frozen=["encoder"])
    assert measure_noise(frozen, **few).gradient.between < plain.between
    for wrong in ({"frozen": ["nonsense"]}, {"start_from": str(tmp_path / "nowhere")}):
        with pytest.raises(UpsDataError, match="nonsense|nowhere"):
            measure_noise(config(waves, tmp_path / "run", **wrong), **few)
    gone = config(waves, tmp_path / "run", start_from=str(tmp_path / "nowhere"))
    assert measure_noise(gone, run=tmp_path / "first", **few).gradient == trained


def test_what_is_refused_is_refused_before_the_trial(waves: Path, tmp_path: Path) -> None:
    told: list[int] = []
    settings = config(waves, tmp_path)
    for wrong, says in (({"modes": ["nonsense"]}, "nonsense"), ({"ratios": [0.9999]}, "256 points that is all")):
        with pytest.raises(UpsDataError, match=says):
            measure_noise(settings, after=5, progress=lambda done, of: told.append(done), **wrong)
    assert told == []


def test_the_mode_that_the_configuration_has_is_measured_too(waves: Path, tmp_path: Path) -> None:
    """Or the advice could not be compared with it."""
    given = [f"data.root={waves}", f"out={tmp_path}", "model.dim=16", "model.tokens=4", "model.depth=1"]
    given += ["training.query_sample_ratio=0.25", "training.query_sampling_mode=lattice", "data.batch_size=4"]
    options = ["--ratios", "0.25", "--samples", "4", "--after", "1", "--json", str(tmp_path / "out.json")]
    done = CliRunner().invoke(app, ["suggest-points", "train_diffusion_reaction", *given, *options])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["after"] == 1
    done = CliRunner().invoke(
        app, ["suggest-points", "train_diffusion_reaction", *given, *options, "--modes", "uniform"]
    )
    assert isinstance(done.exception, UpsDataError)
    assert "draws in mode 'lattice', so name it too" in str(done.exception)
