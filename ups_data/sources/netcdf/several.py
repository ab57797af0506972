"""Files with several sets of points, each on a dimension `SET_point`, as exports of this package have them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ups_data.errors import UpsDataError
from ups_data.sources.netcdf.layout import POINT, Layout, layout_of
from ups_data.sources.netcdf.named_dims import role_of

SetName = str | None


def layouts_of(
    path: Path, engine: str, dataset: Any, chosen: Sequence[str] = (), stacked: Sequence[str] = ()
) -> dict[SetName, Layout]:
    """Set of points → what its variables are, parameters in each; None where a file has one set, or a grid.

    Raises:
        UpsDataError: as `layout_of`; a variable lies on no set, or on two.
    """
    dims = [str(dim) for dim in dataset.dims if str(dim).endswith(POINT) and dim != POINT]
    if not dims:
        return {None: layout_of(path, engine, dataset, chosen, stacked)}
    if unknown := [name for name in chosen if name not in dataset.variables]:
        raise UpsDataError(f"{path}: no variable {unknown[0]!r} to choose: there are {', '.join(dataset.data_vars)}")
    of_set: dict[str, list[Any]] = {dim: [] for dim in dims}
    common: list[Any] = []
    for name, variable in dataset.data_vars.items():
        on = [dim for dim in variable.dims if dim in of_set]
        if len(on) > 1 or (not on and any(role_of(dim, {}) != "time" for dim in variable.dims)):
            raise UpsDataError(
                f"{path}: {name} lies on {', '.join(map(str, variable.dims))}, other variables on the sets of points "
                f"{', '.join(dims)}: leave it out by --variables"
            )
        (of_set[on[0]] if on else common).append(name)
    found: dict[SetName, Layout] = {}
    for dim, names in of_set.items():
        wanted = [name for name in chosen if name in names]
        if names and (wanted or not chosen):
            part = dataset[[*names, *common]]
            found[dim.removesuffix(POINT)] = layout_of(path, engine, part, wanted, stacked)
    if not found:
        raise UpsDataError(f"{path}: none of {', '.join(chosen)} lies on points: choose variables that do")
    return found
