"""PDEBench's HDF5 files, in all their layouts: the layout is told from the names at the top of the file."""

from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.sources.content import Content, look_inside
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.pdebench.fields import FieldsLayout
from ups_data.sources.pdebench.groups import GroupsLayout
from ups_data.sources.pdebench.incompressible import IncompressibleLayout
from ups_data.trajectory import Trajectory


class PdebenchSource(Source):
    """A file of PDEBench (https://github.com/pdebench/PDEBench), 1-D to 3-D, static or in time.

    - `FieldsLayout`: `tensor` [N,T,X]; `density`, `pressure`, `Vx` …; Darcy's `tensor` and `nu`;
    - `GroupsLayout`: a group per trajectory, `0000`, `0001` …;
    - `IncompressibleLayout`: `velocity`, `particles`, `force`, `t`.

    Nothing is transposed: axes are named x, y, z in the order in which the file's arrays have them.

    Raises:
        UpsDataError: the layout is none of these, or what it needs is missing or of another shape.
    """

    format = "pdebench"
    layouts = (GroupsLayout, IncompressibleLayout, FieldsLayout)

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        path = self.path
        content = look_inside(path, options)
        layout = next((layout for layout in self.layouts if layout.fits(content.keys)), None)
        if content.kind != "hdf5" or layout is None:
            raise UpsDataError(
                f"{path}: {content}, which is no layout of PDEBench "
                "(tensor [N,T,X]; density, pressure, Vx …; groups 0000, 0001 …; velocity, particles, force, t)"
            )
        self._layout: Source = layout(path)

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind == "hdf5" and any(layout.fits(content.keys) for layout in PdebenchSource.layouts)

    def __len__(self) -> int:
        return len(self._layout)

    def __getitem__(self, number: int, /) -> Trajectory:
        return self._layout[number]
