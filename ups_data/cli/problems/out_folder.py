"""A file or a folder of simulations that appears once it is whole."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ups_data.atomic import check_place
from ups_data.errors import UpsDataError


@contextmanager
def written_whole(out: Path, *, force: bool) -> Iterator[Path]:
    """A name beside `out` for a new file, which takes its place in the end; an error leaves nothing behind.

    Nothing is there under that name: what a killed run has left, or a link, is removed.

    Args:
        force: replace `out` if it exists.

    Raises:
        UpsDataError: `out` exists, is no regular file, or the folder that it lies in does not exist.
    """
    if out.exists() and not force:
        raise UpsDataError(f"{out}: exists already: choose another file or give --force")
    check_place(out)
    aside = out.with_name(f".{out.name}.partial")
    aside.unlink(missing_ok=True)
    try:
        yield aside
        aside.replace(out)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def filled_whole(out: Path, names: str, *, force: bool) -> Iterator[Path]:
    """A folder beside `out` to write into, which takes its place in the end; an error leaves nothing behind.

    Args:
        names: pattern of what lies in it: a folder that holds anything else is never replaced.
        force: replace `out` if it exists.

    Raises:
        UpsDataError: `out` exists, or the folder that it lies in does not.
    """
    if out.exists() and not force:
        raise UpsDataError(f"{out}: exists already: choose another name or give --force")
    if not out.is_dir():
        check_place(out)
    strange = [p.name for p in out.iterdir() if not re.fullmatch(names, p.name)] if out.is_dir() else []
    if strange:
        raise UpsDataError(f"{out}: holds {sorted(strange)[0]}, which is no simulation: choose another folder")
    aside = out.with_name(f".{out.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed
    aside.mkdir()
    try:
        yield aside
        if out.is_dir():
            shutil.rmtree(out)
        else:
            out.unlink(missing_ok=True)
        aside.replace(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
