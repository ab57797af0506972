"""`query_sample_ratio=auto`: chosen once, written down before the first step, and the same after a kill."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.runs import QUIET, config, lines, outcome
from ups_data import UpsDataError
from ups_data.models.protocol import Model
from ups_data.training.config import TrainConfig
from ups_data.training.loop import TrainResult, train
from ups_data.training.noise import GradientNoise, Noise, StepCosts, Within
from ups_data.training.points import auto
from ups_data.training.points.auto import choose
from ups_data.training.points.batches import chosen_together
from ups_data.training.ranks.group import Group
from ups_data.training.runs.checkpoint import load_checkpoint, save_checkpoint

# Seven steps an epoch; chosen before the first and the third.
SETTINGS: dict[str, Any] = {
    "query_sample_ratio": "auto",
    "query_auto_epochs": [2],
    "query_sampling_mode": "stratified",
    "epochs": 3,
    "checkpoint_every": 2,
    "validate_every": 3,
}
RATIOS = (0.1, 0.5)


class Measured:
    """In place of `measure_noise`: another result each time, as times of real steps would give."""

    def __init__(self) -> None:
        self.models: list[torch.Tensor] = []

    def __call__(self, config: TrainConfig, *, model: Model, modes: list[str], **options: Any) -> Noise:
        torch.rand(3)  # what a real one takes from the generators
        self.models.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        for parameter in model.parameters():
            parameter.data.zero_()
        dear = 1e-3 if len(self.models) % 2 else 1e-7
        within = {mode: {r: Within(0.25 * (1 / r - 1), 0.0) for r in RATIOS} for mode in modes}
        costs = StepCosts(fixed=0.0, encoder=1e-4, per_query=dear, misfit=0.0)
        return Noise(GradientNoise(10, 1.0, 0.1, 1.0, within), costs, 256, 30, {})


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    found = Measured()
    monkeypatch.setattr(auto, "measure_noise", found)
    return found


def run(settings: TrainConfig, **options: Any) -> TrainResult:
    return train(settings, console=QUIET, **options)


def test_killed_and_continued(waves: Path, tmp_path: Path, measured: Measured) -> None:
    """Parameters, points and metrics of an undisturbed run, bit for bit: what was chosen is not measured again."""
    whole = run(config(waves, tmp_path / "whole", **SETTINGS))
    assert [(made["epoch"], made["ratio"]) for made in whole.points] == [(0, 0.1), (2, 0.5)]
    assert [entry["queries"] for entry in whole.epochs] == [26, 26, 128]
    assert len(measured.models) == 2
    assert not torch.equal(*measured.models)  # the second time it is the model as trained by then

    measured.models.clear()
    for limit in (3, 12, 100):
        left = iter(range(limit))

        def kill(record: Any, left: Any = left) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        try:
            result = run(config(waves, tmp_path / "killed", **SETTINGS), on_step=kill)
        except KeyboardInterrupt:
            continue
    assert result.finished
    assert len(measured.models) == 2
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")
    assert result.points == whole.points


@pytest.mark.parametrize(
    ("epochs", "again"), [(1, []), (2, [1]), (3, [1, 2]), (8, [1, 2, 4]), (16, [2, 4, 8]), (100, [13, 25, 50])]
)
def test_it_measures_again_if_no_epochs_are_named(
    waves: Path, tmp_path: Path, measured: Measured, epochs: int, again: list[int]
) -> None:
    settings = config(waves, tmp_path, **{**SETTINGS, "query_auto_epochs": None})
    assert settings.training.auto_epochs(epochs) == again
    if epochs == 3:
        assert [made["epoch"] for made in run(settings).points] == [0, *again]


def test_a_run_cut_short_has_as_many_epochs_as_it_has(waves: Path, tmp_path: Path, measured: Measured) -> None:
    """Of 80 epochs of seven steps, 14 steps are two."""
    settings = {**SETTINGS, "query_auto_epochs": None, "epochs": 80, "max_steps": 14, "validate_every": 80}
    assert [made["epoch"] for made in run(config(waves, tmp_path, **settings)).points] == [0, 1]


def test_a_run_that_an_earlier_version_began_goes_on(waves: Path, tmp_path: Path) -> None:
    """Its configuration has the default of then, `[]`."""
    settings = config(waves, tmp_path, epochs=2, query_sample_ratio=0.1)
    assert settings.training.query_auto_epochs is None
    steps = [0]

    def count(record: Any) -> None:
        steps[0] += 1

    run(settings, on_step=count, stop=lambda: steps[0] >= 3)
    state = load_checkpoint(tmp_path / "checkpoint.pt")
    state["config"]["training"]["query_auto_epochs"] = []
    save_checkpoint(tmp_path / "checkpoint.pt", state)
    assert run(settings).finished


def test_it_is_written_down_before_the_first_step(waves: Path, tmp_path: Path, measured: Measured) -> None:
    def kill(record: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config(waves, tmp_path, **SETTINGS), on_step=kill)
    [made] = load_checkpoint(tmp_path / "checkpoint.pt")["history"]["points"]
    assert (made["epoch"], made["mode"], made["ratio"], made["queries"]) == (0, "stratified", 0.1, 26)
    assert "progress per second" in made["reason"]
    found = lines(tmp_path)
    assert found[0] == {"epoch": 0, "points": made}
    assert "loss" in found[1]


def test_the_history_says_so(waves: Path, tmp_path: Path, measured: Measured) -> None:
    run(config(waves, tmp_path, **{**SETTINGS, "epochs": 1, "query_auto_epochs": []}))
    history = json.loads((tmp_path / "history.json").read_text())
    assert history["config"]["training"]["query_sample_ratio"] == "auto"
    assert [made["ratio"] for made in history["points"]] == [0.1]
    assert history["epochs"][0]["queries"] == 26


def test_a_run_is_that_of_the_ratio_chosen(waves: Path, tmp_path: Path, measured: Measured) -> None:
    """Measuring leaves the model and the random states as they were."""
    run(config(waves, tmp_path / "auto", **{**SETTINGS, "epochs": 1, "query_auto_epochs": []}))
    run(config(waves, tmp_path / "plain", epochs=1, query_sample_ratio=0.1, query_sampling_mode="stratified"))
    auto_run, plain = (load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("auto", "plain"))
    for name, value in plain["model"].items():
        assert torch.equal(auto_run["model"][name], value)
    assert torch.equal(auto_run["rng"]["torch"], plain["rng"]["torch"])


def test_one_rank_measures_for_all(waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank that is not the first takes what it is told, and measures nothing."""

    class Second(Group):
        def __init__(self) -> None:
            super().__init__(1, 2)

        def total(self, amounts: Any) -> list[float]:
            return list(amounts)

        def of_first(self, value: Any) -> Any:
            assert value == {}
            return {"epoch": 0, "ratio": 0.3}

    monkeypatch.setattr(auto, "measure_noise", lambda *a, **k: pytest.fail("measured"))
    settings = config(waves, tmp_path, **SETTINGS)
    model: Any = torch.nn.Linear(1, 1)
    assert chosen_together(settings, model, 0, 3, [], Second()) == {"epoch": 0, "ratio": 0.3}
    assert chosen_together(settings, model, 1, 3, [{"epoch": 0}], Second()) is None


def test_the_mode_is_chosen_too_where_none_is_named(waves: Path, tmp_path: Path, measured: Measured) -> None:
    asked: list[list[str]] = []

    class Recorded(Measured):
        def __call__(self, config: TrainConfig, **options: Any) -> Noise:
            asked.append(options["modes"])
            return super().__call__(config, **options)

    auto.measure_noise = Recorded()  # type: ignore[assignment]  # taken back by the fixture
    model: Any = torch.nn.Linear(1, 1)
    for mode in ("uniform", "stratified"):
        settings = config(waves, tmp_path, **{**SETTINGS, "query_sampling_mode": mode})
        assert choose(settings, model, 0)["batch_size"] == 4
    assert asked == [["uniform", "stratified"], ["stratified"]]


def test_noise_that_hides_the_gradient_is_no_end(waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes most off the variance per second is taken."""
    costs = StepCosts(fixed=0.0, encoder=1e-4, per_query=1e-3, misfit=0.0)
    within = {"stratified": {0.1: Within(3.0, 0.0), 0.5: Within(1.0, 0.0)}}
    noise = Noise(GradientNoise(10, 1.0, 0.1, 0.0, within), costs, 256, 30, {})
    monkeypatch.setattr(auto, "measure_noise", lambda *a, **k: noise)
    made = choose(config(waves, tmp_path, **SETTINGS), torch.nn.Linear(1, 1), 0)  # type: ignore[arg-type]
    variance = {0.1: 4.0, 0.5: 2.0, 1.0: 1.0}
    best = min(variance, key=lambda ratio: variance[ratio] * (1e-4 + ratio * 256 * 1e-3))
    assert made["ratio"] == best


def test_it_is_measured_on_real_batches(waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SAMPLES", 3), ("DRAWS", 1), ("RATIOS", RATIOS)):
        monkeypatch.setattr(auto, name, value)
    result = run(config(waves, tmp_path, **{**SETTINGS, "epochs": 1, "query_cycle": True, "max_steps": 2}))
    [made] = result.points
    assert made["ratio"] in (*RATIOS, 1.0)
    assert made["gain"] >= 1
    assert result.epochs[0]["queries"] == made["queries"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"query_sample_ratio": "often"}, "0 and at most 1, or auto"),
        ({"query_auto_epochs": [1]}, "no effect without query_sample_ratio=auto"),
        ({"query_sample_ratio": "auto", "query_mode_schedule": {1: "stratified"}}, "query_mode_schedule"),
        ({"query_sample_ratio": "auto", "query_sampling_schedule": "cosine"}, "query_sampling_schedule"),
        (
            {"query_sample_ratio": "auto", "query_sampling_mode": "importance", "importance_metric": "error"},
            "importance_metric=error",
        ),
    ],
)
def test_what_does_not_go_together(waves: Path, tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    with pytest.raises((UpsDataError, ValueError), match=says):
        config(waves, tmp_path, **settings)
    data = {"sampling": {"ratio": 0.1}}
    with pytest.raises(ValueError, match=r"data\.sampling"):
        config(waves, tmp_path, data=data, query_sample_ratio="auto")
