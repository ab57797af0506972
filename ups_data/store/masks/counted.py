"""Which points of one stored frame count, in their own order."""

import numpy as np
from numpy.typing import NDArray

from ups_data.store.arrays.opening import stored_row
from ups_data.store.shard import Shard


def counted_points(shard: Shard, set_name: str | None, trajectory: int, step: int = 0) -> NDArray[np.bool_] | None:
    """`(N,)`, whether each point of a frame counts; None: all do.

    Args:
        trajectory: its number in the shard.

    Raises:
        UpsDataError: the mask is missing or damaged.
    """
    rows = shard.mask_rows(set_name)
    number = -1 if rows is None else int(rows[shard.first_row(trajectory) + step])
    if number < 0:
        return None
    geometry, array = shard.geometry(set_name, trajectory), shard.mask(set_name)
    stored = stored_row(array, number, min(array.blocks, 1 if geometry is None else len(geometry))).astype(bool)
    counted: NDArray[np.bool_] = stored if geometry is None else stored[geometry.slots]
    return counted
