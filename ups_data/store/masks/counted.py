"""Which points of one stored frame count, in their own order, and its values without the others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ups_data.schema import FieldSpec
from ups_data.store.arrays.opening import stored_row
from ups_data.store.shard import Shard


def counted_points(shard: Shard, set_name: str | None, trajectory: int, step: int = 0) -> NDArray[np.bool_] | None:
    """`(N,)`, whether each point of a frame counts; None: all do.

    Args:
        trajectory: its number in the shard.

    Raises:
        UpsDataError: the mask is missing or damaged.
    """
    return _counted(shard, set_name, trajectory, _rows(shard, set_name, trajectory, [step])[0])


def _rows(shard: Shard, set_name: str | None, trajectory: int, steps: Sequence[int]) -> list[int]:
    """Which stored mask each of the frames has, -1 if all its points count."""
    rows, first = shard.mask_rows(set_name), shard.first_row(trajectory)
    return [-1 if rows is None else int(rows[first + step]) for step in steps]


def _counted(shard: Shard, set_name: str | None, trajectory: int, number: int) -> NDArray[np.bool_] | None:
    if number < 0:
        return None
    geometry, array = shard.geometry(set_name, trajectory), shard.mask(set_name)
    stored = stored_row(array, number, min(array.blocks, 1 if geometry is None else len(geometry))).astype(bool)
    counted: NDArray[np.bool_] = stored if geometry is None else stored[geometry.slots]
    return counted


def with_holes(shard: Shard, spec: FieldSpec, trajectory: int, step: int = 0) -> NDArray[Any]:
    """A frame of a field, `(N, C)`, with NaN at the points that do not count; of a static field at those that count in
    no frame.

    Args:
        trajectory: its number in the shard.

    Raises:
        UpsDataError: the frame or the mask is missing or damaged.
    """
    values = shard.frame(spec.name, trajectory, 0 if spec.static else step)
    steps = range(shard.steps[trajectory]) if spec.static else [step]
    counted = None
    for number in dict.fromkeys(_rows(shard, spec.point_set, trajectory, steps)):
        of_frame = _counted(shard, spec.point_set, trajectory, number)
        if of_frame is None:
            return values
        counted = of_frame if counted is None else counted | of_frame
    if counted is None or counted.all():
        return values
    holes = np.array(values)
    holes[~counted] = np.nan
    return holes
