"""Files that are written at once leave no descriptor open, whatever becomes of them."""

import gc
import os
from pathlib import Path

import pytest

from ups_data import UpsDataError
from ups_data.atomic import check_place, exclusive, open_regular, replacing

DESCRIPTORS = Path("/proc/self/fd")

pytestmark = pytest.mark.skipif(not DESCRIPTORS.exists(), reason="needs /proc")


def held() -> int:
    """Descriptors of this process, once what others left to the garbage collector is gone."""
    gc.collect()
    return len(os.listdir(DESCRIPTORS))


def write(path: Path) -> None:
    with replacing(path) as file:
        file.write(b"whole")


def write_in_vain(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"half")
        raise ZeroDivisionError


def write_where_a_folder_is(path: Path) -> None:
    path.mkdir(exist_ok=True)
    with pytest.raises(IsADirectoryError), replacing(path) as file:
        file.write(b"whole")


def lock(path: Path) -> None:
    with exclusive(path), pytest.raises(BlockingIOError), exclusive(path):
        pass


def open_what_is_no_file(path: Path) -> None:
    if not path.exists():
        os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(path)


@pytest.mark.parametrize("act", [write, write_in_vain, write_where_a_folder_is, lock, open_what_is_no_file])
def test_no_descriptor_is_lost(tmp_path: Path, act) -> None:
    act(tmp_path / "a")
    before = held()
    for _ in range(3):
        act(tmp_path / "a")
    assert held() == before


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """As root, a figure's `--json /dev/zero` took the device's place."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    for path in (tmp_path / "pipe", tmp_path / "device"):
        before = path.lstat()
        with pytest.raises(UpsDataError, match=f"{path.name}: is no regular file"), replacing(path):
            pytest.fail("it was about to be written")
        assert path.lstat() == before
    assert sorted(os.listdir(tmp_path)) == ["device", "pipe"]


def test_a_place_is_checked_before_anything_is_computed_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    wrong = {"pipe": "regular", "folder": "is a folder", "missing/x": "does not exist", "pipe/x": "does not exist"}
    for name, says in wrong.items():
        with pytest.raises(UpsDataError, match=says):
            check_place(tmp_path / name)
    for path in (Path("/dev/stdout"), Path()):
        with pytest.raises(UpsDataError, match="regular|names no file"):
            check_place(path)
    (tmp_path / "old").touch()
    check_place(tmp_path / "old")
    check_place(tmp_path / "new")
