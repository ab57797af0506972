"""How many points a set has, and its values on their grid."""

from collections.abc import Mapping

from torch import Tensor

from ups_data.errors import UpsDataError


def counted(coords: Tensor, grid_shape: tuple[int, ...] | None) -> str:
    """How many points a sample has, and the grid that they form."""
    grid = "" if grid_shape is None else f" on a grid of {' × '.join(map(str, grid_shape))}"
    return f"{coords.shape[-2]:,} points{grid}"


def on_grid(values: Mapping[str, Tensor], name: str, grid_shape: tuple[int, ...] | None, what: str) -> Tensor:
    """The values of a field, `(..., N, C)` in row-major order, as `(..., C, *grid)`, a view.

    Raises:
        UpsDataError: there is no such field, or its points form no grid.
    """
    if name not in values:
        raise UpsDataError(f"to_grid: {what} has no field {name!r}: choose one of {list(values)}")
    if grid_shape is None:
        raise UpsDataError(
            f"to_grid: the points of {what} form no grid: take the dense input (inputs=None) of a grid, or draw every "
            "point (ratio=1) or a lattice (mode='lattice')"
        )
    return values[name].movedim(-1, -2).unflatten(-1, grid_shape)
