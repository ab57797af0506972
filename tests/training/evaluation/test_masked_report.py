"""Evaluations and predictions where points do not count, constant masks and such that move: figures are numpy.ma's, and
what is written has holes where the frames have them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray
from torch import nn

from tests.cli.programs import printed
from tests.training.runs import QUIET, config
from ups_data import ShardWriter
from ups_data.exporting.trajectories import trajectories_of
from ups_data.schema import Manifest
from ups_data.store.root import open_store
from ups_data.training import evaluate_run, train
from ups_data.training.prediction.files import write_predictions
from ups_data.training.prediction.run import Asked, predict_run
from ups_data.trajectory import Axis

STEPS, SHAPE, FILL, RUNS = 4, (6, 8), -9.0, 4
N = int(np.prod(SHAPE))
GRADED = 0.1 * 1.3 ** np.arange(SHAPE[0])
CASES = [
    pytest.param(
        (what, moving), marks=[] if moving else pytest.mark.slow, id=f"{what}-{'moving' if moving else 'constant'}"
    )
    for what in ("grid", "cloud")
    for moving in (False, True)
]


def counted(moving: bool) -> np.ndarray:
    """`(runs, T, N)`; of runs of points that move, the first point counts in the first frame only."""
    found = np.ones((RUNS, STEPS, *SHAPE), bool)
    for run in range(RUNS):
        for step in range(STEPS):
            at = step if moving else run % 3
            found[run, step, 1 : 3 + run % 2, at : at + 3 + step * moving] = False
            found[run, step, 0, 0] = not moving or step == 0
    return found.reshape(RUNS, STEPS, N)


def values() -> np.ndarray:
    """`(runs, T, N)`."""
    start = 2 + np.random.default_rng(0).random((RUNS, 1, N))
    return (start + np.arange(STEPS)[None, :, None] * (1 + 0.1 * np.sin(np.arange(N)))).astype(np.float32)


class Grows(nn.Module):
    """u → 1.01 u + 1, of the dense input."""

    def __init__(self) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.ones(1))

    def losses(self, batch, context):  # as the protocol has it
        return {"loss": (self.by - 1).square().sum()}

    def predict(self, batch):
        fields, index = batch.inputs.fields["u"], batch.target_queries.index
        if fields.shape[1] != N:  # points drawn for the encoder
            return {"u": torch.zeros(*index.shape, 1)}
        assert torch.equal(batch.inputs.mask, fields[..., 0] != FILL)
        found = fields.gather(1, index.flatten(1)[..., None]).unflatten(1, index.shape[1:])
        return {"u": 1.01 * found + self.by}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str, bool]:
    what, moving = request.param
    root = tmp_path_factory.mktemp("masked") / "d"
    u = np.where(counted(moving), values(), np.nan)[..., None].astype(np.float32)
    rows = np.stack(np.meshgrid(GRADED, np.arange(SHAPE[1]), indexing="ij"), -1).reshape(N, 2).astype(np.float32)
    with ShardWriter(root, mask_nan=True, mask_fill=FILL) as writer:
        for number, split in enumerate(("train", "valid", "test", "test")):
            if what == "cloud":
                writer.add({"u": u[number]}, coords=rows, split=split, time=0.5 * np.arange(STEPS))
            else:
                axes = [Axis("y", GRADED), Axis("x", np.arange(float(SHAPE[1])))]
                writer.add({"u": u[number].reshape(STEPS, *SHAPE, 1)}, axes=axes, split=split)
    out = root.with_name("run")
    train(config(root, out, epochs=1, data={"ragged": "pad", "batch_size": 2}), model=Grows(), console=QUIET)
    return root, out, what, moving


def expected(what: str, moving: bool, predicted: np.ndarray, step: int) -> dict[str, Any]:
    """Of frames `step` steps ahead from every frame that has so many after it, `(2, starts, N)`: by numpy.ma."""
    there, found = counted(moving)[2:, step:], {}
    target = np.ma.masked_array(values()[2:, step:].astype(np.float64), ~there)
    error = np.ma.masked_array(predicted, ~there) - target
    gaps = np.diff(GRADED)
    widths = np.append(gaps[0], gaps) + np.append(gaps, gaps[-1])
    for prefix, v in (("", np.ones(N)), ("by_volume ", np.repeat(widths, SHAPE[1]))):
        found[prefix + "nrmse"] = (np.ma.sqrt((v * error**2).sum(-1)) / np.ma.sqrt((v * target**2).sum(-1))).mean()
        found[prefix + "rel_l1"] = ((v * abs(error)).sum(-1) / (v * abs(target)).sum(-1)).mean()
    found["vrmse"] = np.ma.sqrt((error**2).mean(-1) / target.var(-1, ddof=1)).mean()
    found["max_error"] = abs(error).max()
    return found


def check(report: dict[str, Any], wanted: dict[str, Any], what: str) -> None:
    for name, value in wanted.items():
        group, _, measure = name.rpartition(" ")
        if not group:
            assert report[measure] == pytest.approx(float(value), rel=1e-5), name
        elif what == "grid":
            assert report[group][measure] == pytest.approx(float(value), rel=1e-5), name


def test_every_figure_is_of_the_points_that_count(case: tuple[Path, Path, str, bool]) -> None:
    _, out, what, moving = case
    stored = np.where(counted(moving), values(), FILL).astype(np.float64)[2:]
    report = evaluate_run(out, model=Grows(), chunk=11).values
    check(report, expected(what, moving, 1.01 * stored[:, :-1] + 1, 1), what)
    check(report["baselines"]["persistence"], expected(what, moving, stored[:, :-1], 1), what)
    mean = values()[0][counted(moving)[0]].astype(np.float64).mean()
    check(report["baselines"]["mean"], expected(what, moving, np.full_like(stored[:, 1:], mean), 1), what)
    assert report["points"] == counted(moving)[2:, 1:].sum()
    assert "bands" not in str(report["fields"]["u"].keys())


def test_of_a_rollout_each_step_begins_with_the_holes_of_its_frame(case: tuple[Path, Path, str, bool]) -> None:
    _, out, what, moving = case
    there = counted(moving)[2:]
    first = 1.01 * np.where(there, values()[2:], FILL).astype(np.float64)[:, :-2] + 1
    second = 1.01 * np.where(there[:, 1:-1], first, FILL) + 1
    report = evaluate_run(out, model=Grows(), rollout=2).values
    check(report["steps"][1], expected(what, moving, second, 2), what)


def test_the_persistence_baseline_of_points_drawn_for_the_encoder(case: tuple[Path, Path, str, bool]) -> None:
    root, out, what, moving = case
    few = out.with_name("few")
    given = config(root, few, epochs=1, data={"ragged": "pad", "batch_size": 2, "inputs": {"num_queries": 9}})
    train(given, model=Grows(), console=QUIET)
    stored = np.where(counted(moving), values(), FILL).astype(np.float64)[2:]
    report = evaluate_run(few, model=Grows()).values
    check(report["baselines"]["persistence"], expected(what, moving, stored[:, :-1], 1), what)


@pytest.mark.parametrize("rollout", [None, 5])
def test_predictions_have_the_holes_of_their_frames(
    case: tuple[Path, Path, str, bool], rollout: int | None, tmp_path: Path
) -> None:
    """One that goes beyond the data has those of the last frame."""
    root, out, _, moving = case
    frames = np.arange(1, STEPS) if rollout is None else np.minimum(np.arange(1, rollout + 1), STEPS - 1)
    stored = np.where(counted(moving), values(), FILL).astype(np.float64)
    found = list(predict_run(out, root, tmp_path, Asked(rollout=rollout), model=Grows()))
    assert len(found) == 2
    for run, trajectory in enumerate(predict_run(out, root, tmp_path, Asked(rollout=rollout), model=Grows()), 2):
        there, last = counted(moving)[run][frames], stored[run, 0]
        assert np.array_equal(np.asarray(trajectory.mask).reshape(there.shape), there)
        u = np.asarray(trajectory.fields["u"]).reshape(there.shape)
        assert np.array_equal(np.isnan(u), ~there)
        for k, row in enumerate(there):
            last = 1.01 * (stored[run, k] if rollout is None else last) + 1
            np.testing.assert_allclose(u[k][row], last[row], rtol=1e-5)
            last = np.where(row, last, FILL)


def test_what_is_written_is_masked(case: tuple[Path, Path, str, bool], tmp_path: Path) -> None:
    """As a dataset and as NetCDF; a dataset can be evaluated, exported and trained on as any other."""
    root, out, _, moving = case
    (tmp_path / "scratch").mkdir()
    for kind in ("shards", "netcdf"):
        found = predict_run(out, root, tmp_path / "scratch", Asked(), model=Grows())
        write_predictions(found, tmp_path / kind, kind, split="test", source={})  # type: ignore[arg-type]
    there = counted(moving)[2:, 1:]
    manifest = Manifest.load(tmp_path / "shards")
    assert manifest.mask_moves() == moving
    assert "count (" in printed("inspect", tmp_path / "shards")
    for number, trajectory in enumerate(trajectories_of(open_store(tmp_path / "shards"), manifest, "test")):
        ours = np.asarray(trajectory.fields["u"][:]).reshape(STEPS - 1, N)
        assert np.array_equal(np.isnan(ours), ~there[number])
        with xarray.open_dataset(tmp_path / "netcdf" / "test" / f"{number:06d}.nc") as other:
            assert np.array_equal(other["u"].values.reshape(STEPS - 1, N), ours, equal_nan=True)


def test_at_another_resolution_a_point_is_what_the_nearest_one_is(
    case: tuple[Path, Path, str, bool], tmp_path: Path
) -> None:
    root, out, what, moving = case
    if what == "cloud":
        return
    asked = Asked(resolution="11x15")  # every second point is one of the data's along x

    class Flat(Grows):
        def predict(self, batch):
            return {"u": torch.ones(*batch.target_queries.index.shape, 1)}

    for run, trajectory in enumerate(predict_run(out, root, tmp_path, asked, model=Flat()), 2):
        there = counted(moving)[run, 1:].reshape(-1, *SHAPE)
        fine = np.linspace(GRADED[0], GRADED[-1], 11)
        row = np.abs(fine[:, None] - GRADED).argmin(1)
        assert np.array_equal(np.isnan(trajectory.fields["u"][:, :, ::2, 0]), ~there[:, row])
