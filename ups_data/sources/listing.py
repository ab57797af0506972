"""What lies in a folder, in the order in which a person counts."""

import os
import re
from pathlib import Path

from ups_data.errors import UpsDataError

# notes, statistics, scripts and pictures that lie beside data
BESIDE = {".yaml", ".yml", ".json", ".md", ".txt", ".csv", ".log", ".py", ".sh", ".ipynb", ".html", ".pdf", ".png"}


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr group, version 2 or 3, and so one file of data."""
    return path.is_dir() and any((path / name).exists() for name in ("zarr.json", ".zgroup"))


def list_folder(path: Path) -> tuple[list[Path], list[Path]]:
    """The data files and the subfolders, `case_2` before `case_10`.

    Hidden ones and files with an ending in BESIDE are passed over; any other file must be data, so that a damaged one
    is an error rather than a gap.

    Raises:
        UpsDataError: the folder cannot be listed.
    """
    try:
        with os.scandir(path) as entries:
            shown = [entry for entry in entries if not entry.name.startswith(".")]
            found = [(path / e.name, e.is_dir() and not is_zarr(path / e.name)) for e in shown]
    except OSError as error:
        raise UpsDataError(f"{path}: cannot be listed ({error.strerror}): check the path") from error
    files = [item for item, is_folder in found if not is_folder and item.suffix not in BESIDE]
    return sorted(files, key=by_number), sorted((item for item, is_folder in found if is_folder), key=by_number)


def by_number(path: Path) -> tuple[tuple[str | int, ...], str]:
    """Sorts names by the numbers in them; a name's parts alternate between text and number."""
    parts = re.split(r"([0-9]+)", path.name)
    return tuple(int(part) if place % 2 else part for place, part in enumerate(parts)), path.name


def named(paths: list[Path]) -> str:
    """A few of the names, for a message."""
    return ", ".join(path.name for path in paths[:4]) + (", …" if len(paths) > 4 else "")
