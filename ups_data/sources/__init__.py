"""Readers of raw simulations: one file per format, each yielding `Trajectory` objects."""

from pathlib import Path
from typing import Any

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.sources.cases.case import CaseSource
from ups_data.sources.content import look_inside
from ups_data.sources.folder import open_folder
from ups_data.sources.listing import is_zarr
from ups_data.sources.meshes.obj import ObjSource
from ups_data.sources.meshes.ply import PlySource
from ups_data.sources.meshes.vtk import VtkSource
from ups_data.sources.netcdf.files import XarraySource
from ups_data.sources.numpy.files import NpySource, NpzSource
from ups_data.sources.particles.lagrangebench import LagrangebenchSource
from ups_data.sources.pdebench.source import PdebenchSource
from ups_data.sources.torch.neuraloperator import NeuraloperatorSource
from ups_data.trajectory import ArrayLike, Axis, Trajectory

__all__ = ["FORMATS", "ArrayLike", "Axis", "Source", "Trajectory", "open_source"]

# name → class; each is constructed from a path and tells by `recognises(content)` whether a file is its own
FORMATS: dict[str, Any] = {
    source.format: source
    for source in (
        LagrangebenchSource,
        PdebenchSource,
        NpySource,
        NpzSource,
        NeuraloperatorSource,
        CaseSource,
        VtkSource,
        PlySource,
        ObjSource,
        XarraySource,
    )
}


def open_source(path: str | Path, format: str | None = None, *, keep_damaged: bool = False) -> Source:
    """The simulations at `path`: a file, or a folder as `open_folder` says.

    The format is recognised from what the file holds, never from its extension.

    Args:
        format: a key of FORMATS, instead of recognising it.
        keep_damaged: a file of a folder that cannot be opened counts as one trajectory, and is an error only when that
            trajectory is reached.

    Raises:
        UpsDataError: nothing there, an unknown format, or a file that is damaged or not laid out as its format says.
    """
    path = Path(path)
    if format is not None and format not in FORMATS:
        raise UpsDataError(f"unknown format {format!r}: choose one of {', '.join(FORMATS)}")
    if not path.exists():
        raise UpsDataError(f"{path}: no such file or folder: check the path")
    if path.is_dir() and not is_zarr(path):
        return open_folder(path, lambda file: open_source(file, format), format, keep_damaged=keep_damaged)
    if format == CaseSource.format:
        raise UpsDataError(f"{path}: is a file; {format} are folders with a file per field: give their folder")
    source = FORMATS[format](path) if format is not None else _recognise(path)
    if len(source) == 0:
        raise UpsDataError(f"{path}: holds no trajectory: give a file with at least one")
    return source


def _recognise(path: Path) -> Source:
    content = look_inside(path)
    for source in FORMATS.values():
        if source.recognises(content):
            return source(path)
    raise UpsDataError(
        f"{path}: {content}, which no reader knows: convert it to one of {', '.join(FORMATS)}, or name its format"
    )
