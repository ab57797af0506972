"""What a user decides about how a source is read, whatever its format."""

from dataclasses import dataclass, fields
from typing import Any

from ups_data.errors import UpsDataError
from ups_data.sources.limits import EXPANSION


@dataclass(frozen=True)
class SourceOptions:
    """Every source is made with one of these; most formats need none of it.

    Attributes:
        allow_links: read what links in the source lead to, also outside of the given folder: linked files, HDF5's
            external links, external storage and virtual datasets. Only for sources of one's own.
        variables: names of the fields to take, by the file's names; (): all. Single numbers and
            axes are kept.
        rename: (name in the file, name in the dataset), of fields and parameters.
        select: (dimension, value of its coordinate): takes that place along the dimension, which is gone then. Of
            NetCDF and zarr.
        stack: dimensions whose places become channels. Of NetCDF and zarr.
        concat: "time": the files of a folder are one run, one after another.
        expansion: decoded bytes that a byte of a file may claim; see `sources/limits.py`.
    """

    allow_links: bool = False
    expansion: float = EXPANSION
    variables: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    select: tuple[tuple[str, str], ...] = ()
    stack: tuple[str, ...] = ()
    concat: str | None = None

    def __post_init__(self) -> None:
        if not self.expansion >= 1:
            raise UpsDataError(f"expansion={self.expansion}: give the decoded bytes for each stored one, at least 1")
        if self.concat not in (None, "time"):
            raise UpsDataError(f"concat={self.concat!r}: files are joined along time only, give concat='time'")

    def changed(self) -> dict[str, Any]:
        """Those that are not the default, by name, for a record of what was done."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}


DEFAULTS = SourceOptions()
