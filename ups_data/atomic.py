"""Files that are whole or not there, and folders that one process has to itself."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write; it takes the place of `path` in one step when the block ends without an error.

    Whatever is killed or cut off at whatever moment, `path` is the old file or the new one. A kill may leave the
    unfinished file behind: see `remove_debris`.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(aside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    # The rename itself survives a power cut once the folder is on the disk.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_debris(path: Path) -> None:
    """Remove what killed writers of `path` left beside it. Only for a process that has the folder to itself."""
    for file in path.parent.iterdir():
        name, _, number = file.name.rpartition(".")
        if name == f".{path.name}" and number.isdecimal():
            file.unlink(missing_ok=True)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, made if need be and left there, empty.

    The lock is the system's (`flock`): it ends with the process, however that ends.

    Raises:
        BlockingIOError: another process holds it.
    """
    with ExitStack() as held:
        while True:
            file = held.enter_context(open(path, "ab"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                    break
            # Whoever held it has removed or replaced it since it was opened here.
        yield
