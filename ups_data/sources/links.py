"""Which files a source consists of: regular ones, and only what lies in the folder that was given.

Links that lead elsewhere are refused, because a folder or a store from somebody else could lead to any file of this
machine, whose content would then be in the dataset.
"""

import os
import stat
from pathlib import Path

from ups_data.errors import UpsDataError


def check_file(path: Path) -> None:
    """Refuse what is no regular file: opening a pipe waits for ever.

    Raises:
        UpsDataError: it is a pipe, a socket or a device, or cannot be looked at.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise UpsDataError(f"{path}: cannot be opened ({error.strerror}): check the path") from error
    if not stat.S_ISREG(mode):
        raise UpsDataError(f"{path}: is no regular file but {_kind(mode)}: save the data in a file")


def check_folder(path: Path, *, allow_links: bool, hidden: bool = False) -> None:
    """Look at everything in a folder of data, without opening it.

    Args:
        hidden: look at hidden entries too, as a store needs them; elsewhere they are never read.

    Raises:
        UpsDataError: a link leads out of the folder or to nothing, or an entry is no file and no folder.
    """
    root = os.path.realpath(path)
    for folder, folders, names in os.walk(path):  # does not follow links to folders
        if not hidden:
            folders[:] = [name for name in folders if not name.startswith(".")]
        for name in (*folders, *names):
            if hidden or not name.startswith("."):
                _check_entry(os.path.join(folder, name), root, allow_links)


def _check_entry(entry: str, root: str, allow_links: bool) -> None:
    if os.path.islink(entry):
        target = os.path.realpath(entry)
        if not os.path.exists(target):
            raise UpsDataError(f"{entry}: is a link to {target}, which is not there: repair or remove it")
        if not allow_links and not is_inside(target, root):
            raise UpsDataError(
                f"{entry}: is a link to {target}, outside of the source: copy the data there, or give --allow-links if "
                "the link is yours"
            )
    try:
        mode = os.stat(entry).st_mode
    except OSError as error:
        raise UpsDataError(f"{entry}: cannot be looked at ({error.strerror}): check the path") from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UpsDataError(f"{entry}: is no regular file but {_kind(mode)}: remove it")


def is_inside(target: str, root: str) -> bool:
    """Whether one real path is another or lies in it."""
    return target == root or target.startswith(root.rstrip("/") + "/")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}
    return kinds.get(stat.S_IFMT(mode), "a device")
