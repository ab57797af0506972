"""What PDEBench's layouts share: axes from coordinates, times, and the boundary condition in the file's name."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import AXIS_NAMES
from ups_data.trajectory import Axis

_BOUNDARY = re.compile(r"(?:^|[_\-.])(periodic|trans)(?=[_\-.]|$)", re.IGNORECASE)


def periodic(path: Path) -> bool | None:
    """True for `…_periodic_…`, False for `…_trans_…` (outflow), None where the name says neither."""
    found = {match.lower() for match in _BOUNDARY.findall(path.name)}
    return None if len(found) != 1 else found == {"periodic"}


def axes_of(path: Path, coordinates: Mapping[str, np.ndarray]) -> tuple[Axis, ...]:
    """Axes x, y, z in array order from name → coordinates `(n,)` in physical units.

    Raises:
        UpsDataError: y without x, z without y, or coordinates that are not one-dimensional.
    """
    names = AXIS_NAMES[: len(coordinates)]
    if not names or set(names) != set(coordinates):
        raise UpsDataError(
            f"{path}: has coordinates for {sorted(coordinates) or 'no axis'}, needs x, or x and y, or x, y and z: "
            "add the missing ones (x-coordinate … beside the fields, grid/x … in groups)"
        )
    for name, values in coordinates.items():
        if values.ndim != 1:
            raise UpsDataError(f"{path}: the coordinates of {name} have shape {values.shape}, one axis is expected")
    return tuple(Axis(name, coordinates[name], periodic=periodic(path)) for name in names)


def times(path: Path, what: str, values: np.ndarray, frames: int) -> np.ndarray:
    """The times of `frames` frames. PDEBench's generators write one time more than they write frames: it is cut off.

    Raises:
        UpsDataError: neither as many times as frames nor one more.
    """
    if values.ndim != 1 or len(values) not in (frames, frames + 1):
        raise UpsDataError(
            f"{path}: {what} has shape {values.shape} for {frames} frames: "
            f"{frames} or {frames + 1} times are expected, correct the times or the file"
        )
    return values[:frames]
