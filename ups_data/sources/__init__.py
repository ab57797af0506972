"""Readers of raw simulations: a folder per family of formats, each yielding `Trajectory` objects."""

from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.sources.cases.case import CaseSource
from ups_data.sources.chosen import ChosenSource
from ups_data.sources.content import Content, look_inside
from ups_data.sources.domino.source import DominoSource
from ups_data.sources.folder import open_folder
from ups_data.sources.joined.aligned import AlignedSource
from ups_data.sources.lazy import LazyArray
from ups_data.sources.limits import check_count
from ups_data.sources.links import check_file, check_folder
from ups_data.sources.listing import is_zarr
from ups_data.sources.matlab.source import MatSource
from ups_data.sources.meshes.simple.obj import ObjSource
from ups_data.sources.meshes.simple.ply import PlySource
from ups_data.sources.meshes.simple.stl import StlSource
from ups_data.sources.meshes.solver import CgnsSource, EnSightSource, OpenFoamSource, VtkHdfSource
from ups_data.sources.meshes.vtk import VtkSource
from ups_data.sources.netcdf.files import XarraySource
from ups_data.sources.noether.store import NoetherSource
from ups_data.sources.numpy.files import NpySource, NpzSource
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.particles.lagrangebench import LagrangebenchSource
from ups_data.sources.pdebench.source import PdebenchSource
from ups_data.sources.registry import BUILT_IN, register_source, registered, source_named, source_of
from ups_data.sources.torch.neuraloperator import NeuraloperatorSource
from ups_data.sources.well.source import WellSource
from ups_data.trajectory import ArrayLike, Axis, PointSet, Trajectory

__all__ = [
    "DEFAULTS",
    "FORMATS",
    "ArrayLike",
    "Axis",
    "Content",
    "LazyArray",
    "PointSet",
    "Source",
    "SourceOptions",
    "Trajectory",
    "check_paths",
    "open_source",
    "register_source",
    "registered",
]

# name → class of the formats that come with the package, in the order in which they are asked
FORMATS = BUILT_IN
FORMATS.update(
    (source.format, source)
    for source in (
        OpenFoamSource,
        EnSightSource,
        CgnsSource,
        VtkHdfSource,
        StlSource,
        MatSource,
        WellSource,
        NoetherSource,
        DominoSource,
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
    path: str | Path,
    format: str | None = None,
    *,
    keep_damaged: bool = False,
    options: SourceOptions = DEFAULTS,
    whole: bool = True,
) -> Source:
    """The simulations at `path`: a file, or a folder as `open_folder` says.

    The format is recognised from what the file holds, never from its extension.

    Args:
        format: a key of FORMATS or of a format from outside, instead of recognising it.
        keep_damaged: a file of a folder that cannot be opened counts as one trajectory, and is an error only when that
            trajectory is reached.
        options: how it is read.
        whole: False for a part of a source, whose fields are chosen and renamed by the whole.

    Raises:
        UpsDataError: nothing there, an unknown format, or a file that is damaged or not laid out as its format says.
    """
    path = Path(path)
    named = source_named(format) if format is not None else None
    check_paths(path, options)
    try:
        if path.is_dir() and not is_zarr(path):
            source = _open_folder(path, named, keep_damaged, options)
        else:
            if whole and options.concat is not None:
                raise UpsDataError(f"{path}: is one file; --concat joins the files of a folder: give their folder")
            source = _open_file(path, named, options)
    except (UpsDataError, MemoryError):
        raise
    except Exception as error:  # what a reader or a library raises on contents that it does not know
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UpsDataError(
            f"{path}: cannot be read as {named.format if named else 'any format'} ({reason}): repair it, or name "
            "another format"
        ) from error
    if len(source) == 0:
        raise UpsDataError(f"{path}: holds no trajectory: give a file with at least one")
    check_count(path, len(source))
    if whole and (options.variables or options.rename):
        source.options = options
        return ChosenSource(source)
    return source


def check_paths(path: Path, options: SourceOptions) -> None:
    """Look at what the source's files are, without opening one.

    Raises:
        UpsDataError: nothing is there; something is no regular file; or a link leads out of the source, where that is
            not allowed.
    """
    try:
        there = path.exists()
    except OSError as error:  # a folder on the way to it may not be entered, or its name is longer than any
        raise UpsDataError(f"{path}: cannot be opened ({error.strerror}): check the path") from error
    if not there:
        raise UpsDataError(f"{path}: no such file or folder: check the path")
    if path.is_dir():
        check_folder(path, allow_links=options.allow_links, hidden=is_zarr(path))
    else:
        check_file(path)


def _open_file(path: Path, named: type[Source] | None, options: SourceOptions) -> Source:
    if named is CaseSource:
        raise UpsDataError(f"{path}: is a file; {named.format} are folders with a file per field: give their folder")
    source = named or _recognise(path, options)
    _check_options(path, source, options)
    try:
        return source(path, options)
    except (UpsDataError, MemoryError):
        raise
    except Exception as error:  # what a reader raises on contents that it does not know
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UpsDataError(
            f"{path}: cannot be read as {source.format} ({reason}): repair it, or name another format"
        ) from error


def _open_folder(path: Path, named: type[Source] | None, keep_damaged: bool, options: SourceOptions) -> Source:
    """A folder that is one source by itself, else its files, subfolders and splits."""
    content = look_inside(path)
    whole = source_of(content) if named is None else named if named.recognises(content) else None
    if whole is not None:
        _check_options(path, whole, options)
        return whole(path, options)
    name = None if named is None else named.format
    source = open_folder(
        path,
        lambda file: open_source(file, name, options=options, whole=False),
        name,
        keep_damaged=keep_damaged,
        concat=options.concat is not None,
    )
    return AlignedSource(source) if len(source) > 1 else source


def _check_options(path: Path, source: type[Source], options: SourceOptions) -> None:
    if (options.select or options.stack) and not source.named_dims:
        raise UpsDataError(
            f"{path}: is read as {source.format}, whose dimensions have no names: --select and --stack are for NetCDF "
            "and zarr, leave them out"
        )


def _recognise(path: Path, options: SourceOptions) -> type[Source]:
    content = look_inside(path, options)
    source = source_of(content)
    if source is None:
        raise UpsDataError(
            f"{path}: {content}, which no reader knows: convert it to one of {', '.join(FORMATS)}, or name its format"
        )
    return source
