"""MATLAB's `.mat` files."""

from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.sources.content import Content, look_inside
from ups_data.sources.matlab.version5 import open_mat
from ups_data.sources.matlab.version73 import open_mat73
from ups_data.sources.numpy.members import Member
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.pairs.pairs import Pairs
from ups_data.trajectory import Trajectory


class MatSource(Source):
    """A `.mat` file of arrays over trajectories, as the files of the Fourier neural operator are:

        convert("piececonst_r421_N1024_smooth1.mat", "data/darcy")  # coeff, sol [N, S, S]
        convert("NavierStokes_V1e-3_N5000_T50.mat", "data/ns")      # a [N, S, S], u [N, S, S, T], t [T]

    Arrays have the shapes that MATLAB shows, also in version 7.3; what their axes are, `Pairs` says. Structs, cells and
    text are left out by name. Version 7.3 is read piece by piece, earlier ones an array at a time.

    Raises:
        UpsDataError: as `Pairs`; scipy is not installed; an array is complex or sparse; the file is damaged.
    """

    format = "mat"

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        content = look_inside(self.path, options)
        if content.kind not in ("mat", "hdf5", "unknown"):
            raise UpsDataError(f"{path}: {content}, a MATLAB file is expected: name another format")
        members: dict[str, Member] = {}
        found, left_out = open_mat73(self.path) if content.kind == "hdf5" else open_mat(self.path, options)
        members.update(found)
        self._pairs = Pairs(self.path, self.format, members, left_out)

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind == "mat" or (content.kind == "hdf5" and content.head.startswith(b"MATLAB 7.3"))

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, number: int, /) -> Trajectory:
        return self._pairs[number]
