"""Predictions in every format, at own and given points, against the model's own tensors; what is refused."""

from pathlib import Path
from typing import Any

import h5py
import meshio
import numpy as np
import pytest
import torch
import xarray

from tests.cli.programs import invoke, printed
from tests.training.points_model import clouds_model, several_model
from ups_data import QueryLoader, ShardWriter
from ups_data.errors import UpsDataError
from ups_data.schema import Manifest
from ups_data.store.shard import Shard
from ups_data.training import load_trained
from ups_data.training.prediction.files import set_aside, write_predictions
from ups_data.training.prediction.run import Asked, predict_run
from ups_data.training.prediction.times import times_of


def stored(root: Path, name: str, number: int = 0) -> np.ndarray:
    """`(T, N, C)` of a trajectory of a dataset with one shard."""
    manifest = Manifest.load(root)
    shard = Shard(root, manifest, manifest.split("test").shards[0])
    return np.stack([shard.frame(name, number, step) for step in range(shard.steps[number])])


@pytest.fixture(scope="module")
def expected(waves_run: Path) -> np.ndarray:
    """`(3, 5, 144, 1)`: one step ahead from every frame of the test trajectories."""
    model, _ = load_trained(waves_run)
    loader = QueryLoader(waves_run.with_name("small"), split="test", batch_size=15, sampling=1.0)
    return model.predict(next(iter(loader)))["u"].numpy().reshape(3, 5, 144, 1)


def test_formats_hold_what_the_model_predicts(waves_run: Path, expected: np.ndarray, tmp_path: Path) -> None:
    data = waves_run.with_name("small")
    for kind in ("shards", "vtk", "netcdf"):
        printed("predict", waves_run, data, "--out", tmp_path / kind, "--format", kind, "--chunk", 50)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["netcdf", "shards", "vtk"]
    for number in range(3):
        np.testing.assert_allclose(stored(tmp_path / "shards", "u", number), expected[number], rtol=1e-5, atol=1e-5)
        ours = stored(tmp_path / "shards", "u", number)
        with xarray.open_dataset(tmp_path / "netcdf" / "test" / f"{number:06d}.nc") as found:
            assert found["u"].dims == ("time", "y", "x")
            np.testing.assert_array_equal(found["u"].values.reshape(5, 144, 1), ours)
            np.testing.assert_allclose(found["time"].values, 0.5 * np.arange(1, 6))
            assert found.attrs["nu"] == 4.0 + number
        for step in range(5):
            mesh = meshio.read(tmp_path / "vtk" / "test" / f"{number:06d}" / f"frame-{step:06d}.vtu")
            np.testing.assert_array_equal(mesh.point_data["u"].reshape(144, 1), ours[step])
            assert mesh.cells[0].type == "quad"
            assert len(mesh.cells[0].data) == 11 * 11
    text = printed("inspect", tmp_path / "shards")
    assert "grid 12 × 12" in text
    assert Manifest.load(tmp_path / "shards").params == ["nu"]
    # A dataset like any other: it can be converted from ParaView's files, and trained on.
    assert len(QueryLoader(tmp_path / "shards", split="test", batch_size=1, sampling=0.5)) == 12


def test_paraview_s_own_library_reads_them(waves_run: Path, tmp_path: Path) -> None:
    vtk = pytest.importorskip("vtk")
    from vtk.util.numpy_support import vtk_to_numpy

    printed("predict", waves_run, waves_run.with_name("small"), "--out", tmp_path / "v", "--format", "vtk")
    reader = vtk.vtkXMLUnstructuredGridReader()
    reader.SetFileName(str(tmp_path / "v" / "test" / "000000" / "frame-000002.vtu"))
    reader.Update()
    grid = reader.GetOutput()
    assert (grid.GetNumberOfPoints(), grid.GetNumberOfCells()) == (144, 121)
    points = vtk_to_numpy(grid.GetPoints().GetData())
    np.testing.assert_allclose(points[13], [1 / 11, 1 / 11, 0])
    assert vtk_to_numpy(grid.GetPointData().GetArray("u")).shape == (144,)
    assert grid.GetCell(0).GetCellType() == vtk.VTK_QUAD
    assert all(grid.GetCell(0).GetPointId(i) == p for i, p in enumerate((0, 1, 13, 12)))
    text = (tmp_path / "v" / "test" / "000000.pvd").read_text()
    assert text.count("<DataSet ") == 5
    assert 'timestep="0.5" file="000000/frame-000000.vtu"' in text


def test_given_points_and_resolutions(waves_run: Path, expected: np.ndarray, tmp_path: Path) -> None:
    """At grid points and between them; a rollout at them goes on from predictions at the data's own points."""
    data = waves_run.with_name("small")
    places = np.array([[0.0, 0.0], [1 / 11, 2 / 11], [1.0, 1.0]])
    np.save(tmp_path / "p.npy", places)
    np.savetxt(tmp_path / "p.csv", places, delimiter=",")
    for name in ("p.npy", "p.csv"):
        printed("predict", waves_run, data, "--out", tmp_path / name[2:], "--points", tmp_path / name)
        found = stored(tmp_path / name[2:], "u")
        np.testing.assert_allclose(found, expected[0][:, [0, 2 * 12 + 1, 143]], rtol=1e-4, atol=1e-4)
    printed("predict", waves_run, data, "--out", tmp_path / "fine", "--resolution", "23x34", "--rollout", 3)
    printed("predict", waves_run, data, "--out", tmp_path / "own", "--rollout", 3)
    fine, own = stored(tmp_path / "fine", "u").reshape(3, 23, 34), stored(tmp_path / "own", "u").reshape(3, 12, 12)
    np.testing.assert_allclose(fine[:, ::2, ::3], own, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(own[0], expected[0][0].reshape(12, 12), rtol=1e-4, atol=1e-4)


def test_raw_simulations_without_what_is_to_come(waves_run: Path, expected: np.ndarray, tmp_path: Path) -> None:
    """A first frame is enough; later times go on by the training's steps."""
    data = waves_run.with_name("small")
    shard = Manifest.load(data)
    frames = np.stack([Shard(data, shard, shard.split("test").shards[0]).frame("u", n, 0) for n in range(3)])
    for n in range(3):
        with ShardWriter(tmp_path / f"first-{n}") as writer:
            writer.add({"u": frames[n].reshape(1, 12, 12, 1)}, split="test", params={"nu": 4.0 + n}, time=[0.0])
    printed("predict", waves_run, tmp_path / "first-1", "--out", tmp_path / "p", "--rollout", 2)
    found = stored(tmp_path / "p", "u")
    assert found.shape == (2, 144, 1)
    np.testing.assert_allclose(found[0], expected[1][0], rtol=1e-4, atol=1e-4)
    manifest = Manifest.load(tmp_path / "p")
    np.testing.assert_allclose(Shard(tmp_path / "p", manifest, manifest.split("test").shards[0]).time, [0.5, 1.0])


def test_a_file_of_simulations_is_converted_first(tmp_path: Path, waves_run: Path) -> None:
    from tests.training.runs import QUIET, config
    from ups_data.training import train

    with ShardWriter(tmp_path / "d") as writer:
        rng = np.random.default_rng(0)
        for _ in range(3):
            writer.add({"data": rng.random((4, 8, 8, 2), np.float32)}, split="train", time=np.arange(4.0))
    train(config(tmp_path / "d", tmp_path / "run", epochs=1), console=QUIET)
    with h5py.File(tmp_path / "s.h5", "w") as file:  # PDEBench's layout
        for n in range(2):
            group = file.create_group(f"{n:04d}")
            group["data"] = rng.random((5, 8, 8, 2), np.float32)
            group["grid/t"], group["grid/x"], group["grid/y"] = np.arange(5.0), np.arange(8.0), np.arange(8.0)
    text = printed("predict", tmp_path / "run", tmp_path / "s.h5", "--out", tmp_path / "p")
    assert "2 trajectories" in text
    assert stored(tmp_path / "p", "data").shape == (4, 64, 2)
    assert Manifest.load(tmp_path / "p").grid.axes[0].physical == list(range(8))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d", "p", "run", "s.h5"]


def test_clouds_of_different_sizes_and_several_sets(
    clouds_run: Path, clouds: Path, several_run: Path, several: Path, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for kind, (run, data, model) in {
        "clouds": (clouds_run, clouds, clouds_model()),
        "several": (several_run, several, several_model()),
    }.items():
        for form in ("shards", "vtk", "netcdf"):
            with set_aside(tmp_path / f"{kind}-{form}") as aside:
                (aside / "predictions").mkdir()
                trajectories = predict_run(run, data, scratch, Asked(chunk=20), model=model)
                write_predictions(trajectories, aside / "predictions", form, split="test", source={})  # type: ignore
    own = stored(tmp_path / "clouds-shards", "p", 3)
    assert own.shape == (2, 90 + 7 * 5, 1)
    model = clouds_model()
    load_trained_weights(clouds_run, model)
    loader = QueryLoader(
        clouds, split="test", batch_size=1, sampling=1.0, input_fields=["p"], target_fields=["p"], ragged="pad"
    )
    batches = [b for b in loader if int(b.trajectory[0]) == 3]
    with torch.no_grad():
        truth = np.concatenate([model.predict(b)["p"].numpy() for b in batches])
    np.testing.assert_allclose(own, truth, rtol=1e-5, atol=1e-5)
    mesh = meshio.read(tmp_path / "clouds-vtk" / "test" / "000003" / "frame-000001.vtu")
    np.testing.assert_array_equal(mesh.point_data["p"].reshape(-1, 1), own[1])
    np.testing.assert_allclose(mesh.points[:, :2], batches[0].target_queries.source_coords()[0].numpy(), rtol=1e-5)
    with xarray.open_dataset(tmp_path / "clouds-netcdf" / "test" / "000003.nc") as found:
        np.testing.assert_array_equal(found["p"].values, own[..., 0])
        np.testing.assert_allclose(found["x"].values, mesh.points[:, 0])
    flow = stored(tmp_path / "several-shards", "flow", 1)
    mesh = meshio.read(tmp_path / "several-vtk" / "test" / "000001-volume" / "frame-000000.vtu")
    np.testing.assert_array_equal(mesh.point_data["flow"], flow[0])
    with xarray.open_dataset(tmp_path / "several-netcdf" / "test" / "000001.nc") as found:
        np.testing.assert_array_equal(found["flow"].values, flow)
        assert found["cp"].dims == ("time", "surface_point")


def test_other_data_are_scaled_as_those_of_the_training(clouds_run: Path, clouds: Path, tmp_path: Path) -> None:
    """A part of the points, in a box of its own, and points of a file: the values of the same places."""
    whole = Manifest.load(clouds)
    shard = Shard(clouds, whole, whole.split("test").shards[0])
    coords, frames = shard.positions(None, 0), np.stack([shard.frame("p", 0, step) for step in range(3)])
    for name, few in (("same", slice(None)), ("few", np.flatnonzero((coords < 0.6).all(1)))):
        with ShardWriter(tmp_path / name) as writer:
            fields = {"p": frames[:1] * np.ones((3, 1, 1), np.float32)}
            area = {"area": np.ones((len(coords[few]), 1), np.float32)}
            writer.add({"p": fields["p"][:, few]}, split="test", coords=coords[few], static=area)
    assert Manifest.load(tmp_path / "few").unit_scale() != whole.unit_scale()
    (tmp_path / "scratch").mkdir()

    def predicted(data: Path, **asked: Any) -> np.ndarray:
        model = clouds_model()
        model.encode = lambda batch: {  # type: ignore[method-assign]  # what it sees does not count here
            "z": torch.ones(len(batch), 8),
            "who": torch.stack([batch.trajectory, batch.step], dim=1),
        }
        (trajectory,) = list(predict_run(clouds_run, data, tmp_path / "scratch", Asked(**asked), model=model))
        return np.array(trajectory.fields["p"])

    same = predicted(tmp_path / "same")
    inside = np.flatnonzero((coords < 0.6).all(1))
    np.testing.assert_allclose(predicted(tmp_path / "few"), same[:, inside], rtol=1e-5)
    np.save(tmp_path / "p.npy", coords[inside[3:9]].astype(np.float64))
    np.testing.assert_allclose(predicted(tmp_path / "few", points=tmp_path / "p.npy"), same[:, inside[3:9]], rtol=1e-5)
    np.save(tmp_path / "far.npy", np.array([[0.3, 7.0]]))
    with pytest.raises(UpsDataError, match="the points given, y: point 0 at 7 lies outside the domain"):
        predicted(tmp_path / "few", points=tmp_path / "far.npy")


def load_trained_weights(run: Path, model: torch.nn.Module) -> None:
    from ups_data.training.runs.trained import trained_run

    trained_run(run, model=model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "obj"], "--format obj: choose one of shards, vtk, netcdf"),
        (["--points", "outside.csv"], "axis 'x': point 1 at 1.5 lies outside the domain, 0 to 1"),
        (["--points", "three.csv"], "has points of 3 coordinates, the data have 2"),
        (["--points", "none.csv"], "none.csv: cannot be read"),
        (["--points", "words.csv"], "words.csv: cannot be read"),
        (["--resolution", "12"], "--resolution 12: give points along each axis, such as 12x12"),
        (["--resolution", "axb"], "--resolution axb: give points along each axis"),
        (["--split", "tset"], "no split 'tset'"),
        (["--rollout", "0"], "rollout=0"),
    ],
)
def test_what_is_refused_leaves_nothing(waves_run: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "outside.csv").write_text("0.5,0.5\n1.5,0.2\n")
    (tmp_path / "three.csv").write_text("0.5,0.5,0.1\n")
    (tmp_path / "words.csv").write_text("a,b\n")
    given = [str(tmp_path / a) if a.endswith(".csv") else a for a in arguments]
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UpsDataError, match=message):
        invoke("predict", waves_run, waves_run.with_name("small"), "--out", tmp_path / "p", *given)
    assert sorted(tmp_path.iterdir()) == before


def test_other_data_and_folders_are_refused(waves_run: Path, clouds: Path, tmp_path: Path) -> None:
    with pytest.raises(UpsDataError, match="the model needs the field 'u', the data have p, area"):
        invoke("predict", waves_run, clouds, "--out", tmp_path / "p")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").write_text("")
    for out in (tmp_path / "full", tmp_path / "full" / "kept"):
        with pytest.raises(UpsDataError, match="is there already: name a new folder"):
            invoke("predict", waves_run, waves_run.with_name("small"), "--out", out)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["full", "kept"]


def test_times_go_on_beyond_the_data() -> None:
    def at(**given: Any) -> Any:
        options = {"input_steps": 1, "stride": 1, "horizon": 1, "steps": 1, "gap": 10.0, "where": "it"}
        return times_of(np.array([0.0, 1.0, 3.0]), **{**options, **given})

    assert (at().starts, at().time.tolist(), at().dt.tolist()) == ([0, 1], [1.0, 3.0], [[1.0], [2.0]])
    assert (at(horizon=0).starts, at(horizon=0).dt.tolist()) == ([0, 1, 2], [[0.0]] * 3)
    assert (at(steps=4).starts, at(steps=4).time.tolist()) == ([0], [1.0, 3.0, 13.0, 23.0])
    assert at(steps=2, stride=2).time.tolist() == [3.0, 13.0]
    assert (at(stride=5).starts, at(stride=5).time.tolist()) == ([0], [10.0])
    assert at(input_steps=2).starts == [1]
    with pytest.raises(UpsDataError, match="it: has 3 frames, the model sees 4"):
        at(input_steps=4)
