"""How many points a set has, where they are in the source's units, and its values on their grid."""

from collections.abc import Mapping

from torch import Tensor

from ups_data.errors import UpsDataError
from ups_data.points.unit import UnitScale


def counted(coords: Tensor, grid_shape: tuple[int, ...] | None) -> str:
    """How many points a sample has, and the grid that they form."""
    grid = "" if grid_shape is None else f" on a grid of {' × '.join(map(str, grid_shape))}"
    return f"{coords.shape[-2]:,} points{grid}"


def source_coords(coords: Tensor, scale: UnitScale | None) -> Tensor:
    """Coordinates of a batch in the source's units, float64.

    Raises:
        UpsDataError: they were not scaled.
    """
    if scale is None:
        raise UpsDataError(
            "source_coords: these coordinates were not scaled: a grid's physical axes are in `manifest.grid.axes`, and "
            "with coords='source' a point set's are the source's already (less `manifest.point_set(…).origin`)"
        )
    found: Tensor = scale.to_source(coords)
    return found


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


def picked(dense: Tensor, index: Tensor, channels_last: bool) -> Tensor:
    """The values of a dense prediction at points by their row-major numbers: a model that answers everywhere can be
    compared with few targets.

    Args:
        dense: `(B, C, *grid)` in array order, as `to_grid` gives fields and convolutions answer; with `channels_last`
            `(B, N, C)`, or `(B, *grid, C)`. With numbers of several steps, `(B, K, …)`.
        index: `(B, Q)` or `(B, K, Q)`.

    Returns:
        `(B, Q, C)`, or `(B, K, Q, C)`. Gradients flow back to the points picked.

    Raises:
        UpsDataError: other samples or steps, or fewer points than the numbers need.
    """
    lead = index.dim() - 1
    if dense.dim() < lead + 2 or dense.shape[:lead] != index.shape[:-1]:
        raise UpsDataError(
            f"of: a prediction of shape {tuple(dense.shape)} for queries {tuple(index.shape)}: give (B, C, *grid), or "
            "channels_last=True and (B, N, C), with the same samples and steps"
        )
    flat = dense.flatten(lead, -2) if channels_last else dense.flatten(lead + 1).movedim(-1, -2)
    if flat.shape[-2] <= int(index.max()):
        raise UpsDataError(
            f"of: a prediction at {flat.shape[-2]:,} points has no point {int(index.max()):,}: predict the whole grid, "
            "or say where the channels are (channels_last)"
        )
    return flat.gather(-2, index[..., None].expand(*index.shape, flat.shape[-1]))
