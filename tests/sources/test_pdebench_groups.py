import h5py
import numpy as np
import pytest

from tests.sources import files
from ups_data import UpsDataError
from ups_data.sources import open_source


@pytest.mark.parametrize(("grid", "channels"), [((6, 4), 2), ((6, 4), 1), ((8,), 1), ((5, 4, 3), 2)])
def test_a_group_per_trajectory(tmp_path, grid, channels):
    written = files.write_groups(tmp_path / "f", grid=grid, channels=channels)
    source = open_source(tmp_path / "f")
    assert (source.format, len(source), source.splits()) == ("pdebench", 3, [None] * 3)
    for t in source:
        assert t.fields.keys() == {"data"}
        assert t.fields["data"].shape == (5, *grid, channels)
        np.testing.assert_array_equal(t.fields["data"][:], written[t.key])
        assert [axis.name for axis in t.axes] == list("xyz")[: len(grid)]
        np.testing.assert_array_equal(t.axes[0].coordinates, 2 * files.cell_centres(grid[0]) - 1)
        np.testing.assert_allclose(t.time, np.linspace(0, 5, 5))


def test_groups_are_sorted_by_number_wherever_they_begin(tmp_path):
    """As text, 10000 would come before 9999; HDF5 lists names as text."""
    files.write_groups(tmp_path / "f", keys=("10000", "9999", "0017"))
    assert [t.key for t in open_source(tmp_path / "f")] == ["0017", "9999", "10000"]


def test_the_numbers_of_the_configuration_are_parameters(tmp_path):
    files.write_groups(tmp_path / "f", keys=("0002",))
    [t] = open_source(tmp_path / "f")
    assert t.params == {"Du": 0.001, "Dv": 0.005, "k": 0.002, "flow.gravity": 9.81}


def test_without_configuration_there_are_no_parameters(tmp_path):
    files.write_groups(tmp_path / "f", keys=("0000",))
    with h5py.File(tmp_path / "f", "r+") as file:
        del file["0000"].attrs["config"]
        file["0000"].attrs["Re"] = 100
    [t] = open_source(tmp_path / "f")
    assert t.params == {"Re": 100.0}


def test_one_time_too_many_is_cut_off(tmp_path):
    files.write_groups(tmp_path / "f", keys=("0000",), frames=5, extra_time=True)
    [t] = open_source(tmp_path / "f")
    np.testing.assert_allclose(t.time, np.linspace(0, 5, 6)[:5])


def _drop(file, name):
    del file[f"0001/{name}"]


def _shorten(file, name):
    short = file[f"0001/{name}"][:-2]
    del file[f"0001/{name}"]
    file[f"0001/{name}"] = short


def _break_config(file, name):
    file["0001"].attrs[name] = "sim: {Du: 1"


@pytest.mark.parametrize(
    ("change", "name", "message"),
    [
        (_drop, "data", "group 0001 has no data"),
        (_drop, "grid", "group 0001 has no grid"),
        (_drop, "grid/y", "group 0001: data has shape"),
        (_shorten, "grid/x", "group 0001: data has shape"),
        (_shorten, "grid/t", "group 0001: grid/t"),
        (_break_config, "config", "group 0001: the attribute config"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, change, name, message):
    files.write_groups(tmp_path / "f")
    with h5py.File(tmp_path / "f", "r+") as file:
        change(file, name)
    with pytest.raises(UpsDataError, match=message) as caught:
        list(open_source(tmp_path / "f"))
    assert str(tmp_path / "f") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not files.DIFFUSION_REACTION.exists(), reason=f"{files.DIFFUSION_REACTION} is not there")
def test_the_real_diffusion_reaction_file():
    source = open_source(files.DIFFUSION_REACTION)
    trajectories = list(source)
    assert [t.key for t in trajectories] == [f"{n:04d}" for n in range(12)]
    t = trajectories[3]
    assert (t.fields["data"].shape, t.params) == ((21, 128, 128, 2), {"Du": 0.001, "Dv": 0.005, "k": 0.005})
    assert (t.time[0], t.time[-1], t.axes[0].coordinates[0]) == (0, 5, -0.9921875)
    with h5py.File(files.DIFFUSION_REACTION) as file:
        np.testing.assert_array_equal(t.fields["data"][4:6], file["0003/data"][4:6])


@pytest.mark.parametrize(
    ("grid", "reaction", "expected"),
    [
        ((6, 4), True, "yx"),  # as the simulator of diffusion–reaction writes it: Ny = 6, Nx = 4
        ((5, 5), True, "yx"),
        ((5, 5), False, "xy"),  # shallow water
        ((6, 4), False, "xy"),
    ],
)
def test_axes_are_named_as_the_simulators_write_them(tmp_path, grid, reaction, expected):
    """`sim_diff_react.py` reshapes to (T, Ny, Nx), pyclaw has x first; a value tells which axis is which."""
    lengths = dict(zip(expected, grid, strict=True))
    x, y = (np.linspace(0, 1, lengths[name]) for name in "xy")
    field = np.add.outer(10 * y, x) if expected == "yx" else np.add.outer(x, 10 * y)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["0000/data"] = field[None, ..., None].astype(np.float32)
        file["0000/grid/x"], file["0000/grid/y"], file["0000/grid/t"] = x, y, [0.0]
        sim = "Du: 0.001\n  Dv: 0.005" if reaction else "dam_radius: 0.5"
        file["0000"].attrs["config"] = f"sim:\n  {sim}\n  k: 0.005\n"
    [t] = open_source(tmp_path / "a.h5")
    assert [axis.name for axis in t.axes] == list(expected)
    places = np.meshgrid(*(axis.coordinates for axis in t.axes), indexing="ij")
    at = dict(zip(expected, places, strict=True))
    np.testing.assert_allclose(t.fields["data"][0, ..., 0], 10 * at["y"] + at["x"], rtol=1e-6)
