import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

from tests.sources import files
from ups_data import UpsDataError
from ups_data.sources import open_source
from ups_data.sources.numpy import members as numpy_members
from ups_data.sources.plain.archive import check_member
from ups_data.sources.plain.array import FileArray


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, bool, ">f4"])
@pytest.mark.parametrize("shape", [(3, 5, 8, 2), (3, 5, 6, 4, 1), (2, 1, 4, 3, 2, 1)])
def test_npy(tmp_path, shape, dtype):
    written = files.write_npy(tmp_path / "f", files.values(*shape).astype(dtype))
    source = open_source(tmp_path / "f")
    assert (source.format, len(source), source.splits()) == ("npy", shape[0], [None] * shape[0])
    for number, t in enumerate(source):
        assert t.fields["data"].shape == shape[1:]
        assert t.fields["data"].dtype == written.dtype.newbyteorder("=")
        np.testing.assert_array_equal(t.fields["data"][:], written[number])
        np.testing.assert_array_equal(t.fields["data"][1:3], written[number, 1:3])
        assert (t.time, t.axes, t.coords, t.key) == (None, None, None, f"000{number}")


def test_npy_in_fortran_order(tmp_path):
    written = files.write_npy(tmp_path / "f", np.asfortranarray(files.values(3, 5, 6, 4, 2)))
    np.testing.assert_array_equal(list(open_source(tmp_path / "f"))[1].fields["data"][2:4], written[1, 2:4])


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_with_everything(tmp_path, compressed):
    written = files.write_npz(
        tmp_path / "f",
        compressed=compressed,
        u=files.values(3, 5, 6, 4, 2),
        p=files.values(3, 5, 6, 4, 1, seed=1).astype(np.float64),
        time=np.arange(5.0),
        x=np.arange(4.0),
        y=np.arange(6.0) * 2,
        nu=np.array([0.1, 0.2, 0.3]),
        M=np.array(0.5),
    )
    source = open_source(tmp_path / "f")
    assert (source.format, len(source)) == ("npz", 3)
    for number, t in enumerate(source):
        assert t.fields.keys() == {"u", "p"}
        for name, field in t.fields.items():
            assert (field.shape, field.dtype) == (written[name].shape[1:], written[name].dtype)
            np.testing.assert_array_equal(field[:], written[name][number])
        np.testing.assert_array_equal(t.time, np.arange(5.0))
        assert t.params == {"nu": (number + 1) / 10 if number < 2 else 0.3, "M": 0.5}
        assert [(axis.name, len(axis.coordinates)) for axis in t.axes] == [("y", 6), ("x", 4)]
        assert [axis.periodic for axis in t.axes] == [None, None]


@pytest.mark.parametrize(
    ("grid", "axes", "names"),
    [
        ((6, 4), {"x": 4, "y": 6}, ["y", "x"]),
        ((6, 4), {"x": 6, "y": 4}, ["x", "y"]),
        ((5, 5), {"x": 5, "y": 5}, ["y", "x"]),
        ((7,), {"x": 7}, ["x"]),
        ((2, 3, 4), {"x": 4, "y": 3, "z": 2}, ["z", "y", "x"]),
        ((2, 3, 4), {"x": 2, "y": 3, "z": 4}, ["x", "y", "z"]),
    ],
)
def test_axes_are_matched_by_length_with_x_along_the_last(tmp_path, grid, axes, names):
    given = {name: np.arange(n) * (1.0 + ord(name)) for name, n in axes.items()}
    files.write_npz(tmp_path / "f", u=files.values(2, 3, *grid, 1), **given)
    t = next(iter(open_source(tmp_path / "f")))
    assert [axis.name for axis in t.axes] == names
    for axis in t.axes:
        np.testing.assert_array_equal(axis.coordinates, given[axis.name])


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_coords_make_points(tmp_path, own, compressed):
    coords = files.values(3, 7, 2) if own else files.values(7, 2)
    written = files.write_npz(tmp_path / "f", compressed=compressed, u=files.values(3, 5, 7, 2, seed=1), coords=coords)
    for number, t in enumerate(open_source(tmp_path / "f")):
        np.testing.assert_array_equal(t.coords, coords[number] if own else coords)
        np.testing.assert_array_equal(t.fields["u"][1:4], written["u"][number, 1:4])
        assert t.axes is None


def test_a_compressed_member_is_inflated_once_for_slices_in_order(tmp_path, monkeypatch):
    written = files.write_npz(tmp_path / "f", compressed=True, u=files.values(20, 5, 64, 64, 1))["u"]
    inflated = []
    original = zipfile.ZipExtFile._read1

    def spy(self, n):
        data = original(self, n)
        inflated.append(len(data))
        return data

    monkeypatch.setattr(zipfile.ZipExtFile, "_read1", spy)
    trajectories = list(open_source(tmp_path / "f"))
    check_member(tmp_path / "f", "u.npy")  # the checksum takes a pass of its own, once
    inflated.clear()
    for number, t in enumerate(trajectories):
        for start in range(5):
            np.testing.assert_array_equal(t.fields["u"][start : start + 1], written[number, start : start + 1])
    assert sum(inflated) < written.nbytes * 1.05
    np.testing.assert_array_equal(trajectories[2].fields["u"][1:3], written[2, 1:3])  # and back again


@pytest.mark.parametrize("compressed", [False, True])
def test_memory_does_not_grow_with_an_archive(tmp_path, compressed):
    """40 MB in 40 trajectories: a pass stays below 8 MB."""
    files.write_npz(tmp_path / "f", compressed=compressed, u=np.zeros((40, 4, 256, 256, 1), np.float32))
    tracemalloc.start()
    total = sum(float(t.fields["u"][:].sum()) + 1 for t in open_source(tmp_path / "f"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 40
    assert peak < 8e6


def test_a_npy_file_is_read_by_slices(tmp_path):
    files.write_npy(tmp_path / "f", np.zeros((40, 4, 256, 256, 1), np.float32))
    tracemalloc.start()
    frame = list(open_source(tmp_path / "f"))[39].fields["data"][3:4]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert frame.shape == (1, 256, 256, 1)
    assert peak < 1e6


def test_compressed_trajectories_travel_to_other_processes(tmp_path):
    written = files.write_npz(tmp_path / "f", compressed=True, u=files.values(3, 5, 6, 2))["u"]
    t = list(open_source(tmp_path / "f"))[1]
    t.fields["u"][0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(t)).fields["u"][:], written[1])


@pytest.mark.parametrize("shape", [(3, 5, 8), (3, 5), (3,), (2, 2, 2, 2, 2, 2, 2)])
def test_a_missing_channel_axis_is_never_guessed(tmp_path, shape):
    files.write_npy(tmp_path / "f", files.values(*shape))
    with pytest.raises(UpsDataError, match=r"the last axis always channels.*\[\.\.\., None\]") as caught:
        open_source(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value)


U = files.values(3, 5, 6, 4, 1)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"u": U, "v": U[:2]}, "v has shape .* u has"),
        ({"u": U, "v": U[:, :4]}, "v has shape .* u has"),
        ({"u": U, "v": U[..., 0, 0]}, "v has shape .* last axis always channels"),
        ({"u": U, "time": np.arange(6.0)}, "time has shape"),
        ({"u": U, "x": np.arange(4.0)}, "does not fit the grid"),
        ({"u": U, "x": np.arange(4.0), "y": np.arange(5.0)}, "does not fit the grid"),
        ({"u": U, "x": np.arange(4.0), "y": np.arange(6.0), "z": np.arange(5.0)}, "does not fit the grid"),
        ({"u": U, "nu": np.arange(4.0)}, "nu has shape .* 3 trajectories"),
        ({"u": U, "coords": files.values(6, 2)}, "coords has shape"),
        ({"u": U[..., 0], "coords": files.values(5, 2)}, "coords has shape"),
        ({"u": U[..., 0], "coords": files.values(6, 2), "x": np.arange(6.0)}, "coords and x"),
        ({"time": np.arange(5.0)}, "none of them a field"),
        ({"u": np.array([object()])}, "numbers are expected|Python objects"),
        ({"u": U.astype("U4")}, "numbers are expected"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, arrays, message):
    files.write_npz(tmp_path / "f", **arrays)
    with pytest.raises(UpsDataError, match=message) as caught:
        open_source(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_python_objects_in_a_npy_are_refused(tmp_path):
    files.write_npy(tmp_path / "f", np.array([{"run": "code"}] * 3, dtype=object))
    with pytest.raises(UpsDataError, match="Python objects"):
        open_source(tmp_path / "f")


@pytest.mark.parametrize("name", ["npy", "npz", "compressed"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_truncated_file_is_one_line(tmp_path, name, share):
    if name == "npy":
        files.write_npy(tmp_path / "f", U)
    else:
        files.write_npz(tmp_path / "f", compressed=name == "compressed", u=U)
    files.truncate(tmp_path / "f", share)
    with pytest.raises(UpsDataError, match="truncated") as caught:
        open_source(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damage_found_in_the_middle_of_a_slice_is_one_line(tmp_path):
    files.write_npz(tmp_path / "f", compressed=True, u=files.values(8, 4, 32, 32, 1))
    data = bytearray((tmp_path / "f").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = b"\xff" * 4000
    (tmp_path / "f").write_bytes(data)
    trajectories = list(open_source(tmp_path / "f"))
    with pytest.raises(UpsDataError, match="damaged") as caught:
        _ = [t.fields["u"][:] for t in trajectories]
    assert str(tmp_path / "f") in str(caught.value)


def test_a_compressed_member_in_fortran_order_is_refused(tmp_path):
    files.write_npz(tmp_path / "f", compressed=True, u=np.asfortranarray(U))
    with pytest.raises(UpsDataError, match="ascontiguousarray"):
        open_source(tmp_path / "f")
    files.write_npz(tmp_path / "f", u=np.asfortranarray(U))
    np.testing.assert_array_equal(list(open_source(tmp_path / "f"))[2].fields["u"][1:], U[2, 1:])


def test_uncompressed_members_are_read_where_they_lie(tmp_path):
    files.write_npz(tmp_path / "f", u=U)
    assert isinstance(numpy_members.open_npz(tmp_path / "f")["u"], FileArray)
