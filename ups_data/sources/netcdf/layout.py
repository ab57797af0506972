"""What the variables of a NetCDF file or a zarr group are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.netcdf.named_dims import SPACE, in_order, role_of, roles_of

BOUNDS = ("bnds", "bounds", "nv", "nbnd", "vertices")  # names of the dimension of a cell's corners


@dataclass(frozen=True)
class Layout:
    """What a file's variables are. `dims`: variable → its dimensions in this project's order, with their lengths."""

    path: Path
    engine: str
    roles: dict[str, str]
    dims: dict[str, dict[str, int]]
    dtypes: dict[str, np.dtype]
    fields: tuple[str, ...]
    params: tuple[str, ...]
    positions: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)

    def has(self, role: str) -> bool:
        """Whether a dimension has that role."""
        return role in self.roles.values()

    def roles_in(self, name: str) -> list[str]:
        """The roles of a variable's dimensions."""
        return [self.roles[dim] for dim in self.dims[name]]

    def length(self, name: str, role: str) -> int:
        """The length of a variable's dimension of that role."""
        return next(n for dim, n in self.dims[name].items() if self.roles[dim] == role)

    @property
    def count(self) -> int:
        """Trajectories."""
        lengths = [self.length(name, "trajectory") for name in self.fields if "trajectory" in self.roles_in(name)]
        return lengths[0] if lengths else 1


def layout_of(path: Path, engine: str, dataset: Any, chosen: Sequence[str] = ()) -> Layout:
    """Of a dataset, of which only the `chosen` variables are fields, if any are.

    Raises:
        UpsDataError: what a variable is cannot be told, or variables do not fit each other.
    """
    # a zarr group has its arrays in the order in which the file system lists them
    names = sorted(dataset.data_vars, key=str) if engine == "zarr" else list(dataset.data_vars)
    left_out = _left_out(path, dataset, names, chosen)
    variables = {name: dataset[name] for name in names if name not in left_out}
    used = {dim: int(n) for v in variables.values() for dim, n in v.sizes.items()}
    roles = roles_of(str(path), used, {dim: dataset[dim].attrs for dim in used if dim in dataset.coords})
    on_points = {dim for dim, role in roles.items() if role == "points"}
    positions = {
        role_of(name, v.attrs): name
        for name, v in dataset.variables.items()
        if on_points & set(v.dims) and set(v.dims) <= set(roles) and role_of(name, v.attrs) in SPACE
    }
    found = {name: set(v.dims) for name, v in variables.items() if name not in positions.values()}
    space = {name: [d for d in variables[name].dims if roles[d] in (*SPACE, "points")] for name in found}
    fields = tuple(name for name in found if space[name])
    if not fields:
        raise UpsDataError(
            f"{path}: its variables ({', '.join(map(str, dataset.variables)) or 'none'}) lie on no grid and no points: "
            "give a field the dimensions x, y, z or points"
        )
    for name in fields:
        if set(space[name]) != set(space[fields[0]]):
            raise UpsDataError(
                f"{path}: {name} lies on {', '.join(space[name])}, {fields[0]} on {', '.join(space[fields[0]])}: "
                f"choose variables that lie on the same dimensions, --variables {fields[0]},… or --variables {name},…"
            )
    ordered = [positions[axis] for axis in SPACE if axis in positions]
    if on_points and not ordered:
        raise UpsDataError(f"{path}: its points have no coordinates: add x, y[, z] on {', '.join(on_points)}")
    if any(dataset[name].dims != dataset[ordered[0]].dims for name in ordered):
        raise UpsDataError(f"{path}: {', '.join(ordered)} have different dimensions: give them the same")
    dims = {
        name: {dim: int(dataset.sizes[dim]) for dim in in_order(dataset[name].dims, roles, space[fields[0]])}
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
        | {name: reason for name, reason in _bounds(dataset).items() if name in dataset.variables},
    )


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
    """Whether a variable says where points are."""
    return role_of(name, variable.attrs) in SPACE
