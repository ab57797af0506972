import json

import h5py
import numpy as np
import pytest

from tests.sources import files
from ups_data import UpsDataError
from ups_data.sources import open_source


def test_positions_move_and_are_the_field(tmp_path):
    written = files.write_lagrangebench(tmp_path / "f.h5", points=(7, 9), frames=5, dim=2)
    source = open_source(tmp_path / "f.h5")
    assert (source.format, len(source), source.splits()) == ("lagrangebench", 2, [None, None])
    for t, n in zip(source, (7, 9), strict=True):
        assert {name: f.shape for name, f in t.fields.items()} == {"position": (5, n, 2)}
        assert {name: (f.shape, f.dtype) for name, f in t.static.items()} == {"particle_type": ((n, 1), np.int64)}
        assert t.coords.shape == (5, n, 2)
        np.testing.assert_array_equal(t.coords[1:3], written[t.key]["position"][1:3])
        np.testing.assert_array_equal(t.fields["position"][:], written[t.key]["position"])
        np.testing.assert_array_equal(t.static["particle_type"][:, 0], written[t.key]["particle_type"])
        assert (t.time, t.axes) == (None, None)


def test_other_arrays_in_time_are_the_fields(tmp_path):
    u, p, mass = files.values(5, 7, 2), files.values(5, 7, seed=1), files.values(7, seed=2)
    files.write_lagrangebench(tmp_path / "f.h5", points=(7,), frames=5, u=u, p=p, mass=mass)
    [t] = open_source(tmp_path / "f.h5")
    assert {name: f.shape for name, f in t.fields.items()} == {"u": (5, 7, 2), "p": (5, 7, 1)}
    assert set(t.static) == {"particle_type", "mass"}
    np.testing.assert_array_equal(t.fields["p"][3:, :, 0], p[3:])
    np.testing.assert_array_equal(t.coords[4], files.values(5, 7, 2)[4])


def test_the_published_folder_has_its_own_splits_and_times(tmp_path):
    for name, count in (("train", 3), ("valid", 1), ("test", 2)):
        files.write_lagrangebench(tmp_path / f"{name}.h5", points=(6,) * count)
    (tmp_path / "metadata.json").write_text(json.dumps({"dt": 0.25, "write_every": 2, "dim": 2}))
    source = open_source(tmp_path)
    assert source.format == "lagrangebench"
    assert sorted(source.splits()) == ["test"] * 2 + ["train"] * 3 + ["valid"]
    trajectories = list(source)
    assert [t.split for t in trajectories] == source.splits()
    for t in trajectories:
        np.testing.assert_array_equal(t.time, [0, 0.5, 1, 1.5, 2])
    assert open_source(tmp_path / "valid.h5").splits() == ["valid"]


@pytest.mark.parametrize("text", ["{}", "[1]", '{"dt": "fast", "write_every": 2}'])
def test_metadata_may_say_nothing_of_time(tmp_path, text):
    files.write_lagrangebench(tmp_path / "f.h5")
    (tmp_path / "metadata.json").write_text(text)
    assert {t.time for t in open_source(tmp_path / "f.h5")} == {None}
    (tmp_path / "metadata.json").write_text("{")
    with pytest.raises(UpsDataError, match="metadata.json: cannot be read as JSON"):
        open_source(tmp_path / "f.h5")


def test_a_slice_reads_its_frames(tmp_path, monkeypatch):
    files.write_lagrangebench(tmp_path / "f.h5", points=(7, 9))
    read = []
    original = h5py.Dataset.__getitem__

    def spy(self, key, **options):
        result = original(self, key, **options)
        read.append((self.name, np.shape(result)))
        return result

    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    trajectories = list(open_source(tmp_path / "f.h5"))
    assert read == []
    trajectories[1].coords[1:3]
    trajectories[1].fields["position"][4]
    assert read == [("/00001/position", (2, 9, 2)), ("/00001/position", (1, 9, 2))]


def _replace(file, name, array):
    del file[f"00001/{name}"]
    if array is not None:
        file[f"00001/{name}"] = array


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("position", None, "group 00001: no position"),
        ("position", np.zeros((9, 2)), r"group 00001: position has shape \(9, 2\)"),
        ("position", np.zeros((5, 9, 4)), r"group 00001: position has shape \(5, 9, 4\)"),
        ("particle_type", np.zeros(8), r"group 00001: particle_type has shape \(8,\), position has \(5, 9, 2\)"),
        ("particle_type", np.zeros((4, 9)), r"group 00001: particle_type has shape \(4, 9\)"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, name, array, message):
    files.write_lagrangebench(tmp_path / "f.h5", points=(7, 9), frames=5)
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        _replace(file, name, array)
    trajectories = iter(open_source(tmp_path / "f.h5"))
    assert next(trajectories).coords.shape == (5, 7, 2)
    with pytest.raises(UpsDataError, match=message) as caught:
        next(trajectories)
    assert str(tmp_path / "f.h5") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_positions_of_nan_are_refused_as_they_are_read(tmp_path):
    written = files.write_lagrangebench(tmp_path / "f.h5", points=(7,), frames=5)
    position = written["00000"]["position"]
    position[3, 2, 1] = np.nan
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        file["00000/position"][...] = position
    [t] = open_source(tmp_path / "f.h5")
    assert t.coords[:3].shape == (3, 7, 2)
    with pytest.raises(UpsDataError, match=r"group 00000: position: 1 values .*\(first in point 2 of frame 3\)"):
        t.coords[1:4]
