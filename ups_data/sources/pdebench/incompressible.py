"""PDEBench's files of incompressible, inhomogeneous Navier–Stokes."""

from collections.abc import Sequence
from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source, number_key
from ups_data.sources.hdf5.files import lazy_dataset, numeric_attributes, opened
from ups_data.sources.pdebench.axes import times
from ups_data.trajectory import Trajectory

IN_TIME = ("velocity", "particles")
STATIC = "force"


class IncompressibleLayout(Source):
    """`velocity` [B,T,X,Y,2], `particles` [B,T,X,Y,1], `force` [B,X,Y,2], `t` [B,T], without coordinates.

    Fields `velocity` (T, X, Y, 2) and `particles` (T, X, Y, 1); `force` (X, Y, 2) is static. Axes are None, because
    the file gives none. A trajectory has 1000 frames of 512²: read it by slices.

    Raises:
        UpsDataError: an array is missing, or shapes disagree.
    """

    format = "pdebench"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with opened(path) as file:
            missing = [name for name in (*IN_TIME, STATIC, "t") if name not in file]
            if missing:
                raise UpsDataError(
                    f"{path}: holds {', '.join(file)}; incompressible flow also needs {', '.join(missing)}: add them"
                )
            known = {*IN_TIME, STATIC, "t"}
            self._left_out = {name: "is no field of PDEBench's layout" for name in file if name not in known}
            self._shapes = {name: file[name].shape for name in (*IN_TIME, STATIC, "t")}
        self._check()

    @staticmethod
    def fits(keys: Sequence[str]) -> bool:
        """Whether a file with these names at its top has this layout."""
        return set(IN_TIME) <= set(keys)

    def __len__(self) -> int:
        return self._shapes["velocity"][0]

    def __getitem__(self, number: int, /) -> Trajectory:
        with opened(self.path) as file:
            lazy = {
                name: lazy_dataset(self.path, file[name], (number,), self._shapes[name][1:])
                for name in (*IN_TIME, STATIC)
            }
            params = numeric_attributes(file.attrs)
            stored = file["t"][number]
        static = {STATIC: lazy.pop(STATIC)}
        time = times(self.path, f"t[{number}]", stored, self._shapes["velocity"][1])
        key = number_key(number, len(self))
        left_out = self._left_out
        return Trajectory(
            key=key, source=str(self.path), fields=lazy, static=static, time=time, params=params, left_out=left_out
        )

    def _check(self) -> None:
        velocity = self._shapes["velocity"]
        if len(velocity) not in (4, 5, 6):
            raise UpsDataError(f"{self.path}: velocity has shape {velocity}, [B, T, X, Y, 2] is expected: correct it")
        batch, _, *grid, _ = velocity
        expected = {"particles": velocity[:-1], STATIC: (batch, *grid)}
        for name, shape in expected.items():
            if self._shapes[name][:-1] != shape:
                raise UpsDataError(
                    f"{self.path}: {name} has shape {self._shapes[name]}, velocity has {velocity}: "
                    f"[{', '.join(map(str, shape))}, C] is expected, correct one of them"
                )
        if len(self._shapes["t"]) != 2 or self._shapes["t"][0] != batch:
            raise UpsDataError(f"{self.path}: t has shape {self._shapes['t']}, [{batch}, T] is expected: correct it")
