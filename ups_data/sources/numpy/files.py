"""NumPy's `.npy` and `.npz` files, laid out as this project's fields are.

A field has the axes `(n_traj, T, *grid, C)`, or `(n_traj, T, N, C)` on points. **The last axis is always channels**,
the first always trajectories, the second always time, also where their length is 1: an array of fewer than four axes
is never a field. Write `a[..., None]` for a single channel and `a[:, None]` for static fields.

The one exception is an archive that holds the coordinates of points and fields of at most three axes: it is a single
trajectory, without the axis of trajectories (`numpy_cloud.py`). A folder of such archives holds clouds of any sizes.
"""

from pathlib import Path

from ups_data.sources.base import Source
from ups_data.sources.content import Content
from ups_data.sources.numpy.cloud import Cloud
from ups_data.sources.numpy.members import open_npy, open_npz
from ups_data.sources.numpy.stack import Stack, stack_of
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.pairs.pairs import Pairs
from ups_data.trajectory import Trajectory


class NpySource(Source):
    """A `.npy` file of `(n_traj, T, *grid, C)`: one field, `data`, read by slices.

    Raises:
        UpsDataError: fewer than four axes or more than six, a truncated file, or Python objects in it.
    """

    format = "npy"

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        self._layout: Source = Stack(self.path, self.format, {"data": open_npy(self.path)})

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind == "npy"

    def __len__(self) -> int:
        return len(self._layout)

    def __getitem__(self, number: int, /) -> Trajectory:
        return self._layout[number]

    def splits(self) -> list[str | None]:
        """See `Source.splits`."""
        return self._layout.splits()


class NpzSource(NpySource):
    """A `.npz` archive with one array per field, read by slices; a compressed one is best read in order.

    - `numpy_stack.stack_of`: several trajectories, fields (n_traj, T, *grid, C) or (n_traj, T, N, C);
    - `Pairs`: inputs and outputs `x` and `y` of at least two axes each, without the axes that this project adds;
    - `numpy_cloud.Cloud`: one trajectory of points, fields (T, N, C), (N, C) or (N,).

    Raises:
        UpsDataError: as either says.
    """

    format = "npz"

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        Source.__init__(self, path, options)
        members = open_npz(self.path, options)
        if all(name in members and len(members[name].shape) > 1 for name in ("x", "y")):
            self._layout = Pairs(self.path, self.format, members)
        else:
            self._layout = (Cloud if Cloud.fits(self.path, members) else stack_of)(self.path, members)

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind == "npz"
