"""How large the cells of the points are that predictions are compared at."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ups_data.batch import QuerySet
from ups_data.schema import Manifest
from ups_data.schema.measures import cells_of, size_field
from ups_data.training.forecast.parts import SetName


class Sizes:
    """Of the sets of points that some targets live on.

    Args:
        targets: names of the predicted fields.

    Attributes:
        fields: set of points → the field of sizes, where one is stored.
    """

    def __init__(self, manifest: Manifest, targets: list[str]) -> None:
        sets = {manifest.field(name).point_set for name in targets}
        found = {name: size_field(manifest, name) for name in sets}
        self.fields: Mapping[SetName, str] = {name: field for name, field in found.items() if field is not None}
        self._is_grid = manifest.grid is not None
        self._cells = cells_of(manifest) if not self.fields else None

    def known(self, set_name: SetName) -> bool:
        """Whether cells have other sizes than each other, as far as is known."""
        return self._cells is not None or set_name in self.fields

    def integrates(self, set_name: SetName) -> bool:
        """Whether integrals over the set are compared: over meshes, whose sizes have a unit."""
        return set_name in self.fields and not self._is_grid

    def at(self, set_name: SetName, queries: QuerySet) -> Tensor | None:
        """`(B, k, Q, 1)`, or what broadcasts to it, at some points of some steps; None: they are not known.

        Args:
            queries: the points, with a step axis; of a field of sizes, with its values.
        """
        if set_name in self.fields:
            return queries.values[self.fields[set_name]]
        if self._cells is None:
            return None
        index = queries.index  # of a grid, in memory once where it is the same in every frame
        rows = index[:1, :1] if index.stride()[:2] == (0, 0) else index
        return torch.from_numpy(self._cells.at(rows.cpu().numpy())).to(index.device)[..., None]
