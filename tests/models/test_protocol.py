"""Models from outside, and the built-in one by the same road."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests import warm
from tests.models.mine import Pointwise, build
from tests.training.runs import QUIET, config, lines, outcome
from ups_data.errors import UpsDataError
from ups_data.models.config import REFERENCE
from ups_data.schema import Manifest
from ups_data.training import TrainConfig, evaluate, load_trained, train

MINE = "tests.models.mine:build"


def settings(root: Path, out: Path, model: dict[str, Any], **training: Any) -> TrainConfig:
    values = config(root, out, query_sample_ratio=0.3, epochs=3, lr=1e-2).model_dump()
    return TrainConfig.model_validate({**values, "model": model, "training": {**values["training"], **training}})


def pointwise(root: Path) -> Pointwise:
    return build(Manifest.load(root), {}, config(root, root).data)


def totals(out: Path) -> list[float]:
    return [line["loss"]["total"] for line in lines(out) if "loss" in line]


def test_a_model_named_by_its_target_learns(waves: Path, tmp_path: Path) -> None:
    c = settings(waves, tmp_path, {"target": MINE, "options": {"width": 16}}, loss_weights={"mine": 2.0}, epochs=8)
    result = train(c, console=QUIET)
    assert isinstance(result.model, Pointwise)
    assert result.model.net[0].out_features == 16
    found = totals(tmp_path)
    assert sum(found[-7:]) < 0.5 * sum(found[:7])
    assert set(lines(tmp_path)[0]["loss"]) == {"total", "mine"}
    assert result.valid_nrmse is not None
    assert result.untrained_nrmse is not None
    assert result.valid_nrmse < result.untrained_nrmse


def test_a_given_model_is_the_one_that_is_trained(waves: Path, tmp_path: Path) -> None:
    """Its numbers are those of the same model by its target."""
    torch.manual_seed(0)
    model = pointwise(waves)
    assert train(settings(waves, tmp_path / "given", {}), model=model, console=QUIET).model is model
    train(settings(waves, tmp_path / "target", {"target": MINE}), console=QUIET)
    assert totals(tmp_path / "given") == totals(tmp_path / "target")


def test_a_given_model_goes_on_from_its_checkpoint(waves: Path, tmp_path: Path) -> None:
    left = iter(range(16))
    c = settings(waves, tmp_path / "half", {})
    torch.manual_seed(0)
    assert not train(c, model=pointwise(waves), console=QUIET, stop=lambda: next(left, None) is None).finished
    train(c, model=pointwise(waves), console=QUIET)
    torch.manual_seed(0)
    train(settings(waves, tmp_path / "whole", {}), model=pointwise(waves), console=QUIET)
    assert outcome(tmp_path / "half") == outcome(tmp_path / "whole")
    with pytest.raises(UpsDataError, match=r"checkpoint\.pt: .*holds the weights of tests\.models\.mine:Pointwise"):
        train(c, console=QUIET)


def test_errors_that_a_model_reports_are_fed_back(waves: Path, tmp_path: Path) -> None:
    options = {"query_sampling_mode": "importance", "importance_metric": "error", "importance_window": 1}
    train(settings(waves, tmp_path / "a", {"target": MINE}, **options), console=QUIET)
    state = torch.load(tmp_path / "a" / "checkpoint.pt", weights_only=True)
    assert str(state["loader"]["feedback"]) != "{}"


def test_the_built_in_model_by_its_target_is_the_one_without(waves: Path, tmp_path: Path) -> None:
    sizes = {"dim": 32, "depth": 1}
    kinds = {
        "plain": sizes,
        "target": {"target": REFERENCE, **sizes},
        "options": {"target": REFERENCE, "options": sizes},
    }
    for name, model in kinds.items():
        train(settings(waves, tmp_path / name, model, epochs=1), console=QUIET)
    assert outcome(tmp_path / "plain") == outcome(tmp_path / "target") == outcome(tmp_path / "options")
    # One goes on from another's checkpoint.
    assert train(settings(waves, tmp_path / "plain", kinds["options"], epochs=1), console=QUIET).finished


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"target": "no_such_package:build"}, r"'no_such_package:build' cannot be imported \(ModuleNotFound"),
        ({"target": "tests.models.mine:biuld"}, r"cannot be imported \(AttributeError: .*biuld.*give package\.module"),
        ({"target": "tests.models.mine:__name__"}, "is not a function but str"),
        ({"target": "tests.models.mine:mute"}, r"Mute has no method losses\(batch, context\): see `ups_data.models"),
        ({"target": "tests.models.mine:nothing"}, r"gives str, not a torch\.nn\.Module"),
    ],
)  # fmt: skip
def test_targets_that_give_no_model(waves: Path, tmp_path: Path, model: dict[str, Any], message: str) -> None:
    with pytest.raises(UpsDataError, match=message) as error:
        train(settings(waves, tmp_path / "run", model), console=QUIET)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"target": "build"}, "model.target"),
        ({"target": MINE, "dim": 32}, "give model.options.dim instead"),
        ({"options": {"width": 3}}, "width"),
    ],
)
def test_model_sections_that_contradict_themselves(waves: Path, model: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings(waves, waves, model)


def test_a_model_that_misses_what_is_asked_of_it(waves: Path, tmp_path: Path) -> None:
    class Wrong(Pointwise):
        def predict(self, batch: Any) -> dict[str, torch.Tensor]:
            return {self.name: self.at(batch)[:, :3]}

    class Many(Pointwise):
        def losses(self, batch: Any, context: Any) -> dict[str, torch.Tensor]:
            return {"mine": self.at(batch)}

    c = settings(waves, tmp_path, {})
    with pytest.raises(UpsDataError, match=r"Wrong\.predict gives field 'u' in shape \(4, 3, 1\), the target has"):
        train(c, model=Wrong("u", 0.0, 1.0), console=QUIET)
    with pytest.raises(UpsDataError, match=r"the model's loss 'mine' is a tensor of shape \(4, 77, 1\): give"):
        train(c, model=Many("u", 0.0, 1.0), console=QUIET)
    with pytest.raises(UpsDataError, match=r"model: Linear has no method losses"):
        train(c, model=nn.Linear(1, 1), console=QUIET)


def test_a_checkpoint_s_target_is_imported_only_if_trusted(waves: Path, tmp_path: Path) -> None:
    result = train(settings(waves, tmp_path, {"target": MINE}), console=QUIET)
    with pytest.raises(UpsDataError, match=r"'tests\.models\.mine:build', which is not imported unasked"):
        load_trained(tmp_path)
    for options in ({"trust_target": True}, {"model": pointwise(waves)}):
        model, loader = load_trained(tmp_path, **options)
        assert evaluate(model, loader).nrmse == result.valid_nrmse
    with pytest.raises(UpsDataError, match=r"checkpoint\.pt: does not fit this run .*net"):
        load_trained(tmp_path, model=Pointwise("u", 0.0, 1.0, width=8))
    code = (
        "import sys; from ups_data.training import load_trained\n"
        f"try: load_trained({str(tmp_path)!r})\n"
        "except ValueError: print('tests.models.mine' in sys.modules)"
    )
    done = warm.run(["-c", code], check=True)
    assert done.stdout.strip() == "False"
