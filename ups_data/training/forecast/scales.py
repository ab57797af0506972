"""Coordinates of other data as the model saw those that it was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from ups_data.batch import QueryBatch
from ups_data.loader.selection import scale_of
from ups_data.points.unit import UnitScale
from ups_data.schema import Manifest
from ups_data.training.config import TrainConfig
from ups_data.training.forecast.parts import SetName, sets_of

Origin = list[float] | None


@dataclass(frozen=True)
class Scales:
    """How a set's coordinates, in the source's units, become those that the model takes.

    Attributes:
        trained: set of points → the scale of the training's dataset, None: as stored there; empty for a grid.
        origins: set of points → what was subtracted from coordinates in the training's dataset and in the data.
        differ: the data's own scales are others: a loader must hand out coordinates as they are stored
            (`coords="source"`), and batches are to be passed through this.
    """

    trained: Mapping[SetName, UnitScale | None]
    origins: Mapping[SetName, tuple[Origin, Origin]]
    differ: bool

    @classmethod
    def of(cls, config: TrainConfig, trained: Manifest, manifest: Manifest) -> "Scales":
        """Those of a run for a dataset of the same sets of points."""
        if manifest.grid is not None:
            return cls({}, {}, False)
        own = {name: scale_of(manifest, name, config.data.coords) for name in manifest.set_names}
        scales = {name: scale_of(trained, name, config.data.coords) for name in manifest.set_names}
        origins = {n: (trained.point_set(n).origin, manifest.point_set(n).origin) for n in manifest.set_names}
        return cls(scales, origins, own != scales or any(a != b for a, b in origins.values()))

    def to_model(self, set_name: SetName, coords: Any) -> Any:
        """Coordinates `(..., d)` in the source's units, an array or a tensor → as the model takes them."""
        scale = self.trained[set_name]
        return _moved(coords, self.origins[set_name][0], -1) if scale is None else scale.to_unit(coords)

    def __call__(self, batch: QueryBatch) -> QueryBatch:
        """A batch of coordinates as they are stored, with those that the model takes; itself if nothing differs."""
        if not self.differ:
            return batch
        parts = {name: self._of_set(name, part) for name, part in sets_of(batch).items()}
        first = parts.pop(batch.set_name)
        return replace(first, others={str(name): part for name, part in parts.items()})

    def _of_set(self, name: SetName, part: QueryBatch) -> QueryBatch:
        def moved(coords: Tensor) -> Tensor:
            stored = _moved(coords.double(), self.origins[name][1], 1)
            found: Tensor = self.to_model(name, stored)
            return found.float()

        queries, inputs, scale = part.target_queries, part.inputs, self.trained[name]
        return replace(
            part,
            target_queries=replace(queries, coords=moved(queries.coords), scale=scale),
            inputs=replace(inputs, coords=moved(inputs.coords), scale=scale),
            others={},
        )


def _moved(coords: Any, origin: Origin, sign: int) -> Any:
    if origin is None:
        return coords
    at = sign * np.asarray(origin, np.float64)
    return coords + (at if isinstance(coords, np.ndarray) else coords.new_tensor(at))
