"""A variable of the source as a mask."""

from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.trajectory import ArrayLike


class VariableMask:
    """A field `(…, C)` as `(…)` bool: where all of its channels are neither 0 nor NaN, or, `inverted`, all are 0."""

    def __init__(self, field: ArrayLike, *, inverted: bool) -> None:
        self._field, self._inverted = field, inverted
        self.shape, self.dtype = tuple(field.shape[:-1]), np.dtype(bool)

    def __getitem__(self, key: Any, /) -> np.ndarray:
        values = np.asarray(self._field[key])
        found: np.ndarray = (values == 0 if self._inverted else (values != 0) & ~np.isnan(values)).all(-1)
        return found


def check_mask(where: str, called: str, shape: tuple[int, ...], frame: tuple[int, ...], steps: int) -> None:
    """See that a mask is of frames of that shape.

    Raises:
        UpsDataError: it is of others.
    """
    if shape not in (frame, (steps, *frame)):
        raise UpsDataError(
            f"{where}: {called} has shape {shape}, frames have {frame}: give one entry for each point, {frame}, or "
            f"{(steps, *frame)} for each frame its own"
        )
