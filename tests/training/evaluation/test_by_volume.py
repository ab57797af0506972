"""Measures by volume: sums over points become integrals over the domain."""

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from tests.training.points_model import clouds_model
from tests.training.runs import QUIET, config
from ups_data import QuerySampling, ShardWriter, UpsDataError
from ups_data.cli.tables.evaluation import extras_table
from ups_data.schema import Manifest
from ups_data.training import evaluate_run, load_trained, train
from ups_data.training.evaluation.metrics import FrameSums, measures_of
from ups_data.trajectory import Axis


def weighted(predicted: torch.Tensor, target: torch.Tensor, sizes: torch.Tensor, *cuts: int) -> dict[str, torch.Tensor]:
    """In parts that begin at those points."""
    sums = FrameSums(target.shape[:-2], torch.zeros(target.shape[-1]))
    for start, stop in zip((0, *cuts), (*cuts, target.shape[-2]), strict=True):
        part = slice(start, stop)
        sums.add(predicted[:, part], target[:, part], sizes=sizes[:, part])
    return sums.measures()


def test_a_cell_of_size_three_counts_as_three_points_do() -> None:
    torch.manual_seed(0)
    predicted, target = torch.randn(2, 30, 2).double(), 1.5 + torch.randn(2, 30, 2).double()
    times = torch.randint(1, 4, (30,))
    repeated = measures_of(predicted.repeat_interleave(times, 1), target.repeat_interleave(times, 1))
    found = weighted(predicted, target, times[None, :, None].expand(2, -1, -1), 7, 20)
    for name in ("nrmse", "rel_l1", "rel_l2", "max_error"):
        torch.testing.assert_close(found[name], repeated[name], rtol=1e-12, atol=0)
    equal = weighted(predicted, target, torch.full((2, 30, 1), 1e-9), 11)
    for name, values in measures_of(predicted, target).items():
        torch.testing.assert_close(equal[name], values, rtol=1e-9, atol=0)


def test_a_mesh_with_sizes(clouds_run: Path) -> None:
    report = evaluate_run(clouds_run, model=clouds_model(), chunk=25).values
    assert report["by_volume"].keys() == {"nrmse", "vrmse", "rel_l1", "rel_l2"}
    for step in report["steps"]:
        assert step["by_volume"]["nrmse"] == pytest.approx(step["nrmse"], rel=1e-9)  # its points' areas are equal
        assert step["baselines"]["mean"]["by_volume"]["nrmse"] > 0
    said = StringIO()
    Console(file=said, width=200).print(extras_table(report))
    assert all(words in said.getvalue() for words in ("nRMSE by volume", "VRMSE by volume", "error of the integral"))


@pytest.fixture(scope="module")
def graded_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a grid whose first axis is graded."""
    root = tmp_path_factory.mktemp("graded")
    along = 1e-2 * 1.4 ** np.arange(12)
    with ShardWriter(root / "small") as writer:
        for number in range(3):
            u = np.random.default_rng(number).random((5, 12, 10, 1), np.float32) + along[:, None, None]
            split = ("train", "valid", "test")[number]
            writer.add({"u": u.astype(np.float32)}, split=split, axes=[Axis("y", along), Axis("x", np.arange(10.0))])
    made = config(root / "small", root / "run", epochs=1, query_measure="volume", query_sample_ratio=0.5)
    train(made, console=QUIET)
    return root / "run"


def test_a_grid_with_uneven_axes(graded_run: Path) -> None:
    report = evaluate_run(graded_run, split="valid", chunk=37).values
    model, loader = load_trained(graded_run)
    grid = Manifest.load(graded_run.with_name("small")).grid
    assert grid is not None
    along = np.asarray(grid.axes[0].physical)
    gaps = np.diff(along)
    sizes = torch.from_numpy(np.append(gaps[0], gaps) + np.append(gaps, gaps[-1])).repeat_interleave(10)[:, None]
    errors = []
    for batch in loader:
        target = batch.target_queries.values["u"].double()
        with torch.no_grad():
            error = model.predict(batch)["u"].double() - target
        ratios = ((sizes * error.square()).sum((1, 2)) / (sizes * target.square()).sum((1, 2))).sqrt()
        errors += ratios[slice(None) if batch.valid is None else batch.valid].tolist()
    assert report["fields"]["u"]["by_volume"]["nrmse"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert report["nrmse"] != pytest.approx(report["by_volume"]["nrmse"], rel=1e-2)
    assert "integral" not in report["fields"]["u"]


def test_an_even_grid_has_none(waves_run: Path) -> None:
    report = evaluate_run(waves_run, split="valid").values
    assert "by_volume" not in report
    assert "by_volume" not in report["fields"]["u"]


def test_the_key_of_a_configuration(tmp_path: Path) -> None:
    made = config(tmp_path, tmp_path / "run", query_measure="volume", query_sample_ratio=0.5)
    assert made.to_sampling() == QuerySampling(ratio=0.5, measure="volume")
    assert config(tmp_path, tmp_path / "run").to_sampling().measure == "count"
    both = {"surface": {"ratio": 0.5, "measure": "volume"}, "air": 0.1}
    assert config(tmp_path, tmp_path / "run", data={"sampling": both}).data.sampling == {
        "surface": QuerySampling(ratio=0.5, measure="volume"),
        "air": QuerySampling(ratio=0.1),
    }
    with pytest.raises(UpsDataError, match="measure 'volum' is not known: did you mean 'volume'"):
        QuerySampling(measure="volum")
