"""The configuration for cars learns the shapes that it is given, by the commands of its documentation."""

import json
from pathlib import Path

import pytest

from tests.cli.programs import printed
from tests.datasets import CAR_PT, real


@pytest.mark.slow
def test_the_loss_falls_to_under_a_fifth_on_the_training_shapes(tmp_path: Path) -> None:
    data, out = tmp_path / "cars", tmp_path / "run"
    printed("convert", real(CAR_PT), "--out", data)
    printed(
        "train", "train_cars", f"data.root={data}", f"out={out}", "training.query_sample_ratio=0.25",
        "training.epochs=4", "training.device=cpu",
    )  # fmt: skip
    losses = [epoch["loss"]["total"] for epoch in json.loads((out / "history.json").read_text())["epochs"]]
    assert len(losses) == 4
    assert losses[-1] < losses[0] / 5
