"""NetCDF of both kinds and zarr groups: what named dimensions mean."""

import importlib.util
import json
import os
import pickle
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tests.sources import files
from ups_data import UpsDataError
from ups_data.conversion.source_runs import open_run
from ups_data.sources import open_source

xarray = pytest.importorskip("xarray", reason="xarray is not installed: pip install 'ups_data[netcdf]'")
ENGINES = {
    "netcdf": {"engine": "scipy", "format": "NETCDF3_64BIT"},
    "netcdf4": {"engine": "h5netcdf"},
    "zarr": {"zarr_format": 3},
    "zarr2": {"zarr_format": 2},
}


@pytest.fixture(params=ENGINES)
def write(request):
    if request.param == "netcdf4" and importlib.util.find_spec("h5netcdf") is None:
        pytest.skip("h5netcdf is not installed: pip install 'ups_data[netcdf]'")

    def write_dataset(path, variables, coords=(), **attributes):
        dataset = xarray.Dataset(variables, dict(coords))
        for name, values in attributes.items():
            dataset[name].attrs.update(values)
        if "zarr" in request.param:
            dataset.to_zarr(path, consolidated=False, **ENGINES[request.param])
        else:
            dataset.to_netcdf(path, **ENGINES[request.param])

    return write_dataset


def shapes(arrays):
    return {name: array.shape for name, array in arrays.items()}


def test_trajectories_on_a_grid(tmp_path, write):
    """Dimensions in any order; what is on no grid and in no time is a parameter."""
    u, v = files.values(5, 3, 4, 6), files.values(2, 3, 5, 4, 6, seed=1)
    mask, nu, re, lid = files.values(4, 6) > 0, np.array([0.1, 0.2, 0.3]), np.array(100), files.values(5)
    write(
        tmp_path / "run.nc",
        {
            "u": (("time", "sample", "lat", "lon"), u),
            "v": (("component", "sample", "time", "lat", "lon"), v),
            "mask": (("lat", "lon"), mask.astype(np.int8)),
            "nu": ("sample", nu),
            "re": ((), re),
            "lid": ("time", lid),
        },
        {"time": np.arange(5.0) * 6, "lat": np.linspace(90, -90, 4), "lon": np.linspace(0, 300, 6)},
        time={"units": "hours since 2000-01-01"},
        lat={"units": "degrees_north"},
    )
    source = open_source(tmp_path / "run.nc")
    assert (source.format, len(source), source.splits()) == ("xarray", 3, [None] * 3)
    for number, t in enumerate(source):
        assert (t.key, shapes(t.fields), shapes(t.static)) == (
            f"000{number}",
            {"u": (5, 4, 6, 1), "v": (5, 4, 6, 2)},
            {"mask": (4, 6, 1)},
        )
        np.testing.assert_array_equal(t.fields["u"][1:3, ..., 0], u[1:3, number])
        np.testing.assert_array_equal(t.fields["v"][1:3], v[:, number, 1:3].transpose(1, 2, 3, 0))
        np.testing.assert_array_equal(t.static["mask"][1:3, :, 0], mask[1:3])
        np.testing.assert_array_equal(t.time, np.arange(5) * 6)
        assert t.params == {"nu": nu[number], "re": 100.0}
        assert [(axis.name, axis.units, axis.coordinates[0]) for axis in t.axes] == [
            ("y", "degrees_north", 90),
            ("x", None, 0),
        ]


def test_attributes_come_before_names(tmp_path, write):
    write(
        tmp_path / "one.nc",
        {"T": (("foo", "bar", "x"), files.values(2, 3, 4))},
        {"foo": np.arange(2.0), "bar": np.arange(3.0), "x": np.arange(4.0)},
        foo={"axis": "T"},
        bar={"standard_name": "projection_x_coordinate"},
        x={"axis": "y"},
    )
    [t] = open_source(tmp_path / "one.nc")
    assert (t.key, shapes(t.fields), [axis.name for axis in t.axes]) == ("one", {"T": (2, 3, 4, 1)}, ["x", "y"])


def test_packed_values_come_out_unpacked(tmp_path, write):
    packed = np.arange(6, dtype=np.int16).reshape(2, 3)
    write(tmp_path / "f", {"p": (("time", "x"), packed)}, p={"scale_factor": 0.5, "add_offset": 1.0, "_FillValue": -1})
    [t] = open_source(tmp_path / "f")
    np.testing.assert_array_equal(t.fields["p"][:, :, 0], packed * 0.5 + 1)
    assert t.fields["p"].dtype.kind == "f"


def test_without_time_every_field_has_one_frame(tmp_path, write):
    nu, y = files.values(3, 4, 4), files.values(3, 4, 4, seed=1)
    write(tmp_path / "f", {"a": (("batch", "x", "y"), nu), "u": (("batch", "x", "y"), y)})
    t = list(open_source(tmp_path / "f"))[2]
    assert (shapes(t.fields), t.static, t.time) == ({"a": (1, 4, 4, 1), "u": (1, 4, 4, 1)}, {}, None)
    assert [(a.name, len(a.coordinates), a.units) for a in t.axes] == [("x", 4, None), ("y", 4, None)]
    np.testing.assert_array_equal(t.fields["u"][0:1, ..., 0], y[2:3])


@pytest.mark.parametrize("moving", [False, True])
def test_points(tmp_path, write, moving):
    dims, shape = (("time", "particle"), (3, 7)) if moving else (("particle",), (7,))
    x, y, u = files.values(*shape), files.values(*shape, seed=1), files.values(3, 7, seed=2)
    kind = np.arange(7, dtype=np.int32)
    variables = {"x": (dims, x), "lat": (dims, y), "u": (("time", "particle"), u), "kind": ("particle", kind)}
    write(tmp_path / "f", variables)
    [t] = open_source(tmp_path / "f")
    assert (shapes(t.fields), shapes(t.static), t.axes) == ({"u": (3, 7, 1)}, {"kind": (7, 1)}, None)
    np.testing.assert_array_equal(t.coords[:], np.stack([x, y], axis=-1))
    np.testing.assert_array_equal(t.coords[1:3], np.stack([x, y], axis=-1)[1:3])
    np.testing.assert_array_equal(t.static["kind"][2:4, 0], kind[2:4])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(t)).fields["u"][1:], u[1:, :, None])


def test_memory_holds_a_slice(tmp_path):
    """40 frames of 1 MB: a pass, a frame at a time, stays below 6 MB."""
    values = np.zeros((40, 512, 512), np.float32)
    xarray.Dataset({"u": (("time", "y", "x"), values)}).to_netcdf(tmp_path / "f", engine="scipy")
    del values
    tracemalloc.start()
    [t] = open_source(tmp_path / "f")
    for start in range(40):
        assert not t.fields["u"][start : start + 1].any()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6e6


def test_a_folder_of_groups_and_of_files(tmp_path, write):
    for name in ("train", "valid"):
        write(tmp_path / f"{name}.zarr", {"u": (("sample", "time", "x"), files.values(2, 3, 4))})
    source = open_source(tmp_path)
    assert source.splits() == ["train"] * 2 + ["valid"] * 2
    assert [t.split for t in source] == source.splits()


GRID = files.values(2, 3, 4)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"u": (("time", "x", "foo"), GRID)}, r"what is the dimension 'foo' \(of 4\)\? call it trajectory, time"),
        ({"u": (("time", "x", "lon"), GRID)}, "'x' and 'lon' are both x"),
        ({"u": (("time", "x", "points"), GRID)}, "points and a grid"),
        ({"u": (("time", "x", "y"), GRID), "v": (("time", "x"), GRID[..., 0])}, "v lies on x, u on x, y"),
        ({"u": ("time", GRID[:, 0, 0])}, "lie on no grid and no points"),
        ({}, r"its variables \(none\) lie on no grid"),
        ({"u": (("time", "cell"), GRID[0])}, "its points have no coordinates: add x, y"),
        (
            {"u": ("cell", GRID[0, 0]), "x": ("cell", GRID[0, 0]), "y": (("time", "cell"), GRID[0])},
            "x, y have different dimensions",
        ),
        (
            {"u": ("cell", GRID[0, 0]), "x": ("cell", np.array([0, 1, np.nan, 3]))},
            "1 values of the coordinates are NaN .*point 2",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, write, variables, message):
    write(tmp_path / "f.zarr", variables)
    with pytest.raises(UpsDataError, match=message) as caught:
        list(open_source(tmp_path / "f.zarr", "xarray"))
    assert str(tmp_path / "f.zarr") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["xarray", "scipy"])
def test_what_is_missing_is_asked_for(tmp_path, monkeypatch, missing):
    xarray.Dataset({"u": ("x", np.zeros(3))}).to_netcdf(tmp_path / "f", engine="scipy")
    original = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else original(name))
    with pytest.raises(UpsDataError, match=f"needs {missing}, which is not installed: pip install"):
        open_source(tmp_path / "f")


def test_a_truncated_file_is_one_line(tmp_path):
    xarray.Dataset({"u": ("x", np.zeros(3000))}).to_netcdf(tmp_path / "f", engine="scipy")
    files.truncate(tmp_path / "f")
    with pytest.raises(UpsDataError, match="truncated or damaged") as caught:
        _ = [t.fields["u"][:] for t in open_source(tmp_path / "f")]
    assert "\n" not in str(caught.value)


class Dangerous:
    def __reduce__(self):
        return (print, ("code from a file was run",))


def test_a_group_coded_by_pickle_is_refused_and_runs_nothing(tmp_path, capsys):
    path = tmp_path / "f.zarr"
    (path / "x").mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    array = {"zarr_format": 2, "shape": [2], "chunks": [2], "dtype": "|O", "compressor": None, "fill_value": None}
    text = json.dumps(array | {"order": "C", "filters": [{"id": "vlen-utf8"}, {"id": "pickle", "protocol": 4}]})
    (path / "x" / ".zarray").write_text(text.replace("pickle", "\\u0070ickle"))
    (path / "x" / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["x"]}')
    (path / "x" / "0").write_bytes(pickle.dumps([Dangerous()] * 2))
    with pytest.raises(UpsDataError, match="is coded by pickle, which could run code and is refused") as caught:
        open_source(path)
    assert "\n" not in str(caught.value)
    assert "was run" not in capsys.readouterr().out


def test_a_file_that_is_written_anew_is_read_anew(tmp_path, write):
    """What xarray made of a file is kept for the next read: what the file holds by then is what counts."""
    path, first = tmp_path / "a.nc", files.values(3, 4, 5)
    for values in (first, first + 1, first[:, :, :3]):
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
        write(path, {"u": (("time", "y", "x"), values)})
        source = open_source(path)
        for _ in range(2):
            np.testing.assert_array_equal(source[0].fields["u"][:][..., 0], values)
        np.testing.assert_array_equal(source[0].fields["u"][1:2][..., 0], values[1:2])


def test_no_file_stays_open(tmp_path, write):
    path = tmp_path / "a.nc"
    write(path, {"u": (("time", "y", "x"), files.values(3, 4, 5))})
    assert open_source(path)[0].fields["u"][:].shape == (3, 4, 5, 1)
    opened = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not [name for name in opened if name.startswith(str(path))]


@pytest.mark.parametrize("names", ["axis", "points"])
def test_coordinates_that_are_text_are_one_line(tmp_path, names):
    """Also where xarray has no part in it."""
    u = files.values(3, 4, 5)
    if names == "axis":
        dataset = xarray.Dataset({"u": (("time", "y", "x"), u)}, {"x": list("abcde")})
    else:
        dataset = xarray.Dataset({"u": (("time", "points"), u[0]), "x": ("points", list("abcde"))})
        dataset = dataset.rename(time="time").assign_coords(y=("points", np.arange(5.0)), x=dataset["x"])
    dataset.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with pytest.raises(UpsDataError) as error:
        open_run(open_source(tmp_path / "a.nc"), 0, tmp_path / "a.nc")
    assert "\n" not in str(error.value)
    assert "damaged" not in str(error.value)
