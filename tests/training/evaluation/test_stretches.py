"""Frames that are read part by part: the same figures as in one piece, each point once."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.evaluation.test_evaluate import close
from tests.training.points_model import Points, clouds_model, several_model
from tests.training.runs import QUIET, config
from ups_data import ShardWriter
from ups_data.batch import QuerySet
from ups_data.loader.stretches import stretches
from ups_data.schema import Manifest
from ups_data.training import evaluate_run, train
from ups_data.training.evaluation.kept import Kept
from ups_data.training.forecast import loaders

DRAWN = {"inputs": {"num_queries": 20}, "input_fields": ["p"], "target_fields": ["p"], "batch_size": 2}


@pytest.fixture(autouse=True)
def _all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaders, "HELD_POINTS", 1)
    monkeypatch.setattr(stretches, "STRETCH", 23)


@pytest.fixture(scope="module")
def drawn_run(clouds: Path) -> Path:
    """Of clouds in four blocks, of which the encoder sees 20 points; persistence is compared, and areas weigh."""
    return made(clouds, clouds.with_name("drawn-run"))


def test_validation_shows_the_encoder_as_many_points_as_training(tmp_path: Path) -> None:
    """The same ones each time, and those of evaluation; a forecast that nothing changes still has every point."""
    rng = np.random.default_rng(3)
    with ShardWriter(tmp_path / "even") as writer:
        for number, split in enumerate(("train", "train", "test")):
            points = rng.random((60, 2), np.float32)
            frames = np.stack([np.sin(5 * points[:, :1] + number + 0.3 * k) for k in range(3)])
            writer.add({"p": frames.astype(np.float32)}, split=split, coords=points)
    torch.manual_seed(0)
    data = {**DRAWN, "input_queries": False, "batch_size": 1, "valid_split": "test"}
    settings = config(tmp_path / "even", tmp_path / "run", data=data, epochs=2, lr=1e-30)  # the model stays as it is
    result = train(settings, model=clouds_model(), console=QUIET)
    assert len({result.untrained_nrmse, *(entry["valid_nrmse"] for entry in result.epochs)}) == 1
    found = evaluate_run(tmp_path / "run", split="test", model=clouds_model()).values
    assert result.valid_nrmse == pytest.approx(found["nrmse"], rel=1e-5)
    assert result.persistence_nrmse == pytest.approx(found["baselines"]["persistence"]["nrmse"], rel=1e-5)


def made(root: Path, out: Path, **data: Any) -> Path:
    torch.manual_seed(0)
    settings = config(root, out, data={**DRAWN, "ragged": "pad", "input_queries": False, **data}, epochs=1)
    train(settings, model=clouds_model(), console=QUIET)
    return out


def compared(out: Path, make: Any = clouds_model, **options: Any) -> tuple[Points, dict[str, Any]]:
    undivided = evaluate_run(out, model=make(), chunk=None, **options).values
    model = make()
    found = evaluate_run(out, model=model, chunk=10, **options).values
    close(found, undivided)
    return model, found


@pytest.mark.parametrize("rollout", [None, 2])
def test_clouds_in_blocks(drawn_run: Path, rollout: int | None) -> None:
    model, found = compared(drawn_run, rollout=rollout)
    steps = rollout or 1
    assert found["points"] == sum((90 + 7 * number) * 2 for number in range(2, 7))
    assert found["baselines"]["persistence"]["nrmse"] > 0
    assert 0 < found["fields"]["p"]["integral"] < 1
    assert 0 < found["by_volume"]["nrmse"] < 1
    assert model.encoded == 10 if rollout is None else 5 * steps
    if rollout is None:  # else the model is asked at the encoder's points too
        wanted = {(t, s, None, p): 1 for t in range(5) for s in range(2) for p in range(90 + 7 * (t + 2))}
        assert Counter(model.decoded) == wanted


def test_several_sets(several_run: Path) -> None:
    model, found = compared(several_run, several_model)
    assert found["points"] == sum(30 + n + 70 + 3 * n for n in range(2, 7))
    wanted = Counter((t, 0, "surface", p) for t in range(5) for p in range(32 + t))
    wanted += Counter((t, 0, "volume", p) for t in range(5) for p in range(76 + 3 * t))
    assert Counter(model.decoded) == wanted


@pytest.mark.parametrize(
    ("options", "moves"),
    [
        ({}, False),
        ({"blocks": 3}, False),
        ({"codec": "lz4", "blocks": 3}, True),
        ({"mask_nan": True, "blocks": 3}, False),
    ],
    ids=["one piece", "blocks", "compressed blocks that move", "some do not count"],
)
def test_stored_otherwise(tmp_path: Path, options: dict[str, Any], moves: bool) -> None:
    """Whatever lies in a stretch; a horizon of two steps, of which both are predicted at once."""
    rng = np.random.default_rng(4)
    with ShardWriter(tmp_path / "d", **options) as writer:
        for number, split in enumerate(("train", "train", "test", "test")):
            points = 70 + 9 * number
            p = rng.random((4, points, 1), np.float32)
            if "mask_nan" in options:
                p[:, 5:30] = np.nan
            writer.add({"p": p}, coords=rng.random((4, points, 2) if moves else (points, 2), np.float32), split=split)
    _, found = compared(made(tmp_path / "d", tmp_path / "run"))
    assert found["points"] == 3 * sum(70 + 9 * n - (25 if "mask_nan" in options else 0) for n in (2, 3))


def test_pictures_and_few_points_held(drawn_run: Path, clouds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kept frame has the stored points; the model is never given more than a stretch at once."""
    kept, model = Kept(), clouds_model()
    decode, sizes = model.decode, []

    def noted(latent: Any, queries: QuerySet, set_name: str | None = None) -> Any:
        sizes.append(queries.index.shape[-1])
        return decode(latent, queries, set_name)

    monkeypatch.setattr(model, "decode", noted)
    evaluate_run(drawn_run, model=model, chunk=10**6, kept=kept)
    assert max(sizes) == 23
    frame = kept.frames["p"][0]
    assert np.isfinite(frame.predicted).all()
    assert len(frame.truth) == Manifest.load(clouds).points_of("test", None)[0] == 104
    others = Kept()
    evaluate_run(drawn_run, model=clouds_model(), chunk=None, kept=others)
    whole = others.frames["p"][0]
    found, expected = (sorted(map(tuple, f.coords.tolist())) for f in (frame, whole))
    assert found == expected
    assert sorted(frame.truth) == sorted(whole.truth)
