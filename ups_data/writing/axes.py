"""The axes of a grid, from a trajectory to the manifest."""

from collections.abc import Sequence

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.points.coords import normalise_axis
from ups_data.schema import AxisSpec, GridSpec
from ups_data.trajectory import Axis
from ups_data.writing.run import Run


def same_axis(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two axes are the same but for rounding: by less than a millionth of the smallest step."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        return False
    step = np.abs(np.diff(a)).min() if a.size > 1 else 0.0
    return bool(np.abs(a - b).max(initial=0) <= 1e-6 * step)


def grid_spec(run: Run, axes: Sequence[Axis], shape: tuple[int, ...]) -> GridSpec:
    """The axes of a grid of that shape as they are stored.

    Raises:
        UpsDataError: they have other lengths, or the coordinates of one neither increase nor decrease.
    """
    if tuple(len(a.coordinates) for a in axes) != shape:
        sizes = {a.name: len(a.coordinates) for a in axes}
        raise UpsDataError(
            f"axes of {run.where} are {sizes}, its grid is {shape}: give a coordinate for each point along each axis"
        )
    for axis in axes:
        steps = np.diff(np.asarray(axis.coordinates, np.float64))
        if np.isfinite(steps).all() and not ((steps > 0).all() or (steps < 0).all()):
            raise UpsDataError(
                f"axis {axis.name!r} of {run.where} has coordinates that neither increase nor decrease: sort them, and "
                "the fields with them, or give points their coords"
            )
    return GridSpec(
        axes=[
            AxisSpec(
                name=a.name,
                physical=np.asarray(a.coordinates, np.float64).tolist(),
                normalised=normalise_axis(a.coordinates).tolist(),
                units=a.units,
                periodic=a.periodic,
            )
            for a in axes
        ]
    )


def unit_axes(shape: tuple[int, ...]) -> list[Axis]:
    """Axes from 0 to 1, for a grid without its own.

    Raises:
        UpsDataError: it has more than three.
    """
    if len(shape) > 3:
        raise UpsDataError(f"a grid of shape {shape}: grids have one to three dimensions; give points their coords")
    return [Axis(name, np.linspace(0.0, 1.0, n)) for name, n in zip("zyx"[-len(shape) :], shape, strict=True)]
