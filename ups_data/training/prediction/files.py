"""Predictions as files: written aside, moved into their place when they are whole."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, get_args

from ups_data.errors import UpsDataError
from ups_data.training.prediction.netcdf import write_netcdf
from ups_data.training.prediction.vtk import write_vtk
from ups_data.trajectory import Trajectory
from ups_data.writing.writer import ShardWriter

RESULT = "predictions"  # the folder in the one that is set aside
Format = Literal["shards", "vtk", "netcdf"]


@contextmanager
def set_aside(out: Path) -> Iterator[Path]:
    """A new folder beside `out` to work in. When the block ends without an error, its sub-folder `predictions` takes
    the place of `out`; the rest is removed, and all of it if the block ends with an error.

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


def write_predictions(
    trajectories: Iterable[Trajectory], folder: Path, format: Format, *, split: str, source: dict[str, str]
) -> None:
    """Write every trajectory into a folder, new or empty.

    Args:
        format: "shards": a dataset; "vtk": `SPLIT/KEY.pvd` with a file for each frame; "netcdf": `SPLIT/KEY.nc`.
        source: what the predictions were made from, for the manifest of a dataset.

    Raises:
        UpsDataError: an unknown format, or what the trajectories raise.
    """
    check_format(format)
    if format == "shards":
        with ShardWriter(folder, source=source) as writer:
            for t in trajectories:
                given = {"fields": t.fields, "coords": t.coords, "axes": t.axes, "units": t.units}
                shape = {"sets": t.sets} if t.sets else given
                writer.add(**shape, split=split, time=t.time, params=t.params, key=t.key, source=t.source)
        return
    (folder / split).mkdir(parents=True)
    for trajectory in trajectories:
        (write_vtk if format == "vtk" else write_netcdf)(folder / split, trajectory)


def check_format(format: str) -> None:
    """Refuse a format that there is not.

    Raises:
        UpsDataError: it names those that there are.
    """
    if format not in get_args(Format):
        raise UpsDataError(f"--format {format}: choose one of {', '.join(get_args(Format))}")
