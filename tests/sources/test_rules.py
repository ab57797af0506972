"""Rules that every reader keeps: nothing is lost, rounded or mixed up without a word; compared with the truth."""

import numpy as np
import pytest
import xarray as xr

from tests.sources import files
from ups_data import QueryLoader, QuerySampling, ShardWriter, UpsDataError
from ups_data.conversion.convert import convert
from ups_data.schema import Manifest
from ups_data.sources import SourceOptions, open_source

ONE = {"train": 1.0}


def write(path, variables, coords=(), **attributes):
    dataset = xr.Dataset(variables, dict(coords))
    for name, values in attributes.items():
        dataset[name].attrs.update(values)
    path.parent.mkdir(exist_ok=True)
    dataset.to_netcdf(path, engine="h5netcdf")


def batches(out, **options):
    sampling = QuerySampling(ratio=1.0)
    return list(
        QueryLoader(str(out), split="train", batch_size=1, sampling=sampling, threads=0, shuffle=False, **options)
    )


@pytest.mark.parametrize(
    ("units", "numbers", "expected", "unit", "start"),
    [
        ("seconds since 1970-01-01", 1.7e9 + 10.0 * np.arange(4), [0, 10, 20, 30], "seconds", "2023-11-14T22:13:20"),
        (
            "days since 1850-01-01",
            54786 + np.arange(4) / 24,
            [0, 1 / 24, 2 / 24, 3 / 24],
            "days",
            "2000-01-01T00:00:00",
        ),
        ("hours since 2000-02-28", np.array([0, 24, 48, 72]), [0, 24, 48, 72], "hours", "2000-02-28T00:00:00"),
        (
            "day as %Y%m%d.%f",
            np.array([20000131.0, 20000131.25, 20000201.5]),
            [0, 0.25, 1.5],
            "days",
            "2000-01-31T00:00:00",
        ),
        ("h", np.array([5.0, 6, 7]), [5, 6, 7], "hours", None),
        ("convective units", np.array([5.0, 6, 7]), [5, 6, 7], "convective units", None),
    ],
)
def test_times_are_told_apart_and_keep_their_unit(tmp_path, units, numbers, expected, unit, start):
    pytest.importorskip("cftime")
    values = files.values(len(numbers), 5)
    write(
        tmp_path / "a.nc", {"u": (("time", "x"), values)}, {"time": numbers, "x": np.arange(5.0)}, time={"units": units}
    )
    [t] = open_source(tmp_path / "a.nc")
    np.testing.assert_allclose(t.time, expected, rtol=1e-9, atol=1e-9)
    assert (t.time_units, t.start) == (unit, start)
    assert convert(tmp_path / "a.nc", tmp_path / "o", split=ONE).time_units == unit
    got = [float(b.time[0]) for b in batches(tmp_path / "o", horizon=0)]
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("units", [("hours since 2000-01-01", "minutes since 2000-01-01"), ("s", "ms"), ("s", None)])
def test_one_unit_of_time_in_a_dataset(tmp_path, units):
    for name, unit in zip("ab", units, strict=True):
        coords = {"time": np.arange(3.0), "x": np.arange(4.0)}
        write(
            tmp_path / f"s/{name}.nc",
            {"u": (("time", "x"), files.values(3, 4))},
            coords,
            time={"units": unit} if unit else {},
        )
    with pytest.raises(UpsDataError, match=r"times of trajectory 'b' are in .*give both the same unit of time"):
        convert(tmp_path / "s", tmp_path / "o")


def test_times_in_months_are_refused(tmp_path):
    coords = {"time": np.arange(3.0), "x": np.arange(4.0)}
    write(
        tmp_path / "a.nc", {"u": (("time", "x"), files.values(3, 4))}, coords, time={"units": "months since 2000-01-01"}
    )
    with pytest.raises(UpsDataError, match="counts in months, whose length differs: write days since"):
        convert(tmp_path / "a.nc", tmp_path / "o")


@pytest.mark.parametrize("shape", [(5, 5), (4, 6)])
def test_the_order_of_axes_is_one(tmp_path, shape):
    """Two files with swapped dimensions: refused. Two fields of one file: put in order."""
    ny, nx = shape
    coords = {"y": np.arange(float(ny)), "x": np.arange(float(nx))}
    u, v = files.values(2, ny, nx), files.values(2, nx, ny, seed=1)
    write(tmp_path / "s/a.nc", {"u": (("time", "y", "x"), u)}, coords)
    write(tmp_path / "s/b.nc", {"u": (("time", "x", "y"), v)}, coords)
    with pytest.raises(UpsDataError, match="axes x, y, the first trajectory had y, x|has shape"):
        convert(tmp_path / "s", tmp_path / "o")
    write(tmp_path / "c.nc", {"u": (("time", "y", "x"), u), "v": (("time", "x", "y"), v)}, coords)
    [t] = open_source(tmp_path / "c.nc")
    np.testing.assert_array_equal(t.fields["v"][:][..., 0], v.transpose(0, 2, 1))
    assert [a.name for a in t.axes] == ["y", "x"]


@pytest.mark.parametrize(
    ("shift", "same"), [(1e-14, True), (1e-9, True), (1e-4, False), (np.array([0, 0, 0.05, 0, 0]), False)]
)
def test_axes_that_differ_by_rounding_are_one(tmp_path, shift, same):
    for name, by in (("a", 0.0), ("b", shift)):
        coords = {"lat": np.arange(5) * 0.1 + by, "lon": np.arange(4.0)}
        write(tmp_path / f"s/{name}.nc", {"u": (("time", "lat", "lon"), files.values(2, 5, 4))}, coords)
    if same:
        assert convert(tmp_path / "s", tmp_path / "o", split=ONE).split("train").num_trajectories == 2
    else:
        with pytest.raises(UpsDataError, match="axis 'y' of trajectory 'b' differs"):
            convert(tmp_path / "s", tmp_path / "o", split=ONE)


def test_no_variable_disappears(tmp_path):
    variables = {
        "u": (("time", "lat", "lon"), files.values(3, 4, 5)),
        "lat_bnds": (("lat", "bnds"), files.values(4, 2)),
        "lid": ("time", files.values(3)),
        "name": ("time", np.array(["a", "b", "c"])),
        "Re": ((), 100.0),
    }
    coords = {"lat": np.arange(4.0), "lon": np.arange(5.0), "time": np.arange(3.0)}
    write(tmp_path / "a.nc", variables, coords, lat={"bounds": "lat_bnds"})
    manifest = convert(tmp_path / "a.nc", tmp_path / "o", split=ONE)
    assert [f.name for f in manifest.fields] == ["u"]
    assert manifest.params == ["Re"]
    assert set(manifest.not_stored) == {"lat_bnds", "lid", "name"}
    assert Manifest.load(tmp_path / "o").not_stored == manifest.not_stored


@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_complex_variables_are_refused_or_left_out_by_choice(tmp_path, dtype):
    psi, rho = files.values(3, 5).astype(dtype) * 1j, files.values(3, 5)
    dataset = xr.Dataset({"psi": (("time", "x"), psi), "rho": (("time", "x"), rho)}, {"x": np.arange(5.0)})
    dataset.to_zarr(tmp_path / "a.zarr", zarr_format=2)
    with pytest.raises(UpsDataError, match="psi holds complex numbers"):
        open_source(tmp_path / "a.zarr")
    chosen = SourceOptions(variables=("rho",))
    manifest = convert(tmp_path / "a.zarr", tmp_path / "o", split=ONE, reading=chosen)
    assert [f.name for f in manifest.fields] == ["rho"]
    assert manifest.not_stored == {"psi": "not among --variables"}


def test_variables_of_several_kinds_are_chosen(tmp_path):
    coords = {"time": np.arange(3.0), "level": [500.0, 850.0], "lat": np.arange(4.0), "lon": np.arange(5.0)}
    t, t2m = files.values(3, 2, 4, 5), files.values(3, 4, 5, seed=1)
    variables = {"t": (("time", "level", "lat", "lon"), t), "t2m": (("time", "lat", "lon"), t2m)}
    write(tmp_path / "w.nc", variables, coords)
    with pytest.raises(UpsDataError, match="--variables t,… or --variables t2m,…"):
        open_source(tmp_path / "w.nc")
    for name, expected in (("t", t), ("t2m", t2m)):
        [run] = open_source(tmp_path / "w.nc", options=SourceOptions(variables=(name,)))
        np.testing.assert_array_equal(run.fields[name][:][..., 0], expected)
    with pytest.raises(UpsDataError, match="no variable 'v' to choose"):
        open_source(tmp_path / "w.nc", options=SourceOptions(variables=("v",)))


@pytest.mark.parametrize("name", ["grad(U)", "p/p0", "Übergang"])
def test_fields_are_renamed(tmp_path, name):
    u = files.values(2, 3, 4, 1)
    files.write_npz(tmp_path / "f", **{name.replace("/", "_"): u, "v": 2 * u})
    name = name.replace("/", "_")
    options = SourceOptions(rename=((name, "g"),), variables=(name,))
    manifest = convert(tmp_path / "f", tmp_path / "o", split=ONE, reading=options)
    assert [f.name for f in manifest.fields] == ["g"]
    assert manifest.not_stored == {"v": "not among --variables"}
    np.testing.assert_array_equal(open_source(tmp_path / "f", options=options)[1].fields["g"][:], u[1])
    for wrong, message in (((("w", "g"),), "no field 'w'"), (((name, "v"),), "two fields would be called 'v'")):
        with pytest.raises(UpsDataError, match=message):
            list(open_source(tmp_path / "f", options=SourceOptions(rename=wrong)))


@pytest.mark.parametrize(
    ("values", "cast", "message"),
    [
        ([1e-9, 1.0], "float16", "the value 1e-09 becomes zero as float16"),
        ([1e-60, 1.0], "float32", "the value 1e-60 becomes zero as float32"),
        (np.array([2**24 + 1, 1]), "float32", "the integer 16777217 would be rounded as float32"),
        (np.array([2049, 1]), "float16", "the integer 2049 would be rounded as float16"),
    ],
)
def test_a_cast_loses_nothing_without_a_word(tmp_path, values, cast, message):
    with pytest.raises(UpsDataError, match=message), ShardWriter(tmp_path / "o", cast=cast) as writer:
        writer.add({"u": np.asarray(values)[None, :, None]})


def test_a_cast_settles_types_that_differ(tmp_path):
    for name, dtype in (("a", "f4"), ("b", "f8")):
        u = files.values(2, 5).astype(dtype)
        write(tmp_path / f"s/{name}.nc", {"u": (("time", "x"), u)}, {"x": np.arange(5.0)})
    with pytest.raises(UpsDataError, match="float64"):
        convert(tmp_path / "s", tmp_path / "o", split=ONE)
    assert convert(tmp_path / "s", tmp_path / "p", split=ONE, cast="float32").split("train").num_trajectories == 2


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("offset", [[5e5, 4649776.0, 100.0], [0.0, 1e9, 0.0]])
def test_positions_far_from_zero_are_relative_to_an_origin(tmp_path, offset, moving):
    """UTM: float32 has a step of half a metre there."""
    xyz = np.array(offset) + np.random.default_rng(0).uniform(0, 10, (3, 400, 3) if moving else (400, 3))
    u = files.values(3, 400, 1)
    with ShardWriter(tmp_path / "o") as writer:
        writer.add({"u": u}, coords=xyz)
    origin = Manifest.load(tmp_path / "o").points.origin
    first = batches(tmp_path / "o", horizon=0)[0].inputs.coords[0].numpy().astype(np.float64)
    whole = xyz[0] if moving else xyz
    spread = np.ptp(whole, axis=0)
    np.testing.assert_allclose(np.ptp(first, axis=0) / np.ptp(first, axis=0).max(), spread / spread.max(), rtol=1e-5)
    assert all(abs(a - b) < 11 for a, b in zip(origin, offset, strict=True))


def test_positions_near_zero_have_no_origin(tmp_path):
    with ShardWriter(tmp_path / "o") as writer:
        writer.add({"u": files.values(1, 40, 1)}, coords=np.random.default_rng(0).uniform(-1, 1, (40, 2)))
    assert Manifest.load(tmp_path / "o").points.origin is None
    assert '"origin"' not in (tmp_path / "o/dataset.json").read_text()


def test_runs_at_places_of_their_own_are_refused(tmp_path):
    cloud = np.random.default_rng(0).uniform(0, 10, (40, 2))
    with pytest.raises(UpsDataError, match="float32 cannot tell apart"), ShardWriter(tmp_path / "o") as writer:
        writer.add({"u": files.values(1, 40, 1)}, coords=cloud + 1e7)
        writer.add({"u": files.values(1, 40, 1)}, coords=cloud + 9e7)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_chunks_of_zarr_that_are_missing_are_no_numbers(tmp_path, zarr_format):
    counts = np.arange(1, 13, dtype="i4").reshape(3, 4)
    dataset = xr.Dataset({"n": (("time", "x"), counts), "u": (("time", "x"), files.values(3, 4))})
    encoding = {name: {"chunks": (1, 4)} for name in dataset}
    dataset.to_zarr(tmp_path / "a.zarr", zarr_format=zarr_format, encoding=encoding)
    assert len(open_source(tmp_path / "a.zarr")) == 1
    (tmp_path / "a.zarr/u" / ("1.0" if zarr_format == 2 else "c/1/0")).unlink()
    assert np.isnan(open_source(tmp_path / "a.zarr")[0].fields["u"][1]).all()
    (tmp_path / "a.zarr/n" / ("1.0" if zarr_format == 2 else "c/1/0")).unlink()
    with pytest.raises(UpsDataError, match="n has 2 of 3 chunks, the others were never written"):
        open_source(tmp_path / "a.zarr")


def test_a_last_shard_of_zarr_that_is_not_full_is_whole(tmp_path):
    counts = np.arange(1, 21, dtype="i4").reshape(5, 4)
    dataset = xr.Dataset({"n": (("time", "x"), counts)})
    dataset.to_zarr(tmp_path / "a.zarr", zarr_format=3, encoding={"n": {"chunks": (1, 4), "shards": (2, 4)}})
    np.testing.assert_array_equal(open_source(tmp_path / "a.zarr")[0].fields["n"][:][..., 0], counts)
    (tmp_path / "a.zarr/n/c/2/0").unlink()
    with pytest.raises(UpsDataError, match="the others were never written"):
        open_source(tmp_path / "a.zarr")


@pytest.mark.parametrize("declared", [None, -999.0])
def test_fill_values_are_no_numbers(tmp_path, declared):
    u = files.values(3, 4)
    u[1, 2] = 9.969209968386869e36 if declared is None else declared
    dataset = xr.Dataset({"u": (("time", "x"), u)}, {"x": np.arange(4.0)})
    dataset.to_netcdf(tmp_path / "a.nc", engine="scipy", encoding={"u": {"_FillValue": declared}})
    read = open_source(tmp_path / "a.nc")[0].fields["u"][:][..., 0]
    assert np.isnan(read[1, 2])
    assert np.isnan(read).sum() == 1
