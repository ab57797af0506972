"""Readers of raw simulations: a folder per family of formats, each yielding `Trajectory` objects."""

from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.sources.cases.case import CaseSource
from ups_data.sources.content import Content, look_inside
from ups_data.sources.folder import open_folder
from ups_data.sources.lazy import LazyArray
from ups_data.sources.listing import is_zarr
from ups_data.sources.meshes.obj import ObjSource
from ups_data.sources.meshes.ply import PlySource
from ups_data.sources.meshes.vtk import VtkSource
from ups_data.sources.netcdf.files import XarraySource
from ups_data.sources.numpy.files import NpySource, NpzSource
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.particles.lagrangebench import LagrangebenchSource
from ups_data.sources.pdebench.source import PdebenchSource
from ups_data.sources.registry import BUILT_IN, register_source, registered, source_named, source_of
from ups_data.sources.torch.neuraloperator import NeuraloperatorSource
from ups_data.trajectory import ArrayLike, Axis, PointSet, Trajectory

__all__ = [
    "FORMATS",
    "ArrayLike",
    "Axis",
    "Content",
    "LazyArray",
    "PointSet",
    "Source",
    "SourceOptions",
    "Trajectory",
    "open_source",
    "register_source",
    "registered",
]

# name → class of the formats that come with the package, in the order in which they are asked
FORMATS = BUILT_IN
FORMATS.update(
    (source.format, source)
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
)


def open_source(
    path: str | Path, format: str | None = None, *, keep_damaged: bool = False, options: SourceOptions = DEFAULTS
) -> Source:
    """The simulations at `path`: a file, or a folder as `open_folder` says.

    The format is recognised from what the file holds, never from its extension.

    Args:
        format: a key of FORMATS or of a format from outside, instead of recognising it.
        keep_damaged: a file of a folder that cannot be opened counts as one trajectory, and is an error only when that
            trajectory is reached.
        options: how it is read.

    Raises:
        UpsDataError: nothing there, an unknown format, or a file that is damaged or not laid out as its format says.
    """
    path = Path(path)
    named = source_named(format) if format is not None else None
    if not path.exists():
        raise UpsDataError(f"{path}: no such file or folder: check the path")
    if path.is_dir() and not is_zarr(path):
        source = _open_folder(path, named, keep_damaged, options)
    else:
        source = _open_file(path, named, options)
    if len(source) == 0:
        raise UpsDataError(f"{path}: holds no trajectory: give a file with at least one")
    return source


def _open_file(path: Path, named: type[Source] | None, options: SourceOptions) -> Source:
    if named is CaseSource:
        raise UpsDataError(f"{path}: is a file; {named.format} are folders with a file per field: give their folder")
    return named(path, options) if named is not None else _recognise(path)(path, options)


def _open_folder(path: Path, named: type[Source] | None, keep_damaged: bool, options: SourceOptions) -> Source:
    """A folder that is one source by itself, else its files, subfolders and splits."""
    content = look_inside(path)
    whole = source_of(content) if named is None else named if named.recognises(content) else None
    if whole is not None:
        return whole(path, options)
    name = None if named is None else named.format
    return open_folder(path, lambda file: open_source(file, name, options=options), name, keep_damaged=keep_damaged)


def _recognise(path: Path) -> type[Source]:
    content = look_inside(path)
    source = source_of(content)
    if source is None:
        raise UpsDataError(
            f"{path}: {content}, which no reader knows: convert it to one of {', '.join(FORMATS)}, or name its format"
        )
    return source
