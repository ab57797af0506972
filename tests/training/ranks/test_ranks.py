"""Ranks train one model: the same losses and parameters on any number of them, also if they die and go on."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.training.ranks.mortal import DIES
from tests.training.ranks.processes import assert_alike, config, losses, run_all
from tests.training.runs import QUIET, outcome
from tests.warm_ranks import ended, start
from ups_data.training import evaluate, load_trained
from ups_data.training.config import TrainConfig
from ups_data.training.loop import train
from ups_data.training.runs.checkpoint import CHECKPOINT, load_checkpoint

NORMED = "tests.training.ranks.normed:build"
# Parts, an average, checkpoints in the middle of an epoch, and a last batch that is smaller: 30 samples in steps of 8.
ALL: dict[str, Any] = {
    "data__batch_size": 4,
    "data__drop_last": False,
    "training__accumulate": 2,
    "training__ema": 0.9,
    "training__checkpoint_every": 3,
}


def alone(values: dict[str, Any]) -> Path:
    return train(TrainConfig.model_validate(values), console=QUIET).out


@pytest.fixture(scope="module")
def ran(waves: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two ranks of which one is killed in the middle; then, on two ranks, that run to its end, others, and
    some that cannot be."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "run.yaml").write_text(yaml.safe_dump(config(waves, folder / "killed", **ALL)))
    command = ("-m", "ups_data.cli", "train", str(folder / "run.yaml"))
    assert ended(start(2, *command, log=folder / "killed.log", fresh=True, **{DIES: "1:11"})) == [2, -9]
    first, second = run_all(
        2,
        folder,
        config(waves, folder / "killed", **ALL),
        config(waves, folder / "whole", **ALL),
        config(waves, folder / "plain"),
        config(waves, folder / "normed", training__ema=0.9, model__options={}, model__target=NORMED),
        config(waves, folder / "odd", data__batch_size=7),
        config(waves, folder / "no-data", data__root=str(folder)),
        config(waves, folder / "many", data__batch_size=1000),
        config(waves, folder / "plain", model__options={"dim": 32, "depth": 1, "tokens": 4}),
    )
    assert first[:4] == second[:4] == [None] * 4
    (folder / "errors").write_text("\n".join(str(error) for error in [*first[4:], *second[4:]]))
    return folder


def test_the_others_end_when_one_rank_is_killed(ran: Path) -> None:
    log = (ran / "killed.log.0").read_text()
    assert "error: another rank has ended, so this one ends too" in log
    assert "Traceback" not in log
    assert (ran / "killed.log.1").read_text() == ""


def test_killed_and_continued_is_bit_identical(ran: Path) -> None:
    assert len(losses(ran / "whole")) == 8
    assert outcome(ran / "killed") == outcome(ran / "whole")


def test_two_ranks_train_as_one_does(waves: Path, ran: Path, tmp_path: Path) -> None:
    """With a batch that ranks and parts share unequally at the end of each epoch."""
    assert_alike(ran / "whole", alone(config(waves, tmp_path / "parts", **ALL)))
    undivided = {**ALL, "data__batch_size": 8, "training__accumulate": 1}
    assert_alike(ran / "whole", alone(config(waves, tmp_path / "undivided", **undivided)))
    assert_alike(ran / "plain", alone(config(waves, tmp_path / "plain")))


def test_buffers_are_those_of_the_first_rank(ran: Path) -> None:
    """Each rank's BatchNorm sees other samples; both validate with the statistics that are saved."""
    state = load_checkpoint(ran / "normed" / CHECKPOINT)
    for name in ("net.1.running_mean", "net.1.running_var", "net.1.num_batches_tracked"):
        assert torch.equal(state["model"][name], state["average"]["model"][name])
    model, loader = load_trained(ran / "normed", trust_target=True)
    assert state["history"]["valid_nrmse"] == pytest.approx(evaluate(model, loader).nrmse, rel=1e-6)


def test_bad_input_is_told_once_and_leaves_nothing(ran: Path) -> None:
    errors = (ran / "errors").read_text().splitlines()
    assert errors[0] == (
        "UpsDataError: data.batch_size=7 are the samples of all ranks together, and 2 ranks do not divide them: give "
        "8, or start another number of ranks"
    )
    assert "no dataset" in errors[1]
    assert "30 samples do not give each of 2 rank(s) a batch of 500: lower batch_size" in errors[2]
    assert "made with model.options.dim=16, the configuration has 32" in errors[3]
    assert all(line.startswith("UpsDataError") for line in errors[:4])  # of rank 0
    assert all(line.startswith("ToldError") for line in errors[4:])
    assert not any((ran / name).exists() for name in ("odd", "no-data", "many"))


@pytest.mark.slow
def test_a_hundred_steps_on_one_two_and_four_ranks(waves: Path, tmp_path: Path) -> None:
    """Also in parts; and saved on four ranks, continued on two and on one."""
    keys: dict[str, Any] = {"training__epochs": 34}
    expected = alone(config(waves, tmp_path / "one", **keys))
    parts = {**keys, "data__batch_size": 2, "training__accumulate": 4}
    assert len(losses(expected)) == 102
    assert_alike(alone(config(waves, tmp_path / "parts", **parts)), expected)
    for ranks in (2, 4):
        assert run_all(ranks, tmp_path, config(waves, tmp_path / f"of{ranks}", **keys)) == [[None]] * ranks
        assert_alike(tmp_path / f"of{ranks}", expected)


@pytest.mark.slow
def test_saved_on_four_ranks_continued_on_two_and_on_one(waves: Path, tmp_path: Path) -> None:
    keys: dict[str, Any] = {"training__epochs": 6, "training__ema": 0.9, "training__checkpoint_every": 2}
    expected = alone(config(waves, tmp_path / "one", **keys))
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config(waves, tmp_path / "moved", **keys)))
    command = ("-m", "ups_data.cli", "train", str(tmp_path / "run.yaml"))
    assert ended(start(4, *command, log=tmp_path / "four", **{DIES: "3:8"})) == [2, 2, 2, -9]
    assert ended(start(2, *command, log=tmp_path / "two", **{DIES: "0:7"})) == [-9, 2]
    alone(config(waves, tmp_path / "moved", **keys))
    assert_alike(tmp_path / "moved", expected)


@pytest.mark.faults
@pytest.mark.parametrize("deaths", [("0:3", "1:4", "0:9"), ("1:1", "0:5", "1:6")])
def test_killed_again_and_again(waves: Path, tmp_path: Path, deaths: tuple[str, ...]) -> None:
    """Two ranks, parts and an average: whoever dies and whenever, the end is that of an undisturbed run."""
    keys = {**ALL, "training__epochs": 4}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config(waves, tmp_path / "killed", **keys)))
    command = ("-m", "ups_data.cli", "train", str(tmp_path / "run.yaml"))
    for number, death in enumerate(deaths):
        statuses = ended(start(2, *command, log=tmp_path / f"log{number}", **{DIES: death}))
        assert sorted(statuses) == [-9, 2]
    assert (
        run_all(2, tmp_path, config(waves, tmp_path / "killed", **keys), config(waves, tmp_path / "whole", **keys))
        == [[None] * 2] * 2
    )
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")
