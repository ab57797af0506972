"""`UnitScale`: the coordinates of a set of points in a box whose longest side runs from 0 to 1, and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ups_data import _native as built
from ups_data.errors import UpsDataError


@dataclass(frozen=True)
class UnitScale:
    """How the coordinates of a set of points are scaled: one factor for all axes, so that shapes keep their form.

        scale = loader.manifest.unit_scale("surface")
        scale.to_source(batch["surface"].target_queries.coords)  # in metres again

    Attributes:
        low: the box's lowest corner, `(d,)`, as coordinates are stored.
        length: its longest side, in the source's units.
        origin: what conversion subtracted from the source's coordinates, `(d,)`; None: nothing.
    """

    low: tuple[float, ...]
    length: float
    origin: tuple[float, ...] | None = None

    @classmethod
    def of_box(cls, low: Sequence[float], high: Sequence[float], origin: Sequence[float] | None = None) -> "UnitScale":
        """The scale of a box from its lowest to its highest corner, as coordinates are stored."""
        sides = np.subtract(high, low)
        length = float(sides.max()) or 1.0  # of a single point nothing is to be scaled
        return cls(tuple(map(float, low)), length, None if origin is None else tuple(map(float, origin)))

    def to_unit(self, coords: Any) -> Any:
        """Coordinates `(..., d)` in the source's units, an array or a tensor, as batches carry them.

        Raises:
            UpsDataError: they have another number of components.
        """
        return (coords - self._like(coords, self._corner)) / self.length

    def to_source(self, coords: Any) -> Any:
        """A batch's coordinates `(..., d)`, an array or a tensor, in the source's units: float64, which can tell points
        apart however far they lie from 0.

        Raises:
            UpsDataError: they have another number of components.
        """
        wide = coords.astype(np.float64) if isinstance(coords, np.ndarray) else coords.double()
        return wide * self.length + self._like(wide, self._corner)

    def apply(self, out: NDArray[np.float32]) -> None:
        """Scale stored coordinates `(..., d)`, contiguous, in place."""
        if built.native is not None:
            built.native.scale(*self.factors, out.reshape(-1))
            return
        low, factor = self.factors
        np.subtract(out, low, out=out)
        np.multiply(out, np.float32(factor), out=out)

    @cached_property
    def factors(self) -> tuple[NDArray[np.float32], float]:
        """The corner `(d,)` that is subtracted from stored coordinates, and what they are then multiplied by."""
        return np.array(self.low, np.float32), float(np.float32(1 / self.length))

    @property
    def _corner(self) -> NDArray[np.float64]:
        return np.add(self.low, 0.0 if self.origin is None else self.origin)

    def _like(self, coords: Any, corner: NDArray[np.float64]) -> Any:
        if coords.shape[-1] != len(corner):
            raise UpsDataError(f"coordinates have {coords.shape[-1]} components, the set of points has {len(corner)}")
        return corner if isinstance(coords, np.ndarray) else coords.new_tensor(corner)
