"""NetCDF and zarr as weather, ocean and climate models write them; every value is compared with xarray's or numpy's."""

import numpy as np
import pytest

from tests.sources import files
from ups_data import UpsDataError
from ups_data.conversion.convert import convert
from ups_data.sources import SourceOptions, open_source
from ups_data.sources.netcdf.keeping import slabs

xr = pytest.importorskip("xarray", reason="xarray is not installed: pip install 'ups_data[netcdf]'")
ONE = {"train": 1.0}
LEVELS = [1000.0, 850.0, 500.0]


def write(path, variables, coords=(), encoding=None, **attributes):
    dataset = xr.Dataset(variables, dict(coords))
    for name, values in attributes.items():
        dataset[name].attrs.update(values)
    path.parent.mkdir(exist_ok=True, parents=True)
    dataset.to_netcdf(path, engine="h5netcdf", encoding=encoding or {})
    return dataset


def weather(path):
    t, t2m = files.values(2, 3, 4, 5), files.values(2, 4, 5, seed=1)
    coords = {"time": [0.0, 1], "level": LEVELS, "latitude": np.arange(4.0), "longitude": np.arange(5.0)}
    dims = ("time", "level", "latitude", "longitude")
    write(path, {"t": (dims, t), "t2m": (("time", "latitude", "longitude"), t2m)}, coords)
    return t, t2m


def test_levels_are_stacked_beside_surface_variables(tmp_path):
    t, t2m = weather(tmp_path / "a.nc")
    with pytest.raises(UpsDataError, match=r"--stack DIMENSION or --select DIMENSION=VALUE"):
        open_source(tmp_path / "a.nc")
    manifest = convert(tmp_path / "a.nc", tmp_path / "o", split=ONE, reading=SourceOptions(stack=("level",)))
    assert {f.name: f.channels for f in manifest.fields} == {"t": 3, "t2m": 1}
    assert manifest.not_stored["level"] == "labels of channel: 1000.0, 850.0, 500.0"
    [got] = open_source(tmp_path / "a.nc", options=SourceOptions(stack=("level",)))
    np.testing.assert_array_equal(got.fields["t"][1:2], t[1:2].transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(got.fields["t2m"][:, :, :, 0], t2m)


@pytest.mark.parametrize(("value", "place"), [("850", 1), ("500.0", 2), ("1e3", 0)])
def test_a_level_is_selected(tmp_path, value, place):
    t, t2m = weather(tmp_path / "a.nc")
    [got] = open_source(tmp_path / "a.nc", options=SourceOptions(select=(("level", value),)))
    np.testing.assert_array_equal(got.fields["t"][:, :, :, 0], t[:, place])
    np.testing.assert_array_equal(got.fields["t2m"][:, :, :, 0], t2m)
    assert got.left_out["level"] == f"level={value} was selected"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"select": (("level", "700"),)}, "level is 700 0 times, once is needed: choose one of 1000.0, 850.0, 500.0"),
        ({"select": (("plev", "500"),)}, "no dimension 'plev' to select from: there are time, level"),
        ({"stack": ("plev",)}, "no dimension 'plev' to stack"),
        ({"concat": "time"}, "is one file; --concat joins the files of a folder"),
    ],
)
def test_what_cannot_be_selected_or_stacked_is_said(tmp_path, options, message):
    weather(tmp_path / "a.nc")
    with pytest.raises(UpsDataError, match=message):
        open_source(tmp_path / "a.nc", options=SourceOptions(**options))


def test_options_for_named_dimensions_are_refused_elsewhere(tmp_path):
    files.write_npy(tmp_path / "a.npy", files.values(2, 3, 4, 1))
    with pytest.raises(UpsDataError, match="whose dimensions have no names: --select and --stack are for NetCDF"):
        open_source(tmp_path / "a.npy", options=SourceOptions(stack=("level",)))


@pytest.mark.parametrize("as_coordinates", [True, False])
def test_a_curvilinear_grid_is_points(tmp_path, as_coordinates):
    """Longitudes and latitudes of two dimensions, as ocean models have them (NEMO, CMIP)."""
    j, i = np.meshgrid(np.arange(4.0), np.arange(5.0), indexing="ij")
    lon, lat = 10 + i + 0.1 * j, 40 + j - 0.2 * i
    sst, depth = files.values(3, 4, 5), files.values(4, 5, seed=1)
    where = {"nav_lon": (("j", "i"), lon), "nav_lat": (("j", "i"), lat)}
    data = {"sst": (("time", "j", "i"), sst), "depth": (("j", "i"), depth)}
    if as_coordinates:
        where |= {"j": np.arange(4), "i": np.arange(5)}
        write(tmp_path / "a.nc", data, where | {"time": np.arange(3.0)}, nav_lon={"units": "degrees_east"})
    else:
        write(tmp_path / "a.nc", data | where, {"time": np.arange(3.0)})
    [t] = open_source(tmp_path / "a.nc")
    np.testing.assert_allclose(t.coords[:], np.stack([lon.ravel(), lat.ravel()], -1))
    np.testing.assert_array_equal(t.fields["sst"][1:3, :, 0], sst[1:3].reshape(2, 20))
    np.testing.assert_array_equal(t.static["depth"][3:7, 0], depth.ravel()[3:7])
    assert convert(tmp_path / "a.nc", tmp_path / "o", split=ONE).points.num_points == 20


def test_a_projected_grid_with_longitudes_beside_stays_a_grid(tmp_path):
    y, x = np.meshgrid(np.arange(4.0), np.arange(5.0), indexing="ij")
    coords = {"y": np.arange(4.0), "x": np.arange(5.0), "lon": (("y", "x"), x), "lat": (("y", "x"), y)}
    write(tmp_path / "a.nc", {"u": (("y", "x"), files.values(4, 5))}, coords)
    [t] = open_source(tmp_path / "a.nc")
    assert [a.name for a in t.axes] == ["y", "x"]
    assert set(t.left_out) == {"lon", "lat"}


@pytest.mark.parametrize(
    ("lon", "expected", "periodic"),
    [
        ([350, 352, 354, 356, 358, 0, 2], [350, 352, 354, 356, 358, 360, 362], None),
        ([170, 175, 180, -175, -170], [170, 175, 180, 185, 190], None),
        ([0, 90, 180, 270], [0, 90, 180, 270], True),
        ([180, 270, 0, 90], [180, 270, 360, 450], True),
        ([10, 5, 0, 355], [10, 5, 0, -5], None),
    ],
)
def test_longitudes_are_unwrapped(tmp_path, lon, expected, periodic):
    u = files.values(2, len(lon))
    write(tmp_path / "a.nc", {"u": (("time", "lon"), u)}, {"time": [0.0, 1], "lon": np.array(lon, float)})
    [t] = open_source(tmp_path / "a.nc")
    np.testing.assert_array_equal(t.axes[0].coordinates, expected)
    assert t.axes[0].periodic is periodic
    unit = convert(tmp_path / "a.nc", tmp_path / "o", split=ONE).grid.axes[0].normalised
    assert (np.diff(unit) > 0).all()
    assert (unit[0], unit[-1]) == (0, 1)


def test_cells_in_radians(tmp_path):
    """ICON: cells around the end of the circle, their corners beside them, levels and a pressure as a field."""
    clon = np.array([-0.2, -0.1, 0.0, 0.1, 6.2])
    clat = np.linspace(-0.1, 0.1, 5)
    t, pres = files.values(2, 3, 5), files.values(2, 5, seed=1)
    write(
        tmp_path / "icon.nc",
        {
            "t": (("time", "height", "ncells"), t),
            "pres": (("time", "ncells"), pres),
            "clon_bnds": (("ncells", "vertices"), np.zeros((5, 3))),
        },
        {"clon": ("ncells", clon), "clat": ("ncells", clat), "height": [3.0, 2, 1], "time": [0.0, 1]},
        clon={"standard_name": "longitude", "units": "radian", "bounds": "clon_bnds"},
        clat={"standard_name": "latitude", "units": "radian"},
        pres={"standard_name": "air_pressure"},
    )
    with pytest.raises(UpsDataError, match="--select height=… or --stack height"):
        open_source(tmp_path / "icon.nc")
    [got] = open_source(tmp_path / "icon.nc", options=SourceOptions(stack=("height",)))
    np.testing.assert_array_equal(got.fields["t"][:], t.transpose(0, 2, 1))
    np.testing.assert_array_equal(got.fields["pres"][:, :, 0], pres)
    moved = np.sort([-0.2, -0.1, 0.0, 0.1, 6.2 - 2 * np.pi])
    np.testing.assert_allclose(np.diff(np.sort(got.coords[:, 0])), np.diff(moved), atol=1e-12)
    assert np.ptp(got.coords[:, 0]) < 0.5
    assert {"clon_bnds", "height"} <= set(got.left_out)


@pytest.mark.parametrize("members", [False, True])
def test_forecasts_are_trajectories_of_lead_times(tmp_path, members):
    lead = {"number": 2} if members else {}
    shape = (*lead.values(), 3, 4, 5)
    u = files.values(*shape)
    dims = (*(("member",) if members else ()), "time", "step", "x")
    write(
        tmp_path / "a.nc",
        {"u": (dims, u)},
        {
            "time": [0.0, 12, 24],
            "step": np.arange(4) * 6.0,
            "x": np.arange(5.0),
            "valid_time": (("time", "step"), np.zeros((3, 4))),
        },
        time={"units": "hours since 2020-02-28", "standard_name": "forecast_reference_time"},
        step={"units": "hours", "standard_name": "forecast_period"},
    )
    source = open_source(tmp_path / "a.nc")
    assert len(source) == (6 if members else 3)
    flat = u.reshape(-1, 4, 5)
    for number, t in enumerate(source):
        np.testing.assert_array_equal(t.fields["u"][1:3, :, 0], flat[number, 1:3])
        np.testing.assert_array_equal(t.time, [0, 6, 12, 18])
        assert t.start == ["2020-02-28T00:00:00", "2020-02-28T12:00:00", "2020-02-29T00:00:00"][number % 3]
        assert t.time_units == "hours"
    assert "valid_time" in source[0].left_out


@pytest.mark.parametrize("other", ["x_u", "xu"])
def test_staggered_axes_are_named(tmp_path, other):
    coords = {"x": np.arange(4.0), other: np.arange(5) - 0.5}
    data = {"p": (("time", "x"), files.values(2, 4)), "u": (("time", other), files.values(2, 5))}
    write(tmp_path / "a.nc", data, coords, **{other: {"axis": "X"}})
    with pytest.raises(UpsDataError, match="are both x: rename one of them, or, on a staggered grid, choose variables"):
        open_source(tmp_path / "a.nc")
    [t] = open_source(tmp_path / "a.nc", options=SourceOptions(variables=("u",)))
    assert t.fields["u"].shape == (2, 5, 1)


@pytest.mark.parametrize("turned", ["lat", "lon", "both"])
def test_axes_that_run_the_other_way_are_turned(tmp_path, turned):
    lat, lon, u = np.linspace(-10, 10, 4), np.arange(5.0), files.values(2, 4, 5)
    down, left = (-1 if turned in (name, "both") else 1 for name in ("lat", "lon"))
    dims = ("time", "lat", "lon")
    write(tmp_path / "s/a.nc", {"u": (dims, u)}, {"time": [0.0, 1], "lat": lat, "lon": lon})
    coords = {"time": [0.0, 1], "lat": lat[::down], "lon": lon[::left]}
    write(tmp_path / "s/b.nc", {"u": (dims, u[:, ::down, ::left]), "m": (dims[1:], u[0, ::down, ::left])}, coords)
    write(tmp_path / "s/a.nc", {"u": (dims, u), "m": (dims[1:], u[0])}, {"time": [0.0, 1], "lat": lat, "lon": lon})
    for t in open_source(tmp_path / "s"):
        np.testing.assert_array_equal(t.fields["u"][0:1, ..., 0], u[:1])
        np.testing.assert_array_equal(t.static["m"][1:3, :, 0], u[0, 1:3])
        np.testing.assert_array_equal(t.axes[0].coordinates, lat)
    convert(tmp_path / "s", tmp_path / "o", split=ONE)


def run_of_files(folder, starts, units, steps=3, every=6.0, **kinds):
    """Files of one run, the numbers of time in the unit of each; returns all frames."""
    frames = files.values(steps * len(starts), 4)
    for number, (start, unit) in enumerate(zip(starts, units, strict=True)):
        u = frames[number * steps : (number + 1) * steps]
        time = start + every * np.arange(steps)
        name = f"{folder}/{'zyxwv'[number]}.nc"  # their order is not that of the names
        attributes = {"units": unit} | kinds
        write(
            folder / name,
            {"u": (("time", "x"), u), "mask": ("x", np.arange(4, dtype="f4"))},
            {"time": time, "x": np.arange(4.0)},
            time=attributes,
        )
    return frames


@pytest.mark.parametrize(
    ("starts", "units", "kinds"),
    [
        ([0, 18, 36], ["hours since 2000-02-28"] * 3, {}),
        ([0, 0, 0], [f"hours since 2000-02-{d} {h}:00:00" for d, h in ((28, "00"), (28, "18"), (29, "12"))], {}),
        ([0, 0], ["hours since 2001-02-28 12:00", "hours since 2001-03-01 06:00:00"], {"calendar": "noleap"}),
        ([0, 18, 36], ["s", "s", "s"], {}),
        ([0, 0.75, 1.5], ["days since 2000-02-28"] * 3, {"every": 0.25}),
    ],
)
def test_a_run_in_many_files(tmp_path, starts, units, kinds):
    frames = run_of_files(tmp_path / "run", starts, units, **kinds)
    join = SourceOptions(concat="time")
    [t] = open_source(tmp_path / "run", options=join)
    np.testing.assert_array_equal(t.fields["u"][:, :, 0], frames)
    np.testing.assert_array_equal(t.fields["u"][2:5, :, 0], frames[2:5])
    np.testing.assert_allclose(t.time, kinds.get("every", 6) * np.arange(len(frames)))
    np.testing.assert_array_equal(t.static["mask"][:, 0], np.arange(4))
    manifest = convert(tmp_path / "run", tmp_path / "o", split=ONE, reading=join)
    assert manifest.split("train").shards[0].steps == [len(frames)]


def test_units_that_differ_between_the_files_of_a_run_become_one(tmp_path):
    """xarray chooses units for each file that it writes."""
    frames = run_of_files(tmp_path / "run", [0, 18], ["hours since 2000-02-28", "hours since 2000-02-28"])
    with xr.open_dataset(tmp_path / "run/y.nc", decode_times=False) as dataset:
        other = dataset.load()
    other["time"] = ("time", np.array([0.0, 0.25, 0.5]), {"units": "days since 2000-02-28 18:00:00"})
    other.to_netcdf(tmp_path / "run/y.nc", engine="h5netcdf")
    [t] = open_source(tmp_path / "run", options=SourceOptions(concat="time"))
    unit = {"hours": 1, "days": 24}[t.time_units]
    np.testing.assert_allclose(t.time * unit, 6 * np.arange(len(frames)))
    np.testing.assert_array_equal(t.fields["u"][:, :, 0], frames)


def test_runs_in_subfolders_are_trajectories(tmp_path):
    for name in ("run_1", "run_2"):
        run_of_files(tmp_path / name, [0, 18], ["s", "s"])
    source = open_source(tmp_path, options=SourceOptions(concat="time"))
    assert [t.key for t in source] == ["run_1", "run_2"]
    assert [t.fields["u"].shape[0] for t in source] == [6, 6]


@pytest.mark.parametrize(
    ("starts", "units", "message"),
    [
        ([0, 36], ["s", "s"], "a gap of 24 seconds between z.nc and y.nc, frames are 6 apart: add the missing files"),
        ([0, 12], ["s", "s"], "z.nc and y.nc overlap in time, 12 follows 12: keep each frame once"),
        ([0, 18], ["s", "steps"], "y.nc: counts time in steps, z.nc in seconds: give all"),
        (
            [0, 18],
            ["h", "hours since 2000-01-01"],
            "y.nc: counts time in hours since a date, calendar standard, z.nc in hours:",
        ),
    ],
)
def test_gaps_and_overlaps_are_refused(tmp_path, starts, units, message):
    run_of_files(tmp_path / "run", starts, units)
    with pytest.raises(UpsDataError, match=message):
        convert(tmp_path / "run", tmp_path / "o", reading=SourceOptions(concat="time"))
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("memory", [1 << 30, 0])
@pytest.mark.parametrize("kind", ["netcdf", "zarr"])
def test_a_chunk_over_all_times_is_decoded_once(tmp_path, monkeypatch, memory, kind):
    """Two variables, read in turn; in memory, and in a file where memory is short."""
    u, v = files.values(12, 6, 8), files.values(3, 12, 6, 8, seed=1)
    dataset = xr.Dataset({"u": (("time", "y", "x"), u), "v": (("sample", "time", "y", "x"), v)})
    if kind == "zarr":
        encoding = {"u": {"chunks": (12, 2, 8)}, "v": {"chunks": (3, 12, 6, 4)}}
        dataset.to_zarr(tmp_path / "a", encoding=encoding, zarr_format=2)
    else:
        encoding = {"u": {"chunksizes": (12, 2, 8)}, "v": {"chunksizes": (3, 12, 6, 4)}}
        packed = {"zlib": True, "complevel": 1}
        dataset.to_netcdf(tmp_path / "a", encoding={n: e | packed for n, e in encoding.items()}, engine="h5netcdf")
    monkeypatch.setattr(slabs, "MEMORY", memory)
    decoded, load = [], slabs.load
    monkeypatch.setattr(slabs, "load", lambda variable, box: decoded.append((v := load(variable, box)).size) or v)
    for number, t in enumerate(open_source(tmp_path / "a")):
        for start in range(0, 12, 4):
            np.testing.assert_array_equal(t.fields["u"][start : start + 4, ..., 0], u[start : start + 4])
            np.testing.assert_array_equal(t.fields["v"][start : start + 4, ..., 0], v[number, start : start + 4])
    assert sum(decoded) == u.size + v.size


def test_what_the_earlier_files_of_a_run_decoded_is_forgotten(tmp_path, monkeypatch):
    """Ten files of one chunk each: never more of them in memory than there is room for, and each decoded once."""
    size = 6 * 50 * 4
    for number in range(10):
        u = np.full((6, 50), number, np.float32)
        coords = {"time": 6.0 * number + np.arange(6), "x": np.arange(50.0)}
        encoding = {"u": {"chunksizes": (6, 50), "zlib": True}}
        write(tmp_path / f"run/{number}.nc", {"u": (("time", "x"), u)}, coords, encoding)
    monkeypatch.setattr(slabs, "MEMORY", 3 * size)
    decoded, load = [], slabs.load
    monkeypatch.setattr(slabs, "load", lambda variable, box: decoded.append((v := load(variable, box)).nbytes) or v)
    [t] = open_source(tmp_path / "run", options=SourceOptions(concat="time"))
    for start in range(0, 60, 2):
        np.testing.assert_array_equal(t.fields["u"][start : start + 2, 0, 0], start // 6)
        assert sum(live().in_memory for live in slabs._LIVE if live() is not None) <= 3 * size
    assert sum(decoded) == 10 * size
