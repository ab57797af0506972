"""Sinks that a configuration names, and the pictures that they get."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.runs import QUIET, config
from ups_data import UpsDataError
from ups_data.training.loop import train
from ups_data.training.sinks import TensorBoardSink, WandbSink

PNG = b"\x89PNG\r\n\x1a\n"
NUMBERS = {
    "loss/total",
    "loss/prediction",
    "lr",
    "queries",
    "machine/wait_share",
    "machine/memory_mb",
    "machine/read_mb",
}


def test_numbers_and_pictures_reach_tensorboard_and_a_table(waves: Path, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    keys = {"epochs": 2, "query_sample_ratio": 0.3, "sinks": ["csv", "tensorboard"], "pictures": 2}
    answers = iter([False] * 15)  # a validation, an epoch, its validation, three steps
    stopped = config(waves, tmp_path, checkpoint_every=2, **keys)
    assert not train(stopped, console=QUIET, stop=lambda: next(answers, True)).finished
    result = train(stopped, console=QUIET)
    assert {p.name for p in (tmp_path / "pictures").iterdir()} == {
        f"u-{sample}-{epoch:05d}.png" for sample in (0, 1) for epoch in (1, 2)
    }
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) >= NUMBERS
    losses = events.Scalars("loss/total")
    assert [event.step for event in losses] == [*range(1, 15)]  # none twice, though the run was stopped
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [event.value for event in losses] == pytest.approx([x["loss"]["total"] for x in lines if "loss" in x])
    assert events.Scalars("valid_nrmse")[-1].value == pytest.approx(result.valid_nrmse)
    pictures = events.Images("validation/u-0")
    assert [picture.step for picture in pictures] == [7, 14]
    assert pictures[0].encoded_image_string.startswith(PNG)
    table = [line.split(",")[1] for line in (tmp_path / "metrics.csv").read_text().splitlines()]
    assert set(table) >= NUMBERS
    assert not any("machine" in line or "pictures" in line for line in lines)  # they differ from run to run


def test_points_are_drawn_too(static: Path, tmp_path: Path) -> None:
    """And a run without validation draws nothing."""
    data = {"input_fields": ["a"], "target_fields": ["b"], "horizon": 0}
    train(config(static, tmp_path / "a", data=data, epochs=1, pictures=1), console=QUIET)
    assert (tmp_path / "a" / "pictures" / "b-0-00001.png").read_bytes().startswith(PNG)
    blind = {**data, "valid_split": "none"}
    train(config(static, tmp_path / "b", data=blind, epochs=1, pictures=1), console=QUIET)
    assert not (tmp_path / "b" / "pictures").exists()


@pytest.mark.parametrize(("package", "sink"), [("tensorboard", TensorBoardSink), ("wandb", WandbSink)])
def test_a_missing_package_is_one_line(
    package: str, sink: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(UpsDataError, match=rf'pip install "ups_data\[{package}\]"'):
        sink(tmp_path)
    assert not list(tmp_path.iterdir())


OFFLINE = """
import sys
from ups_data.training.sinks import WandbSink
with WandbSink(sys.argv[1], name="run", config={"lr": 0.5}) as sink:
    for step in range(1, 4):
        sink(step, {"loss": {"total": 1 / step}, "machine": {"wait_share": 0.5}})
"""


@pytest.mark.clients
def test_wandb_offline(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    for _ in range(2):  # the second one goes on
        subprocess.run(
            [sys.executable, "-c", OFFLINE, str(tmp_path)],
            env={**os.environ, "WANDB_MODE": "offline"},
            check=True,
            timeout=240,
        )
    runs = sorted((tmp_path / "wandb").glob("offline-run-*"))
    assert len(runs) == 2
    assert len({run.name.rpartition("-")[2] for run in runs}) == 1
    assert all(next(run.glob("*.wandb")).stat().st_size > 0 for run in runs)
