"""Which planes of a frame are drawn, and what their axes say: name, unit, axis of the array, direction."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ups_data.card.markdown import shortened
from ups_data.errors import printable
from ups_data.points.directions import directions
from ups_data.schema import AxisSpec

MOST_RATIO = 8  # of extents that are drawn to scale
MOST_CELLS = 600  # along an axis of a picture


@dataclass(frozen=True)
class Line:
    """An axis of a picture.

    Attributes:
        values: `(n,)` coordinates of a grid's axis, as the array has them; of points, the ends.
        array_axis: of the array; None: points have none.
    """

    name: str
    units: str | None
    values: np.ndarray
    array_axis: int | None = None

    @property
    def extent(self) -> float:
        """From end to end."""
        return float(np.ptp(self.values))

    def label(self) -> str:
        """Name and unit; for a grid, the axis of the array, and which way its index grows. An arrow to the right is one
        upwards where the label is turned."""
        text = shortened(printable(self.name))[:40] + (f" [{printable(self.units)[:40]}]" if self.units else "")
        if self.array_axis is None:
            return f"{text} →"
        falls = len(self.values) > 1 and self.values[-1] < self.values[0]
        return f"{text}\naxis {self.array_axis}: {len(self.values):,} points, index grows {'←' if falls else '→'}"


@dataclass(frozen=True)
class Plane:
    """Two axes of a picture, and where along the third it lies.

    Attributes:
        across, up: components of a frame: axes of a grid's array, or coordinates of points.
        depth: the third component, cut in the middle; None: there is none.
    """

    across: int
    up: int
    depth: int | None = None


def planes_of(names: Sequence[str], *, points: bool) -> list[Plane]:
    """A plane of two components, or two planes of three.

    Args:
        names: of the components: a grid's axes in the order of the array, or coordinates of points.
        points: they are coordinates, in order.
    """
    order = _order(names, points=points)
    if len(order) == 2:
        return [Plane(order[0], order[1])]
    x, y, z = order
    return [Plane(x, y, z), Plane(x, z, y)]


def line_of(axis: AxisSpec, number: int) -> Line:
    """A grid's axis."""
    return Line(axis.name, axis.units, np.asarray(axis.physical), number)


def to_scale(across: Line, up: Line) -> bool:
    """Whether both axes are drawn to one scale: they have one unit, and neither would become a line."""
    extents = sorted((across.extent, up.extent))
    return across.units == up.units and extents[0] > 0 and extents[1] / extents[0] <= MOST_RATIO


def edges(values: np.ndarray) -> np.ndarray:
    """`(n + 1,)` ends of cells around `(n,)` coordinates, in their order."""
    if len(values) == 1:
        return values[0] + np.array([-0.5, 0.5])
    middles = (values[1:] + values[:-1]) / 2
    return np.concatenate([[2 * values[0] - middles[0]], middles, [2 * values[-1] - middles[-1]]])


def _order(names: Sequence[str], *, points: bool) -> list[int]:
    """Components from left to right, upwards, into the picture."""
    if points:
        return list(range(len(names)))
    places = directions(names)
    return sorted(range(len(names)), key=lambda n: places[n])
