"""Sources of tests whose reading does what a damaged file makes a library do; another process imports them."""

import os
import signal

import numpy as np

from ups_data.sources import LazyArray, Trajectory
from ups_data.sources.meshes.apart.source import VtkRead


class Misread(VtkRead):
    """What it does stands in the file."""

    format = "misread"

    def read(self):
        """See `VtkRead.read`."""
        said = self.path.read_text()
        if said == "signal":
            os.kill(os.getpid(), signal.SIGABRT)
        if said == "exit":
            os._exit(255)
        if said == "memory":
            np.ones(2**40)
        if said == "raise":
            raise KeyError("a\nb")
        while said == "loop":
            pass
        return Trajectory("a", str(self.path), {"pid": LazyArray((3, 1, 1), np.int64, self._rows)}, coords=np.eye(1))

    def _rows(self, start, stop):
        return np.full((stop - start, 1, 1), os.getpid())
