"""Exports: other libraries read the dataset's values, and so do conversions back."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from benchmarks.exporting import sizes
from tests.cli.programs import printed
from ups_data import ShardWriter, UpsDataError
from ups_data.conversion.convert import convert
from ups_data.exporting import FORMATS, export_dataset
from ups_data.schema import Manifest
from ups_data.sources import open_source
from ups_data.store.masks.counted import with_holes
from ups_data.store.shard import Shard
from ups_data.trajectory import Axis, PointSet

SPLITS = {"train": 2, "valid": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`grid`, which is uneven and whose y descends; `even`; `cloud`, whose points move; `mesh`, of two sets."""
    root, rng = tmp_path_factory.mktemp("exported"), np.random.default_rng(0)

    def values(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    grids = {"grid": [3.0, 2.5, 1.0, 0.5], "even": [0.1, 0.2, 0.3, 0.4]}
    for name, y in grids.items():
        with ShardWriter(root / name, blocks=4) as writer:
            axes = [Axis("y", np.array(y), "m"), Axis("x", np.linspace(0, 1, 6), "m", True)]
            for split, count in SPLITS.items():
                for number in range(count):
                    u = values(3, 4, 6, 2)
                    writer.add(
                        {"u": u, "p": values(3, 4, 6, 1), "c": values(3, 4, 6, 3)},
                        static={"k": values(4, 6, 1)}, axes=axes, split=split, time=[0.0, 0.5, 2.0],
                        params={"nu": 0.1 * (number + 1)}, units={"u": "m/s <b>"},
                    )  # fmt: skip
    with ShardWriter(root / "cloud", blocks=2) as writer:
        for split, count in SPLITS.items():
            for number in range(count):
                n = 20 + number
                writer.add({"v": values(2, n, 3)}, coords=values(2, n, 3), split=split, params={"nu": 1.0})
    with ShardWriter(root / "mesh", blocks=2) as writer:
        for split, count in SPLITS.items():
            for number in range(count):
                surface = PointSet(values(9 + number, 3), {"surface_p": values(1, 9 + number, 1)})
                volume = PointSet(values(5000, 3), {"v": values(1, 5000, 3)})
                writer.add(sets={"surface": surface, "volume": volume}, split=split)
    return root


@pytest.fixture(scope="module")
def export(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    done: dict[tuple[str, str], Path] = {}

    def exported(name: str, to: str) -> Path:
        if (name, to) not in done:
            done[name, to] = tmp_path_factory.mktemp(f"{name}-{to}") / "out"
            export_dataset(made / name, done[name, to], to)
        return done[name, to]

    return exported


def stored(root: Path, field: str, split: str = "train", number: int = 0) -> np.ndarray:
    """`(T, N, C)` of a field that changes in time; `(1, N, C)` of one that does not."""
    manifest = Manifest.load(root)
    shard = Shard(root, manifest, manifest.split(split).shards[0])
    steps = 1 if manifest.field(field).static else shard.steps[number]
    return np.stack([shard.frame(field, number, step) for step in range(steps)])


def test_xarray_reads_a_grid_with_its_units_and_directions(made: Path, export: Callable[[str, str], Path]) -> None:
    xarray = pytest.importorskip("xarray")
    for split, count in SPLITS.items():
        for number in range(count):
            with xarray.open_dataset(export("grid", "netcdf") / split / f"{number:06d}.nc") as found:
                for field in ("u", "c"):
                    ours = stored(made / "grid", field, split, number)
                    np.testing.assert_array_equal(found[field].values.reshape(ours.shape), ours)
                assert found["p"].dims == ("time", "y", "x")
                assert found["k"].dims == ("y", "x")
                assert found["u"].attrs["units"] == "m/s <b>"
                assert [found[name].attrs["axis"] for name in ("time", "y", "x")] == ["T", "Y", "X"]
                np.testing.assert_array_equal(found["y"].values, [3.0, 2.5, 1.0, 0.5])
                assert float(found["nu"]) == found.attrs["nu"] == 0.1 * (number + 1)


@pytest.mark.parametrize("name", ["grid", "even"])
def test_vtk_reads_a_lattice_where_its_points_are(name: str, made: Path, export: Callable[[str, str], Path]) -> None:
    vtk = pytest.importorskip("vtk")
    from vtk.util.numpy_support import vtk_to_numpy

    folder = export(name, "vtk") / "valid" / "000000"
    files = sorted(folder.iterdir())
    assert [f.suffix for f in files] == [".vtr" if name == "grid" else ".vti"] * 3
    reader = (vtk.vtkXMLRectilinearGridReader if name == "grid" else vtk.vtkXMLImageDataReader)()
    reader.SetFileName(str(files[1]))
    reader.Update()
    found = reader.GetOutput()
    axes = Manifest.load(made / name).grid.axes  # type: ignore[union-attr]
    ours = stored(made / name, "u", "valid")[1]
    places = np.array([(x, y, 0.0) for y in axes[0].physical for x in axes[1].physical])
    theirs = vtk_to_numpy(found.GetPointData().GetArray("u"))
    for place, value in zip(places, ours, strict=True):
        np.testing.assert_array_equal(theirs[found.FindPoint(place)], value)
        np.testing.assert_allclose(found.GetPoint(found.FindPoint(place)), place, atol=1e-12)
    array = found.GetPointData().GetArray("u")
    assert array.GetInformation().Get(array.UNITS_LABEL()) == "m/s <b>"
    assert found.GetFieldData().GetArray("nu").GetTuple1(0) == 0.1
    assert found.GetFieldData().GetArray("TimeValue").GetTuple1(0) == 0.5


def test_vtk_reads_points_that_move(made: Path, export: Callable[[str, str], Path]) -> None:
    pytest.importorskip("vtk")
    back = open_source(export("cloud", "vtk") / "train")
    assert len(back) == 2
    for number, trajectory in enumerate(back):
        np.testing.assert_array_equal(trajectory.fields["v"][:], stored(made / "cloud", "v", "train", number))
        assert trajectory.coords.shape == (2, 20 + number, 3)
    assert trajectory.params == {"nu": 1.0}


def test_h5py_reads_what_the_well_expects(made: Path, export: Callable[[str, str], Path]) -> None:
    [path] = (export("grid", "the_well") / "data" / "train").iterdir()
    with h5py.File(path) as file:
        ours = [stored(made / "grid", "u", "train", number) for number in range(2)]
        np.testing.assert_array_equal(file["t1_fields/u"][:].reshape(2, 3, 24, 2), ours)
        assert file["t0_fields"].attrs["field_names"].tolist() == ["p", "c_0", "c_1", "c_2", "k"]
        assert file["t0_fields/k"].shape == (2, 4, 6)
        assert not file["t0_fields/k"].attrs["time_varying"]
        np.testing.assert_array_equal(file["scalars/nu"][:], [0.1, 0.2])
        assert list(file["boundary_conditions"]) == ["x_periodic"]
        assert file["dimensions"].attrs["spatial_dims"].tolist() == ["y", "x"]


def test_zarr_reads_noether_s_store_shuffled_alike(made: Path, export: Callable[[str, str], Path]) -> None:
    """By the store's manifest alone, as noether's own reader does."""
    root = export("mesh", "noether")
    manifest = json.loads((root / "manifest.json").read_text())
    assert (manifest["format_version"], manifest["values_dtype"]) == (1, "float32")
    assert list(manifest["samples"]) == ["train/000000", "train/000001", "valid/000000"]
    entry = manifest["samples"]["train/000001"]
    assert entry["domains"]["volume"] == {"n_points": 5000, "chunk_points": 4096, "shard_points": 8192, "n_chunks": 2}
    group = zarr.open_group(root / entry["relpath"], mode="r")
    source = Manifest.load(made / "mesh")
    shard = Shard(made / "mesh", source, source.split("train").shards[0])
    for domain, field in (("surface", "surface_p"), ("volume", "v")):
        held = manifest["domains"][domain]
        arrays = {name: group[spec["array_name"]] for name, spec in held["arrays"].items()}
        assert [a.chunks[0] for a in arrays.values()] == [entry["domains"][domain]["chunk_points"]] * 2
        places = arrays[held["position"]][:]
        ours, values = shard.positions(domain, 1), shard.frame(field, 1)
        assert not np.array_equal(places, ours)
        order, theirs = np.lexsort(ours.T), np.lexsort(places.T)
        np.testing.assert_array_equal(places[theirs], ours[order])
        [name] = set(arrays) - {held["position"]}
        np.testing.assert_array_equal(arrays[name][:][theirs], values[order])


@pytest.mark.parametrize(("name", "to"), [("grid", "netcdf"), ("grid", "the_well"), ("cloud", "netcdf")])
def test_there_and_back(name: str, to: str, made: Path, export: Callable[[str, str], Path], tmp_path: Path) -> None:
    before = Manifest.load(made / name)
    after = convert(export(name, to), tmp_path / "back")
    assert {s: split.num_trajectories for s, split in after.splits.items()} == SPLITS
    assert after.params == before.params
    for split, count in SPLITS.items():
        assert after.splits[split].params == before.splits[split].params
        for number in range(count):
            for spec in before.fields:
                if to == "the_well" and spec.name == "c":
                    parts = [stored(tmp_path / "back", f"c_{channel}", split, number) for channel in range(3)]
                    found = np.concatenate(parts, axis=-1)
                else:
                    found = stored(tmp_path / "back", spec.name, split, number)
                np.testing.assert_array_equal(found, stored(made / name, spec.name, split, number))
    if before.grid is not None:
        assert after.grid is not None
        assert [(a.name, a.physical) for a in after.grid.axes] == [(a.name, a.physical) for a in before.grid.axes]
        if to == "the_well":
            assert [bool(a.periodic) for a in after.grid.axes] == [False, True]


@pytest.mark.parametrize("moves", [False, True])
def test_points_that_do_not_count_are_nan_there_and_masked_back(moves: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    mask = rng.random((4, 6, 5) if moves else (6, 5)) < 0.7
    mask[..., 0, 1] = False  # in every frame: the only hole of the static field, if holes move
    u, k = rng.random((4, 6, 5, 1), np.float32), rng.random((6, 5, 1), np.float32)
    axes = [Axis(name, np.arange(float(n)), None, False) for name, n in (("y", 6), ("x", 5))]
    with ShardWriter(tmp_path / "made", mask_fill=-1.0) as writer:
        writer.add({"u": u}, static={"k": k}, mask=mask, axes=axes)
    export_dataset(tmp_path / "made", tmp_path / "out", "netcdf")
    [file] = (tmp_path / "out").rglob("*.nc")
    with pytest.importorskip("xarray").open_dataset(file, engine="h5netcdf") as opened:
        held, static = opened["u"].squeeze().to_numpy(), opened["k"].squeeze().to_numpy()
    np.testing.assert_array_equal(held, np.where(mask, u[..., 0], np.nan).astype(np.float32))
    assert np.isnan(static).sum() == (~mask).reshape(-1, 6, 5).all(0).sum()
    convert(tmp_path / "out", tmp_path / "back", mask_nan=True, mask_fill=-1.0)
    for name in ("u", "k"):
        np.testing.assert_array_equal(stored(tmp_path / "back", name), stored(tmp_path / "made", name))


@pytest.mark.parametrize("to", ["vtk", "noether"])
def test_there_and_back_of_sets(to: str, made: Path, export: Callable[[str, str], Path], tmp_path: Path) -> None:
    if to == "vtk":
        pytest.importorskip("vtk")
    after = convert(export("mesh", to), tmp_path / "back")
    assert set(after.sets or ()) == {"surface", "volume"}
    assert {s: split.num_trajectories for s, split in after.splits.items()} == SPLITS
    name = {"vtk": "v", "noether": "volume_v"}[to]
    found, ours = stored(tmp_path / "back", name, "valid"), stored(made / "mesh", "v", "valid")
    if to == "noether":
        found, ours = np.sort(found, axis=1), np.sort(ours, axis=1)
    np.testing.assert_array_equal(found, ours)


def test_the_command_says_what_it_wrote(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "only"
    text = printed("export", made / "grid", "--to", "netcdf", "--out", out, "--split", "valid", columns=200)
    assert [path.relative_to(out).as_posix() for path in out.rglob("*.*")] == ["valid/000000.nc"]
    assert f"1 trajectories as netcdf: 1 files, {(out / 'valid/000000.nc').stat().st_size / 1e6:.1f} MB" in text


def test_sizes_beside_each_other(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["sizes.py", str(made / "even")])
    sizes.main()
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert [int(rows[to][3]) for to in ("vtk", "netcdf", "the_well")] == [12, 3, 3]
    assert " ".join(rows["noether"]).startswith("noether noether: holds points")


@pytest.mark.parametrize(
    ("name", "to", "says"),
    [
        ("grid", "obj", "choose one of vtk, netcdf, the_well, noether"),
        ("grid", "noether", "holds points, and this dataset is a grid"),
        ("cloud", "the_well", "holds grids, and this dataset is points"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(name: str, to: str, says: str, made: Path, tmp_path: Path) -> None:
    with pytest.raises(UpsDataError, match=says) as error:
        export_dataset(made / name, tmp_path / "out", to)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "to", "says"),
    [
        ({"c": 3, "c_0": 1}, "the_well", "'c_0' would be there twice"),
        ({"time": 1}, "netcdf", "the field 'time' is called as a coordinate is"),
    ],
)
def test_names_that_have_another_meaning(fields: dict[str, int], to: str, says: str, tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "d") as writer:
        writer.add({name: np.zeros((1, 4, 4, channels), np.float32) for name, channels in fields.items()})
    with pytest.raises(UpsDataError, match=says):
        export_dataset(tmp_path / "d", tmp_path / "out", to)


def test_a_damaged_shard_leaves_nothing_behind(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "grid", tmp_path / "d")
    seal = next((tmp_path / "d" / "valid").rglob("checksums.json"))
    seal.write_text("{}")
    for to in set(FORMATS) - {"noether"}:
        with pytest.raises(UpsDataError):
            export_dataset(tmp_path / "d", tmp_path / "out", to)
        assert [path.name for path in tmp_path.iterdir()] == ["d"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.update(format_version=2), "format_version 2"),
        (lambda m: m["samples"]["train/000000"].update(relpath="../../x"), "leaves the store"),
        (lambda m: m["samples"]["train/000000"]["domains"]["surface"].update(n_points=7), "its manifest says"),
        (lambda m: m["domains"]["surface"].update(position="x"), "has no positions"),
        (lambda m: m["domains"].update({"../x": m["domains"]["surface"]}), "leaves the store"),
        (lambda m: m["samples"]["train/000000"].update(relpath="gone.zarr"), "the sample is missing"),
        (lambda m: m.update(domains=3), "is no manifest"),
    ],
)
def test_a_store_that_is_not_what_it_says_is_refused(
    change: Callable[[dict], object], says: str, export: Callable[[str, str], Path], tmp_path: Path
) -> None:
    shutil.copytree(export("mesh", "noether"), tmp_path / "store")
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    change(manifest)
    (tmp_path / "store" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UpsDataError, match=says) as error:
        open_source(tmp_path / "store")[0]
    assert "\n" not in str(error.value)


def _sets(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Two runs of a surface, of which other points count in each frame, and a volume that moves, with fields without
    time, of several channels, units, parameters and times; and what each field holds, `(runs, T or 1, N, C)`."""
    rng, runs, steps = np.random.default_rng(5), 2, 3
    fields = {
        "surface_p": rng.standard_normal((runs, steps, 9, 1)),
        "area": rng.random((runs, 1, 9, 1)),
        "v": rng.standard_normal((runs, steps, 11, 3)),
        "kind": rng.random((runs, 1, 11, 2)),
    }
    there = rng.random((runs, steps, 9)) < 0.7
    there[..., 0] = True
    fields["surface_p"][~there] = np.nan
    fields["area"][:, 0][~there.any(1)] = np.nan
    held = {name: values.astype(np.float32) for name, values in fields.items()}
    held |= {"at surface": rng.random((runs, 1, 9, 3)), "at volume": rng.random((runs, steps, 11, 3))}
    with ShardWriter(tmp_path / "sets", mask_nan=True) as writer:
        for n, split in enumerate(("train", "valid")):
            surface = PointSet(
                held["at surface"][n, 0], {"surface_p": held["surface_p"][n]}, {"area": held["area"][n, 0]},
                units={"surface_p": "Pa"},
            )  # fmt: skip
            volume = PointSet(held["at volume"][n], {"v": held["v"][n]}, {"kind": held["kind"][n, 0]})
            writer.add(sets={"surface": surface, "volume": volume}, split=split, params={"nu": 0.1 + n}, time=[0, 1, 4])
    return tmp_path / "sets", held


@pytest.mark.parametrize("to", ["netcdf", *(pytest.param(to, marks=pytest.mark.slow) for to in ("vtk", "noether"))])
def test_all_of_several_sets_comes_back(to: str, tmp_path: Path) -> None:
    """Values, coordinates, times, masks and parameters, as far as the format has them."""
    if to == "vtk":
        pytest.importorskip("vtk")
    root, held = _sets(tmp_path)
    export_dataset(root, tmp_path / "out", to)
    after = convert(tmp_path / "out", tmp_path / "back", mask_nan=True)
    before = Manifest.load(root)
    assert set(after.sets or ()) == {"surface", "volume"}
    for n, split in enumerate(("train", "valid")):
        shard = Shard(tmp_path / "back", after, after.split(split).shards[0])
        frames = shard.steps[0] if to != "noether" else after.split(split).num_trajectories
        assert frames == 3
        for name, ours in held.items():
            set_name = name.removeprefix("at ") if name.startswith("at ") else before.field(name).point_set
            called = f"{set_name}_{name}" if to == "noether" and name != "surface_p" else name
            for step in range(3):
                where = (step, 0) if to == "noether" else (0, step)
                expected = ours[n, step if ours.shape[1] > 1 else 0]
                if name == "area" and to != "netcdf":  # fields without time are in every frame there
                    expected = np.where(np.isnan(held["surface_p"][n, step]), np.nan, expected)
                if name.startswith("at "):
                    found = shard.positions(set_name, *where) + np.asarray(after.point_set(set_name).origin or 0)
                else:
                    spec = after.field(called)
                    found = with_holes(shard, spec, *where)
                at = shard.positions(set_name, *where)
                if to == "noether":  # its points are shuffled
                    places = held[f"at {set_name}"][n, step if set_name == "volume" else 0]
                    found, expected = found[np.lexsort(at.T)], expected[np.lexsort(places.T)]
                np.testing.assert_allclose(
                    found, expected, rtol=1e-6 * name.startswith("at "), err_msg=f"{name} {step}"
                )
        if to != "noether":
            assert shard.time.tolist() == [0, 1, 4]
            assert shard.params[0].tolist() == [0.1 + n]
            assert after.field("surface_p").units == "Pa"
            assert after.mask_moves("surface")
            assert after.mask("volume") is None
