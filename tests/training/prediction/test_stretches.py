"""Frames that are read part by part: the same predictions as of whole ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.points_model import clouds_model, several_model
from tests.training.runs import QUIET, config
from ups_data import ShardWriter
from ups_data.loader.stretches import stretches
from ups_data.training import train
from ups_data.training.forecast import loaders
from ups_data.training.prediction import Asked, predict_run

DRAWN = {"inputs": {"num_queries": 20}, "ragged": "pad", "input_queries": False}


def predictions(run: Path, data: Path, scratch: Path, model: Any, asked: Asked) -> list[dict[str, np.ndarray]]:
    """Of every trajectory its arrays, copied: they are only there until the next one is asked for."""
    scratch.mkdir()
    found = []
    for t in predict_run(run, data, scratch, asked, model=model):
        parts = dict(t.sets) or {"": t}
        arrays = {f"{name}.{field}": np.array(v) for name, part in parts.items() for field, v in part.fields.items()}
        found.append(arrays | {f"{name}.coords": np.array(part.coords) for name, part in parts.items()})
    return found


def compare(
    monkeypatch: pytest.MonkeyPatch, run: Path, data: Path, scratch: Path, make: Any = clouds_model, **asked: Any
) -> list[dict[str, np.ndarray]]:
    """What is predicted with frames in one piece is what is predicted in stretches of 23 points."""
    whole = predictions(run, data, scratch / "whole", make(), Asked(**asked))
    monkeypatch.setattr(loaders, "HELD_POINTS", 1)
    monkeypatch.setattr(stretches, "STRETCH", 23)
    read, of = [], stretches.Stretches.of
    monkeypatch.setattr(stretches.Stretches, "of", lambda self, *sample: read.append(sample) or of(self, *sample))
    found = predictions(run, data, scratch / "parts", make(), Asked(**asked, chunk=10))
    assert read
    assert len(found) == len(whole) > 0
    for mine, others in zip(found, whole, strict=True):
        assert mine.keys() == others.keys()
        for name, values in mine.items():
            np.testing.assert_allclose(values, others[name], rtol=1e-5, atol=1e-6, err_msg=name)
    return found


def trained(root: Path, out: Path, **options: Any) -> Path:
    torch.manual_seed(0)
    data = DRAWN | {"input_fields": ["p"], "target_fields": ["p"]} | options.pop("data", {})
    train(config(root, out, data=data, epochs=1), model=options.pop("model", clouds_model)(), console=QUIET)
    return out


@pytest.fixture(scope="module")
def drawn_run(clouds: Path) -> Path:
    """Of clouds in four blocks."""
    return trained(clouds, clouds.with_name("drawn-predicting-run"))


@pytest.mark.parametrize("rollout", [None, 3])
def test_clouds_in_blocks(
    drawn_run: Path, clouds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rollout: int | None
) -> None:
    found = compare(monkeypatch, drawn_run, clouds, tmp_path, rollout=rollout)
    assert [len(t[".p"]) for t in found] == [rollout or 2] * 5
    assert [t[".p"].shape[1] for t in found] == [90 + 7 * n for n in range(2, 7)]


def test_several_sets(several_run: Path, several: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = compare(monkeypatch, several_run, several, tmp_path, several_model)
    assert found[0].keys() == {"surface.cp", "surface.coords", "volume.flow", "volume.coords"}


def test_points_that_move_and_points_that_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    with ShardWriter(tmp_path / "d", codec="lz4", blocks=3, mask_nan=True) as writer:
        for number, split in enumerate(("train", "train", "test")):
            points = 70 + 9 * number
            p = rng.random((4, points, 1), np.float32)
            p[:, 5:30] = np.nan
            writer.add({"p": p}, coords=rng.random((4, points, 2), np.float32), split=split)
    (found,) = compare(monkeypatch, trained(tmp_path / "d", tmp_path / "run"), tmp_path / "d", tmp_path)
    assert np.isnan(found[".p"][:, 5:30]).all()
    assert np.isfinite(found[".p"][:, 30:]).all()
    assert found[".coords"].shape == (3, 88, 2)
