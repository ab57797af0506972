"""Chunks against undivided evaluation, on every geometry and on several ranks; each point once; what is refused."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.points_model import Whole, clouds_model, several_model
from tests.training.runs import QUIET, config
from ups_data import QueryLoader, ShardWriter
from ups_data.errors import UpsDataError
from ups_data.models.protocol import decodes_in_parts
from ups_data.schema import Manifest
from ups_data.training import evaluate, evaluate_run, load_trained, train
from ups_data.training.evaluation.kept import Kept
from ups_data.training.runs.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from ups_data.training.runs.trained import trained_run


def numbers(values: Any, name: str = "") -> dict[str, float]:
    """Every number of a report by its path."""
    if isinstance(values, dict):
        return {k: v for key, of in values.items() if key != "chunk" for k, v in numbers(of, f"{name}/{key}").items()}
    if isinstance(values, list):
        return {k: v for i, of in enumerate(values) for k, v in numbers(of, f"{name}/{i}").items()}
    return {name: values} if isinstance(values, int | float) else {}


def close(found: Any, expected: Any) -> None:
    assert numbers(found) == pytest.approx(numbers(expected), rel=1e-6)


def test_it_is_the_validation_of_training(waves_run: Path) -> None:
    model, loader = load_trained(waves_run)
    validated = evaluate(model, loader)
    report = evaluate_run(waves_run, split="valid").values
    assert report["nrmse"] == pytest.approx(validated.nrmse, rel=1e-6)
    assert report["baselines"]["persistence"]["nrmse"] == pytest.approx(validated.persistence, rel=1e-6)
    assert (report["samples"], report["points"]) == (5, 5 * 144)


def test_chunks_of_a_grid_and_a_rollout(waves_run: Path) -> None:
    """The first step of a rollout is what the model predicts from the frame itself."""
    undivided = evaluate_run(waves_run, rollout=3, chunk=None).values
    close(evaluate_run(waves_run, rollout=3, chunk=50, batch_size=2).values, undivided)
    assert undivided["points"] == 3 * 3 * 3 * 144
    assert [step["dt"] for step in undivided["steps"]] == pytest.approx([0.5, 1.0, 1.5])
    assert undivided["steps"][2]["nrmse"] > undivided["steps"][0]["nrmse"]
    assert undivided["fields"]["u"]["bands"].keys() == {"low", "mid"}  # 12 × 12 cells have no shell above 5
    (model, _), root = load_trained(waves_run), Manifest.load(waves_run.with_name("small"))
    assert root.split("test").num_trajectories == 3
    three = next(iter(QueryLoader(waves_run.with_name("small"), split="test", batch_size=9, sampling=1.0, horizon=3)))
    frame, errors = three.inputs, []
    for step in range(3):
        before = three.dt[:, step - 1] if step else 0.0
        values = model.predict_at(frame, three.dt[:, step] - before, three.params)
        target = three.target_queries.values["u"][:, step]
        errors.append(((values["u"] - target).norm(dim=(1, 2)) / target.norm(dim=(1, 2))).mean().item())
        frame = type(frame)(values, frame.coords, frame.grid_shape)
    assert [step["nrmse"] for step in undivided["steps"]] == pytest.approx(errors, rel=1e-5)


def test_chunks_of_clouds_of_different_sizes(clouds_run: Path) -> None:
    undivided = evaluate_run(clouds_run, model=clouds_model(), chunk=None).values
    model = clouds_model()
    close(evaluate_run(clouds_run, model=model, chunk=25).values, undivided)
    assert undivided["points"] == sum(2 * (90 + 7 * number) for number in range(2, 7))
    assert 0 < undivided["fields"]["p"]["integral"] < 1
    wanted = {(t, s, None, p) for t in range(5) for s in range(2) for p in range(90 + 7 * (t + 2))}
    counted = Counter(model.decoded)
    assert set(counted) == wanted
    # The last batch is filled up by a repetition, which does not count.
    assert set(counted.values()) <= {1, 2}
    assert sum(n - 1 for n in counted.values()) <= 2 * 132
    assert model.encoded == 10
    rolled = evaluate_run(clouds_run, model=clouds_model(), rollout=2, chunk=40).values
    assert [step["step"] for step in rolled["steps"]] == [1, 2]


def test_chunks_of_several_sets(several_run: Path) -> None:
    """The encoder sees the points that it was trained to see; every point is predicted."""
    undivided = evaluate_run(several_run, model=several_model(), chunk=None).values
    model = several_model()
    close(evaluate_run(several_run, model=model, chunk=17, batch_size=5).values, undivided)
    assert undivided["points"] == sum(30 + n + 70 + 3 * n for n in range(2, 7))
    assert undivided["baselines"]["persistence"] is None
    assert set(undivided["fields"]) == {"cp", "flow"}
    wanted = Counter((t, 0, "surface", p) for t in range(5) for p in range(32 + t))
    wanted += Counter((t, 0, "volume", p) for t in range(5) for p in range(76 + 3 * t))
    assert Counter(model.decoded) == wanted
    assert model.encoded == 5


def test_a_model_that_can_only_predict(several_run: Path, several: Path) -> None:
    """Asked for chunks, it is asked for one after the other; the other set gives what does not count."""
    points = several_model()
    expected = evaluate_run(several_run, model=points, chunk=None).values
    state = {f"points.{name}": value for name, value in points.state_dict().items()}
    saved = load_checkpoint(several_run / CHECKPOINT)
    other = several_run.with_name("whole-run")
    other.mkdir()
    save_checkpoint(other / CHECKPOINT, {**saved, "model": state})
    assert not decodes_in_parts(Whole(several_model()))
    for chunk in (None, 17):
        close(evaluate_run(other, model=Whole(several_model()), chunk=chunk).values, expected)


RANK = """
import json, sys, torch, torch.distributed as dist
from pathlib import Path
from tests.training.points_model import clouds_model, several_model
from ups_data.training import evaluate_run
from ups_data.training.forecast import loaders
rank, world, at, *runs = sys.argv[1:]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{at}/ranks", rank=int(rank), world_size=int(world))
models = [None, clouds_model(), several_model()]
found = [evaluate_run(run, model=model, chunk=31).values for run, model in zip(runs, models)]
loaders.HELD_POINTS = 1  # read part by part
found.append(evaluate_run(runs[2], model=several_model(), chunk=31).values)
Path(at, f"{rank}.json").write_text(json.dumps(found))
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_three_ranks(waves_run: Path, clouds_run: Path, several_run: Path, tmp_path: Path) -> None:
    """Every rank predicts its share, and all get the figures of one."""
    runs = [waves_run, clouds_run, several_run]
    expected = [
        evaluate_run(run, model=model, chunk=None).values
        for run, model in zip(runs, (None, clouds_model(), several_model()), strict=True)
    ]
    command = [sys.executable, "-c", RANK]
    ranks = [subprocess.Popen([*command, str(rank), "3", str(tmp_path), *map(str, runs)]) for rank in range(3)]
    assert [rank.wait(300) for rank in ranks] == [0, 0, 0]
    for rank in range(3):
        several = [*expected, expected[2]]
        for found, of_one in zip(json.loads((tmp_path / f"{rank}.json").read_text()), several, strict=True):
            close(found, of_one)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "tset"}, "no split 'tset'"),
        ({"rollout": 9}, "too|long|steps|frames"),
        ({"rollout": 0}, "rollout=0: give the number of steps"),
        ({"chunk": 0}, "chunk=0: give the number of points"),
        ({"data": "clouds"}, "the model needs the field 'u', the data have p, area"),
    ],
)
def test_what_cannot_be_evaluated(waves_run: Path, clouds: Path, options: dict[str, Any], message: str) -> None:
    if "data" in options:
        options = {"data": clouds}
    with pytest.raises(UpsDataError, match=message) as raised:
        evaluate_run(waves_run, **options)
    assert "\n" not in str(raised.value)


def test_a_rollout_needs_its_inputs_predicted(clouds: Path, several_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UpsDataError, match="data.horizon=0, it does not go ahead in time"):
        evaluate_run(several_run, model=several_model(), rollout=3)
    root = tmp_path / "two"
    write_two(root)
    train(config(root, tmp_path / "run", data={"target_fields": ["b"]}, epochs=1), console=QUIET)
    with pytest.raises(UpsDataError, match="needs every input field that changes in time to be predicted, and 'a' is"):
        evaluate_run(tmp_path / "run", rollout=2)


def test_a_checkpoint_of_another_model(several_run: Path, clouds_run: Path) -> None:
    with pytest.raises(UpsDataError, match="does not fit this run"):
        evaluate_run(several_run, model=clouds_model())
    with pytest.raises(UpsDataError, match="holds the weights of tests.training.points_model:Points"):
        evaluate_run(clouds_run)


def write_two(root: Path) -> None:
    rng = np.random.default_rng(3)
    with ShardWriter(root) as writer:
        for split in ("train", "train", "train", "train", "test"):
            writer.add({n: rng.random((4, 6, 6, 1), np.float32) for n in "ab"}, split=split)


def test_pictures_are_of_what_was_predicted(clouds_run: Path, clouds: Path) -> None:
    """The kept frames, of some of the points, are the targets and the predictions of the first sample."""
    kept = Kept(most=40)
    evaluate_run(clouds_run, model=clouds_model(), chunk=13, kept=kept)
    frame = kept.frames["p"][0]
    model = clouds_model()
    trained_run(clouds_run, model=model)
    (batch,) = next(
        iter(
            QueryLoader(
                clouds, split="test", batch_size=1, sampling=1.0, target_fields=["p"], input_fields=["p"], ragged="pad"
            )
        )
    ).split([1])
    assert frame.truth.tolist() == batch.target_queries.values["p"][0, ::3, 0].tolist()
    np.testing.assert_allclose(frame.coords, batch.target_queries.source_coords()[0, ::3].numpy(), rtol=1e-6)
    predicted = model.predict(batch)["p"][0, ::3, 0].detach().numpy()
    np.testing.assert_allclose(frame.predicted, predicted, rtol=1e-5)


def test_what_is_not_finite_is_no_small_error(several_run: Path) -> None:
    """One NaN of one prediction: that field has no measures, and neither has the whole."""
    model = several_model()
    decode, spoilt = model.decode, []

    def decoded(latent: Any, queries: Any, set_name: str | None = None) -> Any:
        found = decode(latent, queries, set_name)
        if set_name == "volume" and not spoilt:
            spoilt.append(1)
            found["flow"] = found["flow"].index_fill(1, torch.tensor([3]), float("nan"))
        return found

    model.decode = decoded  # type: ignore[method-assign]
    kept = Kept()
    values = evaluate_run(several_run, model=model, chunk=20, batch_size=1, kept=kept).values
    assert values["nrmse"] is values["max_error"] is values["fields"]["flow"]["vrmse"] is None
    assert values["fields"]["flow"]["nonfinite"] == 1
    assert values["fields"]["cp"]["nrmse"] > 0
    assert values["baselines"]["mean"]["nrmse"] > 0
    json.dumps(values, allow_nan=False)
    assert np.isnan(kept.frames["flow"][0].predicted).sum() == 1
