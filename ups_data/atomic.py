"""Files that are whole or not there, files that are regular, and folders that one process has to itself.

A folder may have been handed over with links in it, so none is followed where something is written.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ups_data.errors import UpsDataError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write; it takes the place of `path` in one step when the block ends without an error.

    Whatever is killed or cut off at whatever moment, `path` is the old file or the new one. A kill may leave the
    unfinished file behind: see `remove_debris`. If `path` is a link, the file takes the link's place.

    Raises:
        UpsDataError: `path` names no file; or it is a device, a named pipe or a socket, or leads to one, or lies in
            /dev, as the link that a program's output has there: the file would take its place too.
    """
    _check_replaceable(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with _new_file(aside) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):  # the folder may be gone, and its error is on its way
            aside.unlink()
    # The rename itself survives a power cut once the folder is on the disk.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def check_place(path: Path) -> None:
    """Refuse a place that nothing could be written to in the end, before anything is computed for it.

    Raises:
        UpsDataError: as `replacing` does; or `path` is a folder, or the folder that it lies in is not there.
    """
    _check_replaceable(path)
    if path.is_dir():
        raise UpsDataError(f"{path}: is a folder: name a file")
    if not path.absolute().parent.is_dir():
        raise UpsDataError(f"{path}: the folder {path.parent} does not exist: create it, or name another place")


def _check_replaceable(path: Path) -> None:
    if not path.name:
        raise UpsDataError(f"{path}: names no file: choose one")
    with suppress(OSError):  # nothing is there, which is well; or the folder cannot be used, which opening says
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or path.parent.resolve() == Path("/dev"):
            raise UpsDataError(f"{path}: is no regular file: choose another place")


def open_regular(path: str | Path, buffering: int = -1) -> BinaryIO:
    """Open a file to read its bytes, if it is a regular one.

    Opening a FIFO would wait for somebody who writes to it, and reading a device may never end.

    Raises:
        OSError: there is no such file, it cannot be opened, or it is not a regular file.
    """
    no_wait = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    file = open(path, "rb", buffering, opener=lambda name, flags: os.open(name, flags | no_wait))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return file


def open_log(path: Path) -> BinaryIO:
    """Open a file to append to it, made if need be.

    Raises:
        UpsDataError: it is a link or no regular file, or cannot be written.
    """
    # Without O_NONBLOCK, opening a named pipe waits for a reader.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = open(os.open(path, flags, 0o666), "ab")  # noqa: SIM115, kept open between lines
    except OSError as error:
        raise UpsDataError(f"{path}: cannot be written, or is a link ({error.strerror}): remove it") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UpsDataError(f"{path}: is no regular file: remove it")
    return file


def remove_debris(path: Path) -> None:
    """Remove what killed writers of `path` left beside it. Only for a process that has the folder to itself."""
    for file in path.parent.iterdir():
        name, _, number = file.name.rpartition(".")
        if name == f".{path.name}" and number.isdecimal() and (file.is_symlink() or not file.is_dir()):
            file.unlink(missing_ok=True)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, made if need be and left there, as it is.

    The lock is the system's (`flock`): it ends with the process, however that ends.

    Raises:
        BlockingIOError: another process holds it.
        UpsDataError: it is a link, or no file.
    """
    with ExitStack() as held:
        while True:
            file = held.enter_context(_file_to_lock(path))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), os.lstat(path)):
                    break
            # Whoever held it has removed or replaced it since it was opened here.
        yield


def _new_file(path: Path) -> BinaryIO:
    """A file that was not there: what lies in its place is removed, a link with it, and never written to."""
    path.unlink(missing_ok=True)
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), "wb")


def _file_to_lock(path: Path) -> BinaryIO:
    # Without O_NONBLOCK, opening a named pipe waits for a reader.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return open(os.open(path, flags, 0o666), "ab")
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise
        raise UpsDataError(f"{path}: is a link or no regular file: remove it, and run the same command again") from None
