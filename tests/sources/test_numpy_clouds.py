"""A cloud in an archive: one trajectory, its number of points its own."""

import pickle
import tracemalloc

import numpy as np
import pytest

from tests.sources import files
from ups_data import UpsDataError
from ups_data.sources import open_source
from ups_data.sources.positions import COORDINATES


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", COORDINATES)
def test_a_still_cloud_is_one_frame(tmp_path, name, compressed):
    path = tmp_path / "car 7.npz"
    written = files.write_npz(
        path,
        compressed=compressed,
        p=files.values(9).astype(np.float64),
        normals=files.values(9, 3, seed=1).astype(np.float16),
        kind=np.arange(9),
        nu=np.array(0.5),
        M=np.array([2]),
        **{name: files.values(9, 2, seed=2)},
    )
    source = open_source(path)
    assert (source.format, len(source), source.splits()) == ("npz", 1, [None])
    [t] = source
    assert (t.key, t.time, dict(t.static), t.axes, t.split) == ("car 7", None, {}, None, None)
    assert t.params == {"nu": 0.5, "M": 2.0}
    np.testing.assert_array_equal(t.coords, written[name])
    assert {n: (f.shape, f.dtype) for n, f in t.fields.items()} == {
        "p": ((1, 9, 1), np.dtype(np.float64)),
        "normals": ((1, 9, 3), np.dtype(np.float16)),
        "kind": ((1, 9, 1), np.dtype(np.int64)),
    }
    np.testing.assert_array_equal(t.fields["p"][0, :, 0], written["p"])
    np.testing.assert_array_equal(t.fields["normals"][:], written["normals"][None])


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("moving", [False, True])
def test_a_cloud_in_time(tmp_path, moving, compressed):
    coords = files.values(5, 7, 3) if moving else files.values(7, 3)
    written = files.write_npz(
        tmp_path / "f.npz",
        compressed=compressed,
        positions=coords,
        u=files.values(5, 7, 2, seed=1),
        kind=np.arange(7),
        area=files.values(7, 1, seed=3),
        time=np.linspace(0, 1, 5),
    )
    [t] = open_source(tmp_path / "f.npz")
    assert {n: f.shape for n, f in t.fields.items()} == {"u": (5, 7, 2)}
    assert {n: f.shape for n, f in t.static.items()} == {"kind": (7, 1), "area": (7, 1)}
    np.testing.assert_array_equal(t.fields["u"][2:4], written["u"][2:4])
    np.testing.assert_array_equal(t.static["kind"][2:5, 0], [2, 3, 4])
    np.testing.assert_array_equal(t.time, written["time"])
    assert t.coords.shape == coords.shape
    np.testing.assert_array_equal(t.coords[1:3], coords[1:3])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(t)).coords[:], coords)


def test_moving_points_that_carry_nothing_carry_their_positions(tmp_path):
    positions, kind, time = files.values(4, 6, 2), np.arange(6), np.arange(4.0)
    files.write_npz(tmp_path / "f", positions=positions, kind=kind, time=time)
    [t] = open_source(tmp_path / "f")
    assert (t.fields.keys(), t.static.keys()) == ({"positions"}, {"kind"})
    np.testing.assert_array_equal(t.fields["positions"][1:3], positions[1:3])
    np.testing.assert_array_equal(t.coords[:], positions)


def test_stacked_clouds_that_move(tmp_path):
    written = files.write_npz(tmp_path / "f", pos=files.values(3, 5, 7, 2), u=files.values(3, 5, 7, 1, seed=1))
    source = open_source(tmp_path / "f")
    assert len(source) == 3
    for number, t in enumerate(source):
        assert t.coords.shape == (5, 7, 2)
        np.testing.assert_array_equal(t.coords[2:4], written["pos"][number, 2:4])
        np.testing.assert_array_equal(t.fields["u"][2:4], written["u"][number, 2:4])


def test_memory_holds_a_slice_of_a_cloud(tmp_path):
    """64 frames of 65,536 moving points, 67 MB: a pass over 4 frames at a time stays below 8 MB."""
    arrays = {"positions": np.zeros((64, 1 << 16, 2), np.float32), "u": np.zeros((64, 1 << 16, 2), np.float32)}
    files.write_npz(tmp_path / "f", compressed=True, time=np.arange(64.0), **arrays)
    tracemalloc.start()
    [t] = open_source(tmp_path / "f")
    for start in range(0, 64, 4):
        assert not t.coords[start : start + 4].any()
        assert not t.fields["u"][start : start + 4].any()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6


C = files.values(9, 2)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"coords": C, "points": C, "u": C}, "coords and points are both names of coordinates"),
        ({"coords": C[:, :1].repeat(4, 1), "u": C}, r"coords has shape \(9, 4\); .* d of 1 to 3"),
        ({"coords": C[:, 0], "u": C}, r"coords has shape \(9,\)"),
        ({"coords": C[:0], "u": C[:0]}, r"coords has shape \(0, 2\)"),
        ({"coords": C, "u": C[:8]}, r"u has shape \(8, 2\), coords has \(9, 2\): .* \(9,\), \(9, C\) or \(T, 9, C\)"),
        ({"coords": C, "u": np.zeros((5, 9))}, r"u has shape \(5, 9\)"),
        ({"coords": C, "u": np.zeros((9, 5, 1))}, r"u has shape \(9, 5, 1\)"),
        ({"coords": C, "u": np.zeros((9, 9))}, r"which axis is points cannot be told, write \(1, 9, 9\)"),
        ({"coords": C, "u": np.zeros((5, 9, 1)), "v": np.zeros((4, 9, 1))}, "as many frames are needed"),
        ({"coords": C, "u": np.zeros((5, 9, 1)), "time": np.arange(4.0)}, "as many frames are needed"),
        ({"coords": C, "u": np.zeros(9), "time": np.arange(4.0)}, "as many frames are needed"),
        ({"coords": C, "u": np.zeros((1, 9, 1)), "time": np.zeros((1, 1))}, "time has shape"),
        (
            {"coords": np.zeros((5, 9, 2)), "u": np.zeros((5, 9, 1))},
            r"coords has shape \(5, 9, 2\), u has shape \(5, 9, 1\): the first axis may be time or trajectories; "
            r"add time \(5,\)",
        ),
        ({"coords": np.zeros((3, 4, 9, 2)), "u": np.zeros((3, 5, 9, 1))}, r"coords has shape \(3, 4, 9, 2\)"),
        ({"coords": np.zeros((3, 5, 9, 4)), "u": np.zeros((3, 5, 9, 1))}, r"coords has shape \(3, 5, 9, 4\)"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, arrays, message):
    files.write_npz(tmp_path / "f", **arrays)
    with pytest.raises(UpsDataError, match=message) as caught:
        open_source(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layout", ["still", "moving", "stacked", "stacked and moving"])
def test_positions_of_nan_are_refused(tmp_path, layout):
    lead = {"still": (), "moving": (4,), "stacked": (3,), "stacked and moving": (3, 4)}[layout]
    coords = files.values(*lead, 9, 2)
    coords[..., 5, 1] = np.nan
    u = files.values(*((3,) if "stacked" in layout else ()), 4, 9, 1)
    files.write_npz(tmp_path / "f", coords=coords, u=u, time=np.arange(4.0))
    with pytest.raises(UpsDataError, match=r"coords.* are NaN or Inf \(first in point 5") as caught:
        _ = [np.asarray(t.coords) for t in open_source(tmp_path / "f")]
    assert str(tmp_path / "f") in str(caught.value)
