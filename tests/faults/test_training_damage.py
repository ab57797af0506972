"""Training on a dataset with a damaged shard: an error; with `data.on_damage=skip`, a run that tells what it lacked."""

import json
import math
import shutil
from pathlib import Path

import pytest

from tests.faults.damage import objects, shards
from tests.faults.training_process import TrainingProcess
from tests.training.runs import QUIET, config
from ups_data import UpsDataError
from ups_data.training import train


@pytest.fixture
def damaged(trainable: Path, tmp_path: Path) -> Path:
    """A bit of the first chunk of one of the shards."""
    root = tmp_path / "d"
    shutil.copytree(trainable, root)
    path = objects(shards(root)[-1] / "fields/u")[0]
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    return root


def test_a_damaged_shard_is_skipped_and_told(damaged: Path, tmp_path: Path) -> None:
    shard = str(shards(damaged)[-1])
    with pytest.raises(UpsDataError, match="damaged") as error:
        train(config(damaged, tmp_path / "out"), console=QUIET)
    assert shard in str(error.value)
    run = TrainingProcess(damaged, tmp_path / "out", 2, on_damage="skip")
    assert run.end() == 0, run.output
    history = json.loads((tmp_path / "out" / "history.json").read_text())["epochs"]
    left = [entry["damaged_samples"] for entry in history]
    assert left[0] == left[1] > 0
    assert all(math.isfinite(entry["loss"]["total"]) for entry in history)
    assert f"damaged samples were left out, {sum(left)} times in training and 0 times in validation" in run.output
    assert run.output.count("skipped, as on_damage is 'skip'") == 1
    assert shard in run.output
    run = TrainingProcess(damaged, tmp_path / "few", 2, on_damage="skip", max_damaged=left[0] - 1)
    assert run.end() == 2
    assert f"max_damaged is {left[0] - 1}" in run.output
