"""Folders of splits and of files; `test_cases.py` has folders with a file per field."""

import tracemalloc

import numpy as np
import pytest
import torch

from tests.sources import files
from ups_data import UpsDataError
from ups_data.sources import open_source


def test_folders_are_splits(tmp_path):
    for folder, name in (("train", "b.h5"), ("train", "a.h5"), ("val", "a.h5"), ("test", "a")):
        (tmp_path / folder).mkdir(exist_ok=True)
        files.write_groups(tmp_path / folder / name, keys=("0003", "0005"), frames=4 if name == "a" else 5)
    (tmp_path / "train" / "stats.yaml").write_text("mean: 0")
    (tmp_path / "train" / ".hidden").write_text("x")
    source = open_source(tmp_path)
    assert (source.format, len(source)) == ("pdebench", 8)
    assert source.splits() == ["train"] * 4 + ["valid"] * 2 + ["test"] * 2
    trajectories = list(source)
    assert [t.split for t in trajectories] == source.splits()
    assert [t.source.removeprefix(f"{tmp_path}/") for t in trajectories[::2]] == [
        "train/a.h5",
        "train/b.h5",
        "val/a.h5",
        "test/a",
    ]
    assert [t.key for t in trajectories] == ["0003", "0005"] * 4


def test_a_folder_of_splits_leaves_no_gaps(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(UpsDataError, match="no data"):
        open_source(tmp_path)
    files.write_tensor(tmp_path / "train" / "a")
    (tmp_path / "train" / "b").write_bytes(b"junk")
    with pytest.raises(UpsDataError, match="no reader knows"):
        open_source(tmp_path)
    (tmp_path / "train" / "b").unlink()
    (tmp_path / "valid").mkdir()
    (tmp_path / "val").mkdir()
    with pytest.raises(UpsDataError, match="valid and val"):
        open_source(tmp_path)


def cloud(path, n, **others):
    path.parent.mkdir(parents=True, exist_ok=True)
    return files.write_npz(path, pos=files.values(n, 2, seed=n), u=files.values(n), **others)


def test_a_file_for_each_cloud_whatever_its_size(tmp_path):
    for number, n in ((1, 5), (2, 9), (10, 3)):
        cloud(tmp_path / f"run_{number}.npz", n)
    (tmp_path / "README.md").write_text("notes")
    source = open_source(tmp_path)
    assert (source.format, len(source), source.splits()) == ("npz", 3, [None] * 3)
    assert [(t.key, t.coords.shape[0]) for t in source] == [("run_1", 5), ("run_2", 9), ("run_10", 3)]
    assert [t.key for t in source] == ["run_1", "run_2", "run_10"]  # and again


def test_files_in_folders_of_splits_and_below(tmp_path):
    for name, n in (("train/a/1.npz", 4), ("train/b/1.npz", 5), ("test/1.npz", 6)):
        cloud(tmp_path / name, n)
    source = open_source(tmp_path)
    assert source.splits() == ["train", "train", "test"]
    assert [(t.split, t.coords.shape[0]) for t in source] == [("train", 4), ("train", 5), ("test", 6)]


def test_files_named_like_splits(tmp_path):
    """The names decide, in the order of the files; a split may have many trajectories."""
    for name, count in (("train", 3), ("val", 1), ("test", 2)):
        files.write_npz(tmp_path / f"{name}.npz", u=files.values(count, 2, 4, 1))
    source = open_source(tmp_path)
    assert source.splits() == ["test"] * 2 + ["train"] * 3 + ["valid"]
    assert [t.split for t in source] == source.splits()


def test_one_file_is_open_at_a_time(tmp_path, monkeypatch):
    """Files are opened to be counted and again as they are reached, however many there are."""
    from ups_data.sources.numpy import files as numpy_files

    opened = []
    original = numpy_files.open_npz
    monkeypatch.setattr(numpy_files, "open_npz", lambda path, *rest: opened.append(path.stem) or original(path, *rest))
    for number in range(3):
        cloud(tmp_path / f"{number}.npz", 5)
    source = open_source(tmp_path)
    assert opened == ["0", "1", "2"]
    trajectories = iter(source)
    next(trajectories), next(trajectories)
    assert opened == ["0", "1", "2", "0", "1"]


def test_memory_holds_one_cloud(tmp_path):
    """12 clouds of 3 MB, compressed, so that they are read: a pass stays below 8 MB."""
    for number in range(12):
        arrays = {"pos": np.zeros((1 << 17, 3), np.float32), "u": np.zeros((1 << 17, 3), np.float32)}
        files.write_npz(tmp_path / f"{number}.npz", compressed=True, **arrays)
    tracemalloc.start()
    for t in open_source(tmp_path):
        assert t.fields["u"][:].shape == (1, 1 << 17, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6


def _two_formats(path):
    cloud(path / "a.npz", 5)
    files.write_tensor(path / "b.h5")


def _beside(path):
    cloud(path / "a.npz", 5)
    cloud(path / "more" / "a.npz", 5)


def _splits_beside(path):
    cloud(path / "train" / "a.npz", 5)
    cloud(path / "old" / "a.npz", 5)


def _some_splits(path):
    cloud(path / "train.npz", 5)
    cloud(path / "other.npz", 5)


def _twice_valid(path):
    cloud(path / "val.npz", 5)
    cloud(path / "valid.npz", 5)


def _case_and_not(path):
    files.write_case(path / "a", position=files.values(5, 2))
    files.write_case(path / "b", u=files.values(5, 2))


def _no_coordinates(ending):
    return lambda path: files.write_case(path / "a", ending, velocity=files.values(5, 2), pressure=files.values(5))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_two_formats, "files of the formats npz, pdebench: convert each from its own folder"),
        (_beside, r"holds files \(a.npz\) beside folders \(more\)"),
        (_splits_beside, r"holds splits \(train\) beside other folders \(old\)"),
        (_some_splits, "files named like splits and other.npz"),
        (_twice_valid, "valid and val"),
        (_case_and_not, r"b: no coordinates of points among its files \(u \(5, 2\)\)"),
        (_no_coordinates(".npy"), "needs one of coordinates, named position"),
        (_no_coordinates(".th"), "needs one of coordinates, named position"),
        (lambda path: (path / "a" / "b").mkdir(parents=True), "b: a folder that holds no data"),
        (lambda path: (path / "notes.txt").write_text("x"), "a folder that holds no data"),
    ],
)
def test_folders_that_mix_or_lack_data_are_refused_in_one_line(tmp_path, write, message):
    write(tmp_path)
    with pytest.raises(UpsDataError, match=message) as caught:
        list(open_source(tmp_path))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_format_that_is_asked_for_decides_between_files_and_cases(tmp_path):
    cars = [{"vertices": torch.zeros(4, 3), "press": torch.zeros(1, 4)}]
    torch.save(cars, tmp_path / "car_points.pt")
    with pytest.raises(UpsDataError, match="holds a list, one tensor"):
        list(open_source(tmp_path))
    assert [t.coords.shape for t in open_source(tmp_path, "neuraloperator")] == [(4, 3)]
    files.write_case(tmp_path / "cases" / "a", position=files.values(5, 2), u=files.values(5))
    assert [t.key for t in open_source(tmp_path / "cases", "cases")] == ["a"]
