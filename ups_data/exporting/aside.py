"""Folders of files that are whole or not there: written aside, moved into their place at the end."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ups_data.errors import UpsDataError

RESULT = "predictions"  # the folder in the one that is set aside


@contextmanager
def set_aside(out: Path) -> Iterator[Path]:
    """A new folder beside `out` to work in. When the block ends without an error, its sub-folder RESULT takes the place
    of `out`; the rest is removed, and all of it if the block ends with an error.

    Raises:
        UpsDataError: `out` holds something already, or its folder cannot be written to.
    """
    if os.path.lexists(out) and (not out.is_dir() or out.is_symlink() or any(out.iterdir())):
        raise UpsDataError(f"{out}: is there already: name a new folder")
    aside = out.absolute().with_name(f".{out.name}.{os.getpid()}")
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir()
    except OSError as error:
        raise UpsDataError(f"{out}: cannot be made ({error.strerror}): name another folder") from None
    try:
        yield aside
        with suppress(FileNotFoundError):
            out.rmdir()
        (aside / RESULT).rename(out)
    except OSError as error:
        raise UpsDataError(
            f"{out}: cannot be written ({error.strerror or error}): make room, or name another"
        ) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
