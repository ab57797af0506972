"""How much of its samples a batch asks for."""

from ups_data.batch import QueryBatch
from ups_data.schema import Manifest
from ups_data.training.forecast.parts import sets_of


class Share:
    """Queries ÷ points, over a batch's samples and its sets of points. Where frames differ in size, that is not the
    queries of the largest sample ÷ the points of the largest frame.

    Args:
        split: that the batches are of.
    """

    def __init__(self, manifest: Manifest, split: str) -> None:
        self._set_of = {spec.name: spec.point_set for spec in manifest.fields}
        self._points = {name: manifest.points_of(split, name) for name in manifest.set_names}

    def __call__(self, batch: QueryBatch) -> float:
        """From 0 to 1."""
        drawn, points = 0.0, 0
        for name, part in sets_of(batch).items():
            queries = part.target_queries
            filled = 1.0 if queries.mask is None else float(queries.mask.float().mean())
            drawn += filled * len(part.trajectory) * queries.coords.shape[-2]
            if name not in self._points:  # an only set is not called by its name
                name = self._set_of[next(iter(queries.values))]
            points += int(self._points[name][part.trajectory.cpu().numpy()].sum())
        return drawn / points
