"""What NetCDF and zarr hold beside fields on straight axes is named, and axes are told apart without coordinates."""

import h5py
import numpy as np
import pytest

from tests.sources import files
from ups_data import UpsDataError
from ups_data.conversion.convert import convert
from ups_data.sources import open_source

xr = pytest.importorskip("xarray", reason="xarray is not installed: pip install 'ups_data[netcdf]'")
COORDS = {"time": np.arange(3.0), "lat": np.arange(4.0), "lon": np.arange(5.0)}
DIMS = ("time", "lat", "lon")


def test_groups_inside_of_a_file_are_named(tmp_path):
    u = xr.Dataset({"u": (DIMS, files.values(3, 4, 5))}, COORDS)
    u.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    u.to_netcdf(tmp_path / "a.nc", engine="h5netcdf", group="forecast", mode="a")
    u.to_netcdf(tmp_path / "b.nc", engine="h5netcdf", group="forecast")
    u.to_zarr(tmp_path / "c.zarr", zarr_format=2)
    u.to_zarr(tmp_path / "c.zarr", zarr_format=2, group="forecast", mode="a")
    for name in ("a.nc", "c.zarr"):
        [t] = open_source(tmp_path / name)
        assert t.left_out == {"forecast": "a group, of which nothing is read"}
    with pytest.raises(UpsDataError, match="has its variables in the groups forecast, which are not read: copy one"):
        open_source(tmp_path / "b.nc")


def test_dimension_scales_are_netcdf(tmp_path):
    """Older libraries and other programs write NetCDF 4 without a note of it."""
    u = files.values(3, 4, 5)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["u"] = u
        for axis, (name, values) in enumerate(COORDS.items()):
            file[name] = values
            file[name].make_scale(name)
            file["u"].dims[axis].attach_scale(file[name])
    [t] = open_source(tmp_path / "a.h5")
    np.testing.assert_array_equal(t.fields["u"][:][..., 0], u)
    assert [axis.name for axis in t.axes] == ["y", "x"]


def test_a_mesh_in_ugrid(tmp_path):
    variables = {
        "h": (("time", "nMesh2_face"), files.values(3, 6)),
        "Mesh2": ((), 0, {"cf_role": "mesh_topology", "topology_dimension": 2}),
        "corners": (
            ("nMesh2_face", "nMaxMesh2_face_nodes"),
            np.zeros((6, 3), "i4"),
            {"cf_role": "face_node_connectivity"},
        ),
        "Mesh2_face_x": ("nMesh2_face", np.arange(6.0), {"standard_name": "longitude"}),
        "Mesh2_face_y": ("nMesh2_face", np.arange(6.0), {"standard_name": "latitude"}),
        "crs": ((), 0, {"grid_mapping_name": "latitude_longitude"}),
    }
    xr.Dataset(variables, {"time": np.arange(3.0)}).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    [t] = open_source(tmp_path / "a.nc")
    assert (list(t.fields), dict(t.params), t.coords.shape) == (["h"], {}, (6, 2))
    assert {"Mesh2", "corners", "crs"} <= set(t.left_out)


@pytest.mark.parametrize("lon", [[0.0, 1, 1, 2, 3], [0.0, 2, 1, 3, 4]])
def test_axes_that_go_back_are_refused(tmp_path, lon):
    dataset = xr.Dataset({"u": (DIMS, files.values(3, 4, 5))}, {**COORDS, "lon": lon})
    dataset.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with pytest.raises(UpsDataError, match="axis 'x' of trajectory 'a' has coordinates that neither increase nor"):
        convert(tmp_path / "a.nc", tmp_path / "o")


def test_swapped_dimensions_without_coordinates_are_told_apart(tmp_path):
    for name, dims in (("a", ("time", "y", "x")), ("b", ("time", "x", "y"))):
        (tmp_path / "s").mkdir(exist_ok=True)
        xr.Dataset({"u": (dims, files.values(3, 5, 5))}).to_netcdf(tmp_path / f"s/{name}.nc", engine="h5netcdf")
    with pytest.raises(UpsDataError, match="has the axes x, y, the first trajectory had y, x"):
        convert(tmp_path / "s", tmp_path / "o")


def test_one_axis_without_coordinates_leaves_the_others_theirs(tmp_path):
    dataset = xr.Dataset({"u": (DIMS, files.values(3, 4, 5))}, {"lat": ("lat", np.arange(4.0) * 10, {"units": "m"})})
    dataset.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    [t] = open_source(tmp_path / "a.nc")
    assert [(a.name, a.units, a.coordinates[-1]) for a in t.axes] == [("y", "m", 30.0), ("x", None, 1.0)]


def test_zarr_without_names_of_dimensions_is_not_called_damaged(tmp_path):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_array("u", shape=(3, 4), dtype="f4", chunks=(3, 4))[...] = 1
    with pytest.raises(UpsDataError, match="its arrays name no dimensions, which tell space from time"):
        open_source(tmp_path / "a.zarr")


def test_members_of_an_ensemble_of_era5(tmp_path):
    u = files.values(2, 3, 4, 5)
    xr.Dataset({"u": (("number", *DIMS), u)}, COORDS).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    for t, truth in zip(open_source(tmp_path / "a.nc"), u, strict=True):
        np.testing.assert_array_equal(t.fields["u"][:][..., 0], truth)
