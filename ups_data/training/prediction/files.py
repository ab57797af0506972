"""Predictions as files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

from ups_data.errors import UpsDataError
from ups_data.exporting.aside import RESULT, set_aside
from ups_data.exporting.netcdf import write_netcdf
from ups_data.exporting.vtk import write_vtk
from ups_data.trajectory import Trajectory
from ups_data.writing.writer import ShardWriter

__all__ = ["RESULT", "check_format", "set_aside", "write_predictions"]

Format = Literal["shards", "vtk", "netcdf"]


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
                given = {"fields": t.fields, "coords": t.coords, "axes": t.axes, "units": t.units, "mask": t.mask}
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
