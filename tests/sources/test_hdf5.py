"""HDF5 files are read a slice at a time, stay closed in between, and damage is one line."""

import pickle
import tracemalloc

import h5py
import numpy as np
import pytest

from tests.sources import files
from ups_data import UpsDataError
from ups_data.sources import open_source


@pytest.fixture
def elements_read(monkeypatch):
    """The shape of everything that is read from datasets, in order."""
    shapes = []
    original = h5py.Dataset.__getitem__

    def spy(self, key, **options):
        result = original(self, key, **options)
        shapes.append((self.name, np.shape(result)))
        return result

    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    return shapes


def test_a_slice_reads_its_frames_of_its_field_of_its_trajectory(tmp_path, elements_read):
    files.write_compressible(tmp_path / "f", count=3, frames=4, grid=(6, 5, 4))
    trajectories = list(open_source(tmp_path / "f"))
    assert {name for name, _ in elements_read} == {f"/{name}-coordinate" for name in "xyzt"}
    elements_read.clear()
    trajectories[1].fields["Vy"][2:4]
    trajectories[2].fields["density"][3]
    assert elements_read == [("/Vy", (2, 6, 5, 4)), ("/density", (1, 6, 5, 4))]


def test_groups_and_static_fields_are_read_by_slices(tmp_path, elements_read):
    files.write_groups(tmp_path / "g", frames=5, grid=(6, 4))
    files.write_incompressible(tmp_path / "i", grid=(5, 4))
    data = next(iter(open_source(tmp_path / "g"))).fields["data"]
    force = next(iter(open_source(tmp_path / "i"))).static["force"]
    elements_read.clear()
    data[1:3], force[0:2]
    assert elements_read == [("/0000/data", (2, 6, 4, 2)), ("/force", (2, 4, 2))]


def test_memory_does_not_grow_with_the_file(tmp_path):
    """160 MB in 40 trajectories of 4 MB: a pass stays below 12 MB."""
    with h5py.File(tmp_path / "f", "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)  # allocated, as if it had been written, which costs no disk
        plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((40, 16, 256, 256))
        h5py.h5d.create(file.id, b"tensor", h5py.h5t.IEEE_F32LE, space, plist)
        file["x-coordinate"] = file["y-coordinate"] = files.cell_centres(256)
        file["t-coordinate"] = np.arange(17.0)
    tracemalloc.start()
    total = 0
    for t in open_source(tmp_path / "f"):
        total += t.fields["tensor"][:].size
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 40 * 16 * 256 * 256
    assert peak < 12e6


def test_the_file_is_closed_between_reads_and_a_trajectory_outlives_the_iteration(tmp_path):
    path = tmp_path / "f"
    written = files.write_groups(path)
    iterator = iter(open_source(path))
    t = next(iterator)
    t.fields["data"][0]
    with h5py.File(path, "r+"):  # refused while a reader holds the file
        pass
    rest = list(iterator)
    np.testing.assert_array_equal(t.fields["data"][2:], written["0000"][2:])
    np.testing.assert_array_equal(rest[-1].fields["data"][:1], written["0002"][:1])


def test_trajectories_travel_to_other_processes(tmp_path):
    written = files.write_tensor(tmp_path / "f")["tensor"]
    t = pickle.loads(pickle.dumps(list(open_source(tmp_path / "f"))[1]))
    np.testing.assert_array_equal(t.fields["tensor"][:], written[1, ..., None])


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_truncated_file_is_one_line(tmp_path, share):
    files.write_compressible(tmp_path / "f")
    files.truncate(tmp_path / "f", share)
    with pytest.raises(UpsDataError, match="truncated or damaged: download or copy it again") as caught:
        open_source(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damage_found_in_the_middle_of_a_slice_is_one_line(tmp_path):
    path = tmp_path / "f"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("0000/data", data=files.values(4, 8, 8, 2), chunks=(1, 8, 8, 2), compression="gzip")
        for name, n in (("x", 8), ("y", 8), ("t", 4)):
            file[f"0000/grid/{name}"] = files.cell_centres(n)
        chunk = data.id.get_chunk_info(2)
    with open(path, "r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * chunk.size)
    [t] = open_source(path)
    assert t.fields["data"][:2].shape == (2, 8, 8, 2)
    with pytest.raises(UpsDataError, match="truncated or damaged") as caught:
        t.fields["data"][2:3]
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_cut_after_it_was_opened_is_one_line(tmp_path):
    files.write_compressible(tmp_path / "f")
    trajectories = list(open_source(tmp_path / "f"))
    files.truncate(tmp_path / "f")
    with pytest.raises(UpsDataError, match="truncated or damaged"):
        trajectories[0].fields["Vx"][0:1]
