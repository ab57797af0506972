"""What a step refuses, and where a run stands in its data, on a device as well."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.mine import Pointwise
from tests.training.runs import QUIET, config, lines, outcome
from ups_data import QueryLoader, UpsDataError
from ups_data.loader.device import DeviceLoader
from ups_data.training import train
from ups_data.training.runs.checkpoint import load_checkpoint


class Diverging(Pointwise):
    """Its loss is no number at one step."""

    def __init__(self, value: float, at: int) -> None:
        super().__init__("u", 3.0, 1.5)
        self.value, self.left = value, at

    def losses(self, batch: Any, context: Any) -> dict[str, torch.Tensor]:
        losses = super().losses(batch, context)
        self.left -= 1
        return {name: loss * self.value for name, loss in losses.items()} if self.left < 0 else losses


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run(waves: Path, tmp_path: Path, value: float) -> None:
    """Before the weights take it in, and before it is logged or saved."""
    model = Diverging(value, at=9)
    with pytest.raises(UpsDataError, match=rf"the loss is {value} in epoch 1: lower training\.lr, or use fp32"):
        train(config(waves, tmp_path, checkpoint_every=1), model=model, console=QUIET)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert len([line for line in lines(tmp_path) if "loss" in line]) == 9
    assert json.loads((tmp_path / "history.json").read_text())["epochs"][-1]["epoch"] == 0
    # From the checkpoint it goes on where the step can be made.
    train(config(waves, tmp_path), model=Pointwise("u", 3.0, 1.5), console=QUIET)
    assert len([line for line in lines(tmp_path) if "loss" in line]) == 14


def test_a_run_on_a_device_goes_on_in_the_middle_of_an_epoch(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches are sent ahead there: the loader has handed out one more than the run has taken. The parameters, the
    metrics and the loader's place are those of an undisturbed run without any of this."""
    settings = {"epochs": 3, "query_sample_ratio": 0.2, "validate_every": 3}
    train(config(waves, tmp_path / "plain", **settings), console=QUIET)
    sent: list[DeviceLoader] = []

    def to(self: QueryLoader, device: torch.device) -> DeviceLoader:
        sent.append(DeviceLoader(self, torch.device(device)))
        return sent[-1]

    monkeypatch.setattr(QueryLoader, "to", to)
    stood_at = []
    for limit in (4 + 3, 9, 2, 100):  # the first evaluation asks four times
        left = iter(range(limit))
        train(
            config(waves, tmp_path / "device", **settings),
            console=QUIET,
            stop=lambda left=left: next(left, None) is None,
        )
        stood_at.append(load_checkpoint(tmp_path / "device" / "checkpoint.pt")["tally"]["steps"])
    assert stood_at == [3, 4, 6, 0]
    assert len(sent) == 4
    assert outcome(tmp_path / "device") == outcome(tmp_path / "plain")


def test_each_epoch_is_set(waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run sets the loader to each epoch that it begins, and not where it goes on within one."""
    found: list[int] = []
    set_epoch = QueryLoader.set_epoch
    monkeypatch.setattr(QueryLoader, "set_epoch", lambda self, epoch: found.append(epoch) or set_epoch(self, epoch))
    left = iter(range(3 + 10))  # the first evaluation asks three times
    train(config(waves, tmp_path, epochs=3), console=QUIET, stop=lambda: next(left, None) is None)
    train(config(waves, tmp_path, epochs=3), console=QUIET)
    assert found == [0, 1, 2]


def test_a_run_ends_within_an_epoch(waves: Path, tmp_path: Path) -> None:
    """After ten steps of seven an epoch, its learning rate at the end of its schedule; also if it was stopped."""
    settings = {"epochs": 3, "max_steps": 10, "query_sample_ratio": 0.2, "checkpoint_every": 2, "validate_every": 2}
    result = train(config(waves, tmp_path / "whole", **settings), console=QUIET)
    assert result.finished
    assert [entry["steps"] for entry in result.epochs] == [7, 3]
    assert result.valid_nrmse == result.epochs[-1]["valid_nrmse"]
    rates = [line["lr"] for line in lines(tmp_path / "whole") if "loss" in line]
    assert rates[-1] == min(rates[2:]) < 0.1 * max(rates)
    for limit in (6, 5, 7, 1, 100):
        left = iter([False] * limit)
        done = train(config(waves, tmp_path / "stopped", **settings), console=QUIET, stop=lambda: next(left, True))  # noqa: B023
    assert done.finished
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")
    unbound = train(config(waves, tmp_path / "long", **{**settings, "epochs": 1}), console=QUIET)
    assert [entry["steps"] for entry in unbound.epochs] == [7]
