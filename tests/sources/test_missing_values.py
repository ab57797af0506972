"""What a NetCDF file or a zarr group says is missing is never a number, in whatever way it says so."""

import h5py
import numpy as np
import pytest

from tests.sources import files
from ups_data import UpsDataError
from ups_data.sources import open_source

xr = pytest.importorskip("xarray", reason="xarray is not installed: pip install 'ups_data[netcdf]'")
HOLE = (1, 2, 3)
DIMS = ("time", "lat", "lon")


def write(path, u, attributes=(), engine="h5netcdf"):
    coords = {"time": np.arange(3.0), "lat": np.arange(4.0), "lon": np.arange(5.0)}
    dataset = xr.Dataset({"u": (DIMS, u, dict(attributes))}, coords)
    own = {} if "_FillValue" in attributes else {"u": {"_FillValue": None}}
    dataset.to_netcdf(path, engine=engine, encoding=own)


def read(path):
    [t] = open_source(path)
    return t.fields["u"][:][..., 0], t.missing


def only_hole(values, truth):
    assert np.argwhere(np.isnan(values)).tolist() == [list(HOLE)]
    truth = np.asarray(truth, np.float64).copy()
    truth[HOLE] = np.nan
    np.testing.assert_allclose(values, truth, rtol=1e-6)


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
@pytest.mark.parametrize(
    "said",
    [{"valid_range": np.array([-100, 100], "f4")}, {"valid_max": np.float64(100)}, {"valid_max": "100."}],
)
def test_values_outside_of_the_valid_range(tmp_path, engine, said):
    u = files.values(3, 4, 5)
    u[HOLE] = 5000
    write(tmp_path / "a.nc", u, said, engine)
    values, missing = read(tmp_path / "a.nc")
    only_hole(values, u)
    assert missing == ["u"]


@pytest.mark.parametrize("scale", [0.5, -0.5])
@pytest.mark.parametrize("limits", ["packed", "unpacked"])
def test_the_valid_range_of_packed_values(tmp_path, scale, limits):
    raw = np.random.default_rng(0).integers(0, 100, (3, 4, 5)).astype("i2")
    raw[0, 0, :2], raw[HOLE] = (0, 100), -5
    unpacked = sorted([100.0, 100 + 100 * scale])
    said = np.array([0, 100], "i2") if limits == "packed" else np.array(unpacked)
    write(tmp_path / "a.nc", raw, {"scale_factor": scale, "add_offset": 100.0, "valid_range": said})
    only_hole(read(tmp_path / "a.nc")[0], raw * scale + 100)


def test_limits_of_unsigned_values(tmp_path):
    """As GOES has them: -6 is 65530 there."""
    raw = np.random.default_rng(0).integers(0, 65000, (3, 4, 5)).astype("u2")
    raw[HOLE] = 65534
    attributes = {"_Unsigned": "true", "valid_range": np.array([0, -6], "i2"), "scale_factor": np.float32(0.001)}
    write(tmp_path / "a.nc", raw.astype("i2"), attributes, "scipy")
    only_hole(read(tmp_path / "a.nc")[0], raw * np.float64(np.float32(0.001)))


@pytest.mark.parametrize(
    ("kind", "default"), [("i2", -32767), ("i4", -2147483647), ("u2", 65535), ("f4", 9.969209968386869e36)]
)
def test_default_fill_values_of_packed_data(tmp_path, kind, default):
    raw = np.random.default_rng(0).integers(0, 100, (3, 4, 5)).astype(kind)
    raw[HOLE] = default
    write(tmp_path / "a.nc", raw, {"scale_factor": 0.5})
    values, missing = read(tmp_path / "a.nc")
    only_hole(values, raw * 0.5)
    assert missing == [], "nobody declared it"


def test_a_default_fill_value_beside_a_missing_value(tmp_path):
    u = files.values(3, 4, 5)
    u[HOLE], u[0, 0, 0] = 9.969209968386869e36, -999
    write(tmp_path / "a.nc", u, {"missing_value": np.float32(-999)})
    assert np.argwhere(np.isnan(read(tmp_path / "a.nc")[0])).tolist() == [[0, 0, 0], list(HOLE)]


@pytest.mark.parametrize("said", [{}, {"valid_min": np.int32(0)}])
def test_integers_that_are_missing_are_refused(tmp_path, said):
    u = np.random.default_rng(0).integers(0, 100, (3, 4, 5)).astype("i4")
    u[HOLE] = -5 if said else -2147483647
    write(tmp_path / "a.nc", u, said)
    with pytest.raises(UpsDataError, match=r"u holds -\d+, .*stands for what is missing: declare it as _FillValue"):
        read(tmp_path / "a.nc")


@pytest.mark.parametrize("value", [np.float64(1e20), "1e20", b"1e20", np.array([1e20, -1e20])])
@pytest.mark.parametrize("name", ["_FillValue", "missing_value"])
def test_fill_values_of_another_type(tmp_path, name, value):
    if name == "_FillValue" and np.size(value) > 1:
        pytest.skip("a fill value is one number")
    u = files.values(3, 4, 5)
    u[HOLE] = 1e20
    write(tmp_path / "a.nc", u)
    with h5py.File(tmp_path / "a.nc", "a") as file:
        file["u"].attrs[name] = value
    only_hole(read(tmp_path / "a.nc")[0], u)


@pytest.mark.parametrize("written", [2, 3])
def test_chunks_of_netcdf_4_that_were_never_written(tmp_path, written):
    h5netcdf = pytest.importorskip("h5netcdf")
    with h5netcdf.File(tmp_path / "a.nc", "w") as file:
        file.dimensions = {"time": 3, "x": 5}
        file.create_variable("u", ("time", "x"), "f4", chunks=(1, 5))[:written] = 1.0
    if written == 3:
        assert (read(tmp_path / "a.nc")[0] == 1).all()
        return
    with pytest.raises(UpsDataError, match="u has 2 of 3 chunks, the others were never written"):
        open_source(tmp_path / "a.nc")


@pytest.mark.parametrize("kind", ["f4", "i4"])
def test_zeros_of_zarr_2_are_numbers(tmp_path, kind):
    """zarr's own default fill value is 0, which xarray takes for a missing value."""
    zarr = pytest.importorskip("zarr")
    u = np.random.default_rng(0).integers(0, 3, (3, 4, 5)).astype(kind)
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    named = {"u": (u, DIMS), **{d: (np.arange(n), [d]) for d, n in zip(DIMS, u.shape, strict=True)}}
    for name, (values, dims) in named.items():
        array = group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=values.shape, fill_value=0)
        array[...] = values
        array.attrs["_ARRAY_DIMENSIONS"] = list(dims)
    values, missing = read(tmp_path / "a.zarr")
    np.testing.assert_array_equal(values, u)
    assert (values.dtype, missing) == (np.dtype(kind), [])
    (tmp_path / "a.zarr/u/0.0.0").unlink()
    with pytest.raises(UpsDataError, match="never written"):
        open_source(tmp_path / "a.zarr")
