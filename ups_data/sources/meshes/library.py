"""The package vtk, which reads meshes."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ups_data.errors import UpsDataError

# called with each file that vtk is about to read: a damaged one may end the process
BEFORE_READING: list[Callable[[Path], None]] = []


def require_vtk(path: Path) -> Any:
    """The package vtk; it is about to read the file.

    Raises:
        UpsDataError: it is not installed.
    """
    for tell in BEFORE_READING:
        tell(path)
    try:
        return importlib.import_module("vtkmodules.all")
    except ImportError as error:
        raise UpsDataError(
            f"{path}: reading VTK files needs vtk, which is not installed: pip install 'ups_data[mesh]'"
        ) from error


def damaged(path: Path, reason: str) -> UpsDataError:
    """The one line for what vtk could not read."""
    return UpsDataError(
        f"{path}: cannot be read by vtk, it is truncated or damaged: save it as VTU or copy it again ({reason})"
    )
