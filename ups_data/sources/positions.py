"""Where points are: what arrays of positions are called, which shapes they have, and that they are finite."""

import math
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.lazy import LazyArray
from ups_data.trajectory import ArrayLike

P = TypeVar("P", bound=ArrayLike)

# the names under which codes save the coordinates of their points
COORDINATES = ("coords", "coordinates", "positions", "position", "points", "pos", "vertices")
_LOOKED_AT = 1 << 18  # values at once: an array of any size in a file costs no memory


def coordinates_among(where: Path | str, names: Iterable[str]) -> str | None:
    """The one name that says it is coordinates, None where there is none.

    Raises:
        UpsDataError: several do.
    """
    found = [name for name in names if name in COORDINATES]
    if len(found) > 1:
        raise UpsDataError(f"{where}: {' and '.join(found)} are both names of coordinates: keep one of them")
    return found[0] if found else None


def finite(where: str, positions: P, first: int = 0) -> P:
    """`positions`, `(…, N, d)`, after a look at every value.

    Raises:
        UpsDataError: NaN or Inf; the message counts frames from `first` where there are frames.
    """
    rows = positions.shape[0]
    step = max(1, _LOOKED_AT // max(1, math.prod(positions.shape[1:])))
    if all(np.isfinite(positions[start : start + step]).all() for start in range(0, rows, step)):
        return positions
    bad = ~np.isfinite(positions[:])
    at = np.argwhere(bad)[0]
    point = f"point {at[-2]}" if len(positions.shape) == 2 else f"point {at[-2]} of frame {first + at[0]}"
    raise UpsDataError(
        f"{where}: {int(bad.sum())} values of the coordinates are NaN or Inf (first in {point}): "
        "repair them, or take those points out of every array"
    )


def finite_frames(where: str, frames: LazyArray) -> LazyArray:
    """Moving positions `(T, N, d)` that are looked at as they are read."""
    return LazyArray(frames.shape, frames.dtype, partial(_read_finite, where, frames))


def _read_finite(where: str, frames: LazyArray, start: int, stop: int) -> np.ndarray:
    return finite(where, frames[start:stop], start)


def are_positions(shape: tuple[int, ...], lead: Collection[int] = (1, 2)) -> bool:
    """Whether `shape` can be `(…, N, d)` with d of 1 to 3, one of `lead` axes before d, and at least one point."""
    return len(shape) - 1 in lead and 1 <= shape[-1] <= 3 and min(shape) > 0


def own_field(name: str, coords: Any) -> dict[str, LazyArray]:
    """Points that carry nothing in time carry their positions, `(T, N, d)`: there is something to learn then."""
    if len(coords.shape) == 3:
        return {name: LazyArray(coords.shape, coords.dtype, partial(_rows, coords))}
    return {name: LazyArray((1, *coords.shape), coords.dtype, partial(_whole, coords))}


def _rows(array: Any, start: int, stop: int) -> np.ndarray:
    return array[start:stop]


def _whole(array: Any, start: int, stop: int) -> np.ndarray:
    return array[:]
