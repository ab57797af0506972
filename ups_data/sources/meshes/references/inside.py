"""A file that another one names."""

from os.path import exists, realpath
from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.sources.links import check_file, is_inside
from ups_data.sources.options import SourceOptions


def inside(path: Path, name: str, options: SourceOptions) -> Path:
    """A file that another one, at `path`, names.

    Raises:
        UpsDataError: it is missing, is no regular file, or lies outside of the folder, where that is not allowed.
    """
    file = path.parent / name
    drive = name[1:2] == ":"  # vtk takes it for an absolute one
    if not options.allow_links and (drive or not is_inside(realpath(file), realpath(path.parent))):
        raise UpsDataError(f"{path}: names {name}, outside of its folder: copy it there, or give --allow-links")
    if not exists(file):
        raise UpsDataError(f"{path}: names {name}, which is missing: add it")
    check_file(file)
    return file
