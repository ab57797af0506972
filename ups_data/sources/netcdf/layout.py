"""What the variables of a NetCDF file or a zarr group are."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.netcdf.named_dims import SPACE, in_order, role_of, roles_of

POINT = "_point"  # at the end of the name of a dimension: the points of a set
BOUNDS = ("bnds", "bounds", "nv", "nbnd", "vertices")  # names of the dimension of a cell's corners


@dataclass(frozen=True)
class Layout:
    """What a file's variables are.

    Attributes:
        dims: variable → its dimensions in this project's order, with their lengths. Several may be trajectories
            (members × starts of forecasts), points (a curvilinear grid) or channels (levels that were stacked).
        start: the dimension whose coordinate says when a forecast starts.
    """

    path: Path
    engine: str
    roles: dict[str, str]
    dims: dict[str, dict[str, int]]
    dtypes: dict[str, np.dtype]
    fields: tuple[str, ...]
    params: tuple[str, ...]
    positions: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    start: str | None = None

    def has(self, role: str) -> bool:
        """Whether a dimension has that role."""
        return role in self.roles.values()

    def roles_in(self, name: str) -> list[str]:
        """The roles of a variable's dimensions."""
        return [self.roles[dim] for dim in self.dims[name]]

    def length(self, name: str, role: str) -> int:
        """The length of a variable's dimension of that role; of several, their product; without one, 1."""
        return math.prod(n for dim, n in self.dims[name].items() if self.roles[dim] == role)

    def space(self, name: str) -> list[int]:
        """The lengths of a variable's axes of space, or the number of its points."""
        if "points" in self.roles_in(name):
            return [self.length(name, "points")]
        return [n for dim, n in self.dims[name].items() if self.roles[dim] in SPACE]

    def trajectory_dims(self) -> dict[str, int]:
        """The dimensions that count trajectories, with their lengths, the slowest first."""
        found: dict[str, int] = {}
        for name in self.fields:
            found |= {dim: n for dim, n in self.dims[name].items() if self.roles[dim] == "trajectory"}
        return {dim: found[dim] for dim in self.roles if dim in found}

    @property
    def count(self) -> int:
        """Trajectories."""
        return math.prod(self.trajectory_dims().values())


def layout_of(path: Path, engine: str, dataset: Any, chosen: Sequence[str] = (), stacked: Sequence[str] = ()) -> Layout:
    """Of a dataset, of which only the `chosen` variables are fields, if any are; `stacked` dimensions are channels.

    Raises:
        UpsDataError: what a variable is cannot be told, or variables do not fit each other.
    """
    # a zarr group has its arrays in the order in which the file system lists them
    names = sorted(dataset.data_vars, key=str) if engine == "zarr" else list(dataset.data_vars)
    left_out = _left_out(path, dataset, names, chosen)
    variables = {name: dataset[name] for name in names if name not in left_out}
    used = {dim: int(n) for v in variables.values() for dim, n in v.sizes.items()}
    unknown = [dim for dim in stacked if dim not in dataset.dims]
    if unknown:
        raise UpsDataError(
            f"{path}: no dimension {unknown[0]!r} to stack: there are {', '.join(map(str, dataset.dims))}"
        )
    curved = curvilinear_dims(dataset, used)
    own = [dim for dim in used if str(dim).endswith("_channel")]  # as this package writes a field's own channels
    sets = [dim for dim in used if str(dim).endswith(POINT)]  # and the points of a set
    given = dict.fromkeys([*curved, *sets], "points") | dict.fromkeys([*stacked, *own], "channel")
    roles = roles_of(str(path), used, {dim: dataset[dim].attrs for dim in used if dim in dataset.coords}, given)
    on_points = {dim for dim, role in roles.items() if role == "points"}
    positions = positions_on(dataset, on_points, roles)
    found = {name: set(v.dims) for name, v in variables.items() if name not in positions.values()}
    space = {name: [d for d in variables[name].dims if roles[d] in (*SPACE, "points")] for name in found}
    fields = tuple(name for name in found if space[name])
    if not fields:
        raise UpsDataError(
            f"{path}: its variables ({', '.join(map(str, dataset.variables)) or 'none'}) lie on no grid and no points: "
            "give a field the dimensions x, y, z or points"
        )
    first = max(fields, key=lambda name: len(variables[name].dims))  # not a mask with its axes in another order
    for name in fields:
        if set(space[name]) != set(space[fields[0]]):
            raise UpsDataError(
                f"{path}: {name} lies on {', '.join(space[name])}, {fields[0]} on {', '.join(space[fields[0]])}: "
                f"choose variables that lie on the same dimensions, --variables {fields[0]},… or --variables {name},…, "
                "or take levels apart, --stack DIMENSION or --select DIMENSION=VALUE"
            )
    ordered = [positions[axis] for axis in SPACE if axis in positions]
    if on_points and not ordered:
        raise UpsDataError(f"{path}: its points have no coordinates: add x, y[, z] on {', '.join(sorted(on_points))}")
    if any(dataset[name].dims != dataset[ordered[0]].dims for name in ordered):
        raise UpsDataError(f"{path}: {', '.join(ordered)} have different dimensions: give them the same")
    dims = {
        name: {dim: int(dataset.sizes[dim]) for dim in in_order(dataset[name].dims, roles, space[first])}
        for name in (*found, *ordered)
    }
    return Layout(
        path=path,
        engine=engine,
        roles=roles,
        dims=dims,
        dtypes={name: dataset[name].dtype for name in dims},
        fields=fields,
        params=tuple(name for name, names in found.items() if {roles[d] for d in names} <= {"trajectory"}),
        positions=tuple(ordered),
        left_out=left_out
        | {name: "a series in time alone" for name in found if _is_series(found[name], roles)}
        | {str(name): "a coordinate beside the dimensions" for name in _beside(dataset, ordered)}
        | {dim: f"labels of {roles[dim]}: {_shown(dataset[dim].values)}" for dim in _labels(dataset, roles)}
        | {name: reason for name, reason in _bounds(dataset).items() if name in dataset.variables},
        start=start_of(dataset, roles),
    )


def curvilinear_dims(dataset: Any, used: Collection[Any]) -> list[Any]:
    """The two dimensions of a grid whose places are longitudes and latitudes, or x and y, on both of them."""
    on: dict[tuple[Any, ...], set[str]] = {}
    for name, variable in dataset.variables.items():
        role = role_of(name, variable.attrs)
        dims = tuple(dim for dim in variable.dims if role_of(dim, {}) != "time")
        straight = any(d in dataset.coords and role_of(d, dataset[d].attrs) in SPACE for d in dims)
        if role in ("x", "y") and len(dims) == 2 and set(dims) <= set(used) and not straight:
            on.setdefault(dims, set()).add(role)
    return [dim for dims, roles in on.items() if roles == {"x", "y"} for dim in dims]


def positions_on(dataset: Any, points: set[Any], roles: dict[str, str]) -> dict[str, Any]:
    """x, y, z → the variable that says where points are.

    A height or a pressure may as well be a field: it is a position only if the file calls it a coordinate.
    """
    found: dict[str, Any] = {}
    for name, variable in dataset.variables.items():
        role = role_of(name, variable.attrs)
        if not points or not points <= set(variable.dims) <= set(roles) or role not in SPACE:
            continue
        said = name in dataset.coords or str(name).lower() == role or "axis" in variable.attrs
        if role != "z" or said:
            found.setdefault(str(role), name)
    return found


def start_of(dataset: Any, roles: dict[str, str]) -> str | None:
    """The dimension of trajectories whose coordinate is a date."""
    for dim, role in roles.items():
        if role == "trajectory" and dim in dataset.coords and "since" in str(dataset[dim].attrs.get("units", "")):
            return dim
    return None


def _labels(dataset: Any, roles: dict[str, str]) -> list[str]:
    """Coordinates of dimensions that are neither space nor time."""
    return [dim for dim, role in roles.items() if role not in (*SPACE, "time") and dim in dataset.coords]


def _shown(values: np.ndarray) -> str:
    return ", ".join(map(str, values[:20].tolist())) + (", …" if len(values) > 20 else "")


def _is_series(dims: set[str], roles: dict[str, str]) -> bool:
    found = {roles[dim] for dim in dims}
    return "time" in found and not found & {*SPACE, "points"}


def _left_out(path: Path, dataset: Any, names: Sequence[str], chosen: Sequence[str]) -> dict[str, str]:
    """Variables that are no fields, each with the reason."""
    unknown = [name for name in chosen if name not in dataset.variables]
    if unknown:
        raise UpsDataError(f"{path}: no variable {unknown[0]!r} to choose: there are {', '.join(map(str, names))}")
    bounds = _bounds(dataset)
    found: dict[str, str] = {}
    for name in names:
        variable = dataset[name]
        if chosen and name not in chosen and variable.ndim and not _places(name, variable):
            found[name] = "not among --variables"
        elif name in bounds or any(str(dim).lower() in BOUNDS for dim in variable.dims):
            found[name] = bounds.get(name, "bounds of cells")
        elif variable.attrs.get("cf_role") == "mesh_topology" or "_connectivity" in str(variable.attrs.get("cf_role")):
            found[name] = "how a mesh is connected"
        elif "grid_mapping_name" in variable.attrs:
            found[name] = "a map's projection"
        elif variable.dtype.kind == "c":
            raise UpsDataError(
                f"{path}: {name} holds complex numbers: write two real ones, or leave it out by --variables"
            )
        elif variable.dtype.kind not in "biuf":
            found[name] = f"holds {variable.dtype}, no numbers"
    return found


def _bounds(dataset: Any) -> dict[str, str]:
    """Variables that are bounds of others, as CF names them."""
    named = {name: v.attrs.get("bounds") or v.encoding.get("bounds") for name, v in dataset.variables.items()}
    return {str(bounds): f"bounds of {name}" for name, bounds in named.items() if bounds}


def _beside(dataset: Any, positions: Sequence[str]) -> list[Any]:
    """Coordinates that are neither a dimension's nor points'."""
    return [name for name in dataset.coords if name not in dataset.dims and name not in positions]


def _places(name: Any, variable: Any) -> bool:
    """Whether a variable may say where points are."""
    return role_of(name, variable.attrs) in SPACE
