"""What the named dimensions of NetCDF and zarr are: time, space, points, channels, trajectories."""

from collections.abc import Mapping, Sequence
from typing import Any

from ups_data.errors import UpsDataError

# role → names of dimensions and of coordinates, in lower case; the last of x, y and z are CF's standard names
ROLES = {
    "trajectory": ("trajectory", "sample", "samples", "member", "ensemble", "realization", "run", "case", "batch"),
    "time": ("time", "t", "step", "frame"),
    "points": ("point", "points", "node", "nodes", "cell", "cells", "ncells", "particle", "particles", "vertex"),
    "channel": ("channel", "channels", "component", "components", "c"),
    "x": ("x", "lon", "longitude", "projection_x_coordinate", "grid_longitude"),
    "y": ("y", "lat", "latitude", "projection_y_coordinate", "grid_latitude"),
    "z": ("z", "lev", "level", "height", "depth", "altitude", "air_pressure"),
}
SPACE = ("x", "y", "z")
_BY_NAME = {name: role for role, names in ROLES.items() for name in names}
_BY_AXIS = {"T": "time", "X": "x", "Y": "y", "Z": "z"}


def role_of(name: Any, attributes: Mapping[str, Any]) -> str | None:
    """A key of ROLES, from CF's attributes `axis` and `standard_name` before the name; None where nothing tells."""
    axis = _BY_AXIS.get(str(attributes.get("axis", "")).upper())
    standard = _BY_NAME.get(str(attributes.get("standard_name", "")).lower())
    return axis or standard or _BY_NAME.get(str(name).lower())


def roles_of(where: str, dims: Mapping[str, int], attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """dimension → role, each role at most once.

    Args:
        dims: dimension → length.
        attributes: dimension → its coordinate's attributes, where it has a coordinate.

    Raises:
        UpsDataError: nothing tells a dimension's role, two dimensions have one role, or points lie on a grid.
    """
    roles: dict[str, str] = {}
    for dim, length in dims.items():
        role = role_of(dim, attributes.get(dim, {}))
        if role is None:
            raise UpsDataError(
                f"{where}: what is the dimension {dim!r} (of {length})? call it {', '.join(ROLES)}, or give its "
                "coordinate the attribute axis: T, X, Y or Z"
            )
        if role in roles.values():
            other = next(name for name, taken in roles.items() if taken == role)
            raise UpsDataError(f"{where}: the dimensions {other!r} and {dim!r} are both {role}: rename one of them")
        roles[dim] = role
    if "points" in roles.values() and any(role in SPACE for role in roles.values()):
        raise UpsDataError(
            f"{where}: the dimensions {', '.join(dims)} are points and a grid: keep one of them in a file"
        )
    return roles


def in_order(dims: Sequence[str], roles: Mapping[str, str], space: Sequence[str] = ()) -> tuple[str, ...]:
    """Dimensions as this project has them: trajectory, time, space in the order of `space`, channel."""
    rank = {"trajectory": 0, "time": 1, "channel": 3}
    place = {dim: number for number, dim in enumerate(space)}
    return tuple(sorted(dims, key=lambda dim: (rank.get(roles[dim], 2), place.get(dim, 0))))
