"""Longitudes that go around: unwrapped where they cross the end of the circle, periodic where they close it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

NAMES = {"longitude", "grid_longitude", "lon", "nav_lon", "clon", "rlon"}


def circle_of(name: Any, attributes: Mapping[str, Any]) -> float | None:
    """The length of a full circle of a coordinate, 360 or 2π; None: it is no longitude."""
    units = str(attributes.get("units", "")).lower()
    names = {str(attributes.get("standard_name", "")).lower(), str(name).lower()}
    if units.startswith("rad") and (names & NAMES or "lon" in str(name).lower()):
        return 2 * np.pi
    if units.startswith("degree") and (("e" in units.removeprefix("degree") and "_e" in units) or names & NAMES):
        return 360.0
    return 360.0 if not units and names & NAMES else None


def unwrapped_axis(values: np.ndarray, circle: float | None) -> np.ndarray:
    """An axis `(n,)` of longitudes that runs over the end of the circle once: what lies behind it is moved on."""
    if circle is None or len(values) < 3 or values.dtype.kind not in "iuf":
        return values
    steps = np.diff(values.astype(np.float64))
    ascending = np.sum(steps > 0) >= np.sum(steps < 0)
    back = np.flatnonzero(steps < 0 if ascending else steps > 0)
    if len(back) != 1 or abs(steps[back[0]]) < circle / 2:
        return values
    moved = values.astype(np.promote_types(values.dtype, np.float32)).copy()
    moved[back[0] + 1 :] += circle if ascending else -circle
    return moved


def closes(values: np.ndarray, circle: float | None) -> bool | None:
    """Whether evenly spaced longitudes cover the circle, so that the last is a neighbour of the first; None: they do
    not."""
    if circle is None or len(values) < 4:
        return None
    steps = np.diff(values.astype(np.float64))
    even = np.abs(steps - steps.mean()).max() <= 1e-3 * abs(steps.mean())
    return True if even and abs(abs(steps.mean()) * len(values) - circle) <= 1e-2 * abs(steps.mean()) else None


def unwrapped_points(values: np.ndarray, circle: float | None) -> np.ndarray:
    """Longitudes of points `(…, N)`: if they lie on both sides of the end of the circle, but leave a part of it free,
    they are moved so that the free part is the end. Points all around stay as they are."""
    if circle is None or values.size < 2 or not np.isfinite(values).all():
        return values
    around = np.unique(np.mod(values, circle))
    gaps = np.diff(np.append(around, around[0] + circle))
    widest = int(np.argmax(gaps))
    if np.ptp(values) <= circle - gaps[widest] + 1e-9 * circle or gaps[widest] < circle / 18:
        return values
    first = around[(widest + 1) % len(around)]
    return first + np.mod(values - first, circle)
