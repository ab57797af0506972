"""What the named dimensions of NetCDF and zarr are: time, space, points, channels, trajectories."""

from collections.abc import Mapping, Sequence
from typing import Any

from ups_data.errors import UpsDataError

# role → names of dimensions and of coordinates, in lower case; the last of x, y and z are CF's standard names
ROLES = {
    "trajectory": (
        *("trajectory", "sample", "samples", "member", "ensemble", "realization", "run", "case", "batch", "init"),
        *("init_time", "initialization_time", "forecast_reference_time", "reference_time"),
        *("number", "ens", "realisation", "ensemble_member"),
    ),
    "time": (
        *("time", "t", "step", "frame", "valid_time", "lead", "lead_time", "leadtime", "forecast_period"),
        "prediction_timedelta",
    ),
    "points": (
        *("point", "points", "node", "nodes", "cell", "cells", "ncells", "ncell", "particle", "particles", "vertex"),
        *("nmesh2_face", "nmesh2d_face", "nmesh2_node", "nmesh2d_node", "rgrid", "values", "station"),
        *("mesh2d_nfaces", "mesh2d_nnodes", "nvertices", "nele"),
    ),
    "channel": ("channel", "channels", "component", "components", "c"),
    "x": (
        *("x", "lon", "longitude", "projection_x_coordinate", "grid_longitude"),
        *("rlon", "clon", "nav_lon", "loncell", "xlong", "tlong", "easting", "west_east"),
    ),
    "y": (
        *("y", "lat", "latitude", "projection_y_coordinate", "grid_latitude"),
        *("rlat", "clat", "nav_lat", "latcell", "xlat", "tlat", "northing", "south_north"),
    ),
    "z": (
        *("z", "lev", "level", "height", "depth", "altitude", "air_pressure"),
        *("plev", "pressure_level", "isobaricinhpa", "bottom_top"),
    ),
}
# dimensions that count from the start of a forecast: beside another dimension of time, that one is its start
LEADS = ("step", "lead", "lead_time", "leadtime", "forecast_period", "prediction_timedelta")
SPACE = ("x", "y", "z")
_BY_NAME = {name: role for role, names in ROLES.items() for name in names}
_BY_AXIS = {"T": "time", "X": "x", "Y": "y", "Z": "z"}


def role_of(name: Any, attributes: Mapping[str, Any]) -> str | None:
    """A key of ROLES, from CF's attributes `axis` and `standard_name` before the name; None where nothing tells."""
    axis = _BY_AXIS.get(str(attributes.get("axis", "")).upper())
    standard = _BY_NAME.get(str(attributes.get("standard_name", "")).lower())
    return axis or standard or _BY_NAME.get(str(name).lower())


def roles_of(
    where: str,
    dims: Mapping[str, int],
    attributes: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """dimension → role, each role at most once but for those that are given.

    The start of a forecast beside its lead time is a trajectory, one more beside the members of an ensemble.

    Args:
        dims: dimension → length.
        attributes: dimension → its coordinate's attributes, where it has a coordinate.
        given: dimension → role, whatever its name is.

    Raises:
        UpsDataError: nothing tells a dimension's role, two dimensions have one role, or points lie on a grid.
    """
    given = given or {}
    told = {dim: given.get(dim) or role_of(dim, attributes.get(dim, {})) for dim in dims}
    starts = _starts(told, attributes)
    roles: dict[str, str] = {}
    for dim, length in dims.items():
        role = told[dim]
        if role is None:
            raise UpsDataError(
                f"{where}: what is the dimension {dim!r} (of {length})? call it {', '.join(ROLES)}, or give its "
                f"coordinate the attribute axis: T, X, Y or Z; or take it apart, --select {dim}=… or --stack {dim}"
            )
        taken = [name for name, known in roles.items() if known == role and name not in (*given, *starts)]
        if taken and dim not in (*given, *starts):
            raise UpsDataError(
                f"{where}: the dimensions {taken[0]!r} and {dim!r} are both {role}: rename one of them, or, on a "
                "staggered grid, choose variables that lie on the same dimensions by --variables"
            )
        roles[dim] = role
    if "points" in roles.values() and any(role in SPACE for role in roles.values()):
        apart = next(dim for dim, role in roles.items() if role in SPACE)
        raise UpsDataError(
            f"{where}: the dimensions {', '.join(dims)} are points and a grid: keep one of them in a file, or take one "
            f"apart, --select {apart}=… or --stack {apart}"
        )
    return roles


def _starts(told: dict[str, str | None], attributes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Dimensions that are the starts of forecasts; their role in `told` is settled."""
    times = [dim for dim, role in told.items() if role == "time"]
    leads = [d for d in times if d.lower() in LEADS or _standard_name(attributes, d) == "forecast_period"]
    named = ("init", "init_time", "initialization_time", "forecast_reference_time", "reference_time")
    starts = [
        dim
        for dim, role in told.items()
        if role == "trajectory" and (dim.lower() in named or _standard_name(attributes, dim) == named[3])
    ]
    if len(times) == 2 and len(leads) == 1:
        starts += [dim for dim in times if dim not in leads]
    if not times and len(starts) == 1:  # one lead time of many starts: frames
        told[starts[0]] = "time"
        return []
    for dim in starts:
        told[dim] = "trajectory"
    return starts


def _standard_name(attributes: Mapping[str, Mapping[str, Any]], dim: str) -> str:
    return str(attributes.get(dim, {}).get("standard_name", "")).lower()


def in_order(dims: Sequence[str], roles: Mapping[str, str], space: Sequence[str] = ()) -> tuple[str, ...]:
    """Dimensions as this project has them: trajectory, time, space in the order of `space`, channel."""
    rank = {"trajectory": 0, "time": 1, "channel": 3}
    place = {dim: number for number, dim in enumerate(space)}
    return tuple(sorted(dims, key=lambda dim: (rank.get(roles[dim], 2), place.get(dim, 0))))
