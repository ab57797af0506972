"""The boxes of sets of points, and the scales that they give."""

from collections.abc import Mapping, Sequence

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.points.unit import UnitScale
from ups_data.schema.specs import PointsSpec, PointStatistics


def check_boxes(split: str, boxes: Mapping[str, PointStatistics], sets: Mapping[str, PointsSpec]) -> None:
    """Boxes are finite, and there is one of each set.

    Raises:
        ValueError: they are not.
    """
    if set(boxes) != set(sets):
        raise ValueError(f"split {split!r} has boxes of {sorted(boxes)}, sets of points are {sorted(sets)}")
    for name, box in boxes.items():
        corners = [*box.min, *box.max]
        if {len(box.min), len(box.max)} != {sets[name].dim} or not np.isfinite(corners).all():
            raise ValueError(f"split {split!r}: the box of the points {name!r} is none: {box.min} to {box.max}")
        if np.greater(box.min, box.max).any():
            raise ValueError(f"split {split!r}: the box of the points {name!r} is empty: {box.min} to {box.max}")


def scale_around(boxes: Sequence[PointStatistics], specs: Sequence[PointsSpec], own: PointsSpec) -> UnitScale:
    """The scale of the box around several sets, for the stored coordinates of the set `own`.

    Raises:
        UpsDataError: their points differ in dimension.
    """
    if len({spec.dim for spec in specs}) > 1:
        raise UpsDataError("the sets of points differ in dimension, so no box holds them all: give coords='unit'")
    origins = [spec.origin or [0.0] * spec.dim for spec in specs]
    shift = np.array(own.origin or [0.0] * own.dim)
    low = np.min([np.add(box.min, origin) for box, origin in zip(boxes, origins, strict=True)], axis=0)
    high = np.max([np.add(box.max, origin) for box, origin in zip(boxes, origins, strict=True)], axis=0)
    return UnitScale.of_box(low - shift, high - shift, own.origin)
