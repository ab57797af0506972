"""A source that vtk reads: what is read of it comes from another process, unless this one is there for that."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ups_data.sources.base import Source
from ups_data.sources.meshes.apart.process import Opened
from ups_data.trajectory import Trajectory

_here = 0  # how many times over this process reads itself


@contextmanager
def reading_here() -> Iterator[None]:
    """Inside, this process reads with vtk itself: it was made for that, or another has read the same before it."""
    global _here
    _here += 1
    try:
        yield
    finally:
        _here -= 1


class VtkRead(Source):
    """One trajectory, which a library reads that a damaged file may end, and the process with it.

    Raises:
        UpsDataError: when it is read, the library was ended by it, or took far more time or memory than its bytes
            call for.
    """

    def __len__(self) -> int:
        return 1

    def __getitem__(self, number: int, /) -> Trajectory:
        range(len(self))[number]
        return self.read() if _here else Opened(self).trajectory()

    @abstractmethod
    def read(self) -> Trajectory:
        """The trajectory, read in this process."""

    @property
    def place(self) -> Path:
        """The file or the folder in which all lies that is read."""
        return self.path
