"""Folders of a dataset that is being written. It may have been handed over with links in it: none is followed."""

import os
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path

from ups_data.errors import UpsDataError


def is_inside(root: Path, path: Path) -> bool:
    """Whether `path`, there or not, is in `root` by its real path too, with no link between or at its end."""
    try:
        return os.path.realpath(path) == os.path.join(os.path.realpath(root), path.relative_to(root))
    except ValueError:  # by its name already it is not
        return False


def check_inside(root: Path, path: Path) -> Path:
    """The path itself.

    Raises:
        UpsDataError: it leads out of `root`, or a link is on the way.
    """
    if not is_inside(root, path):
        raise UpsDataError(f"{path}: is or passes a link, or leaves {root}: remove the link, or choose another folder")
    return path


def make_folder(root: Path, path: Path) -> bool:
    """Make a folder of `root` if it is not there; returns whether it was made.

    Raises:
        UpsDataError: as `check_inside`.
        OSError: it cannot be made, or a file lies in its place.
    """
    check_inside(root, path)
    if path.is_dir():
        return False
    path.mkdir()
    return True


def remove_folder(root: Path, path: Path) -> None:
    """Remove a folder of `root` with all that is in it; links in it are removed, not what they lead to.

    Nothing is done if it is not there, or leads out of `root`.
    """
    for _ in range(5):  # zarr's thread may still be at work on what was interrupted
        if path == root or not is_inside(root, path):
            return
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(0.05)


def remove_empty(path: Path) -> None:
    """Remove a folder if nothing is in it."""
    with suppress(OSError):
        path.rmdir()


def read_own(path: Path, limit: int) -> bytes:
    """A file that this project wrote: a regular one of at most so many bytes, no link.

    Raises:
        OSError: it is not there, or cannot be read.
        ValueError: it is something else.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            raise ValueError(f"{path} is no file of at most {limit:,} bytes")
        return file.read(status.st_size)
