"""The package vtk, which reads meshes."""

import importlib
import importlib.util
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ups_data.errors import UpsDataError

LIBRARY = "vtkmodules.all"
wanted = False  # whether a source has been opened that vtk will read
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
        return importlib.import_module(LIBRARY)
    except ImportError as error:
        raise _missing(path) from error


def check_vtk(path: Path) -> None:
    """Whether vtk is there; it is not imported yet, perhaps only another process will.

    Raises:
        UpsDataError: it is not installed.
    """
    global wanted
    wanted = True
    if importlib.util.find_spec(LIBRARY.partition(".")[0]) is None or importlib.util.find_spec(LIBRARY) is None:
        raise _missing(path)


def _missing(path: Path) -> UpsDataError:
    return UpsDataError(f"{path}: reading VTK files needs vtk, which is not installed: pip install 'ups_data[mesh]'")


def ended(path: Path, status: int) -> UpsDataError:
    """The one line for a file over which the process that read it has ended; `status`: as `subprocess` gives it."""
    if status == -signal.SIGPROF:
        return UpsDataError(
            f"{path}: takes the library that reads it far more time than its bytes call for: it is damaged: save it "
            "again, or leave it out"
        )
    name = signal.Signals(-status).name if status < 0 else f"status {status}"
    return UpsDataError(
        f"{path}: ends the library that reads it ({name}): it is damaged: save it again, or leave it out; or it needs "
        "more memory than there is"
    )


def too_large(path: Path) -> UpsDataError:
    """The one line for what takes more memory than there is, or than its bytes call for."""
    return UpsDataError(
        f"{path}: takes more memory than there is, or far more than its bytes call for: it is damaged: save it again; "
        "or raise --max-expansion if it is meant"
    )


def damaged(path: Path, reason: str) -> UpsDataError:
    """The one line for what vtk could not read."""
    return UpsDataError(
        f"{path}: cannot be read by vtk, it is truncated or damaged: save it as VTU or copy it again ({reason})"
    )
