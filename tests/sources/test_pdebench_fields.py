import h5py
import numpy as np
import pytest

from tests.sources import files
from ups_data import UpsDataError
from ups_data.sources import open_source


def test_tensor_in_time(tmp_path):
    written = files.write_tensor(tmp_path / "f", count=3, frames=5, grid=(8,))["tensor"]
    source = open_source(tmp_path / "f")
    assert (source.format, len(source), source.splits()) == ("pdebench", 3, [None] * 3)
    trajectories = list(source)
    assert [t.key for t in trajectories] == ["0000", "0001", "0002"]
    for number, t in enumerate(trajectories):
        assert t.fields.keys() == {"tensor"}
        assert (t.fields["tensor"].shape, t.fields["tensor"].dtype) == ((5, 8, 1), np.float32)
        np.testing.assert_array_equal(t.fields["tensor"][:], written[number, ..., None])
        assert (t.params, t.source, t.split, t.coords) == ({"Nu": 0.01}, str(tmp_path / "f"), None, None)
        assert [axis.name for axis in t.axes] == ["x"]
        np.testing.assert_array_equal(t.axes[0].coordinates, files.cell_centres(8))


def test_one_time_too_many_is_cut_off(tmp_path):
    files.write_tensor(tmp_path / "f", frames=5)  # writes 6 times
    [time] = {tuple(t.time) for t in open_source(tmp_path / "f")}
    np.testing.assert_allclose(time, [0, 0.4, 0.8, 1.2, 1.6])


def test_as_many_times_as_frames_stay_and_other_numbers_are_refused(tmp_path):
    path = tmp_path / "f"
    files.write_tensor(path, frames=5)
    for count, ok in ((5, True), (4, False), (7, False)):
        with h5py.File(path, "r+") as file:
            del file["t-coordinate"]
            file["t-coordinate"] = np.arange(count, dtype=np.float32)
        if ok:
            assert len(next(iter(open_source(path))).time) == 5
        else:
            with pytest.raises(UpsDataError, match=r"t-coordinate .* 5 frames"):
                open_source(path)


@pytest.mark.parametrize(("count", "frames", "size"), [(3, 5, 8), (5, 5, 5), (4, 4, 8), (1, 6, 6)])
def test_a_device_axis_is_not_a_space_axis(tmp_path, count, frames, size):
    """[1, N, T, X] has as many axes as a 2-D set [N, T, X, Y]; the lengths may even agree."""
    written = files.write_tensor(tmp_path / "f", count=count, frames=frames, grid=(size,), device_axis=True)["tensor"]
    source = open_source(tmp_path / "f")
    assert len(source) == count
    for number, t in enumerate(source):
        assert len(t.axes) == 1
        np.testing.assert_array_equal(t.fields["tensor"][:], written[number, ..., None])


def test_two_dimensions_with_one_trajectory_are_not_a_device_axis(tmp_path):
    written = files.write_tensor(tmp_path / "f", count=1, frames=4, grid=(6, 5))["tensor"]
    source = open_source(tmp_path / "f")
    assert len(source) == 1
    np.testing.assert_array_equal(next(iter(source)).fields["tensor"][:], written[0, ..., None])


def test_a_second_space_axis_without_coordinates_is_refused(tmp_path):
    """[1, T, X, Y] with x-coordinate alone looks like a device axis until the times are compared."""
    with h5py.File(tmp_path / "f", "w") as file:
        file["tensor"] = files.values(1, 4, 6, 8)
        file["x-coordinate"] = files.cell_centres(8)
        file["t-coordinate"] = np.arange(5.0)
    with pytest.raises(UpsDataError, match="6 frames"):
        open_source(tmp_path / "f")
    with h5py.File(tmp_path / "f", "r+") as file:
        del file["t-coordinate"]
    with pytest.raises(UpsDataError, match="expected"):
        open_source(tmp_path / "f")


@pytest.mark.parametrize("device_axis", [False, True])
@pytest.mark.parametrize("grid", [(6,), (6, 5), (6, 5, 4)])
def test_compressible_flow(tmp_path, grid, device_axis):
    written = files.write_compressible(tmp_path / "f", grid=grid, device_axis=device_axis)
    source = open_source(tmp_path / "f")
    assert len(source) == 3
    for number, t in enumerate(source):
        assert list(t.fields) == ["density", "pressure", "Vx", "Vy", "Vz"][: 2 + len(grid)]
        assert [axis.name for axis in t.axes] == list("xyz")[: len(grid)]
        assert tuple(len(axis.coordinates) for axis in t.axes) == grid
        assert t.params == {"eta": 0.1, "zeta": 0.2, "M": 0.5}
        assert len(t.time) == 4
        for name, field in t.fields.items():
            assert field.shape == (4, *grid, 1)
            np.testing.assert_array_equal(field[:], written[name][number, ..., None])


def test_darcy(tmp_path):
    written = files.write_darcy(tmp_path / "f", count=3, grid=(6, 5))
    trajectories = list(open_source(tmp_path / "f"))
    assert len(trajectories) == 3
    for number, t in enumerate(trajectories):
        assert (t.time, dict(t.static), t.params) == (None, {}, {"beta": 1.0})
        assert {name: field.shape for name, field in t.fields.items()} == {"tensor": (1, 6, 5, 1), "nu": (1, 6, 5, 1)}
        np.testing.assert_array_equal(t.fields["tensor"][0, ..., 0], written["tensor"][number, 0])
        np.testing.assert_array_equal(t.fields["nu"][0, ..., 0], written["nu"][number])
        np.testing.assert_array_equal(t.fields["nu"][0:1], written["nu"][number][None, ..., None])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2D_CFD_Rand_M0.1_Eta0.01_Zeta0.01_periodic_128_Train.hdf5", True),
        ("1D_CFD_Shock_Eta1.e-8_Zeta1.e-8_trans_Train.hdf5", False),
        ("1D_CFD_Rand_periodic.hdf5", True),
        ("1D_Burgers_Sols_Nu0.01.hdf5", None),
        ("transient_aperiodic_flow.hdf5", None),
    ],
)
def test_the_boundary_condition_is_in_the_name(tmp_path, name, expected):
    files.write_compressible(tmp_path / name, grid=(6, 5))
    t = next(iter(open_source(tmp_path / name)))
    assert [axis.periodic for axis in t.axes] == [expected, expected]


def _drop(name):
    def change(file):
        del file[name]

    return change


def _replace(name, shape):
    def change(file):
        del file[name]
        file[name] = files.values(*shape)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_drop("Vy"), "also needs Vy"),
        (_drop("x-coordinate"), "coordinates for"),
        (_replace("Vx", (2, 4, 6, 5)), "Vx has shape .* density has"),
        (_replace("Vx", (3, 5, 6, 5)), "Vx has shape .* density has"),
        (_replace("Vx", (3, 4, 5, 6)), "Vx has shape"),
        (_replace("Vx", (5,)), "Vx has shape"),
        (_replace("density", (2, 3, 4, 6, 5)), "density has shape"),
        (_replace("x-coordinate", (6, 5)), "one axis"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, change, message):
    path = tmp_path / "f"
    files.write_compressible(path, count=3, frames=4, grid=(6, 5))
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(UpsDataError, match=message) as caught:
        open_source(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_darcy_with_several_frames_is_refused(tmp_path):
    files.write_darcy(tmp_path / "f", count=3, grid=(6, 5))
    with h5py.File(tmp_path / "f", "r+") as file:
        _replace("tensor", (3, 2, 6, 5))(file)
    with pytest.raises(UpsDataError, match=r"\[N, 1, 6, 5\] is expected"):
        open_source(tmp_path / "f")


@pytest.mark.skipif(not files.BURGERS.exists(), reason=f"{files.BURGERS} is not there")
def test_the_real_burgers_file():
    source = open_source(files.BURGERS)
    assert len(source) == 16
    t = list(source)[5]
    assert (t.fields["tensor"].shape, len(t.time), t.params) == ((201, 1024, 1), 201, {"Nu": 0.01})
    with h5py.File(files.BURGERS) as file:
        np.testing.assert_array_equal(t.fields["tensor"][7:9, :, 0], file["tensor"][5, 7:9])
        np.testing.assert_array_equal(t.time, file["t-coordinate"][:201])
