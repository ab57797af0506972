"""The importance of tiles as it is stored: which tiles, which arrays, and rows computed as frames pass."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.points.activity import Metric, scaled, tile_activity
from ups_data.points.domain import Domain
from ups_data.points.part import part_of
from ups_data.points.tiles import Tiles, num_tiles, tiles_in
from ups_data.schema import FieldSpec, GridSpec
from ups_data.store.arrays.metadata import IMPORTANCE as FOLDER
from ups_data.writing import chunks

# A sample looks at a row or two: reading it should cost no more.
CHUNK_BYTES = 8 * 1024


def check_metrics(metrics: Sequence[str]) -> list[Metric]:
    """The metrics, each once.

    Raises:
        UpsDataError: one of them cannot be computed from data.
    """
    known: dict[str, Metric] = {m: m for m in get_args(Metric)}
    for metric in metrics:
        if metric not in known:
            error = "; 'error' is fed back by training and not stored" if metric == "error" else ""
            raise UpsDataError(f"importance metric {metric!r}: choose one of {', '.join(known)}{error}")
    return [known[m] for m in dict.fromkeys(metrics)]


def group_names(set_names: Sequence[str | None]) -> list[str]:
    """The zarr groups that those arrays lie in."""
    return [FOLDER, *(f"{FOLDER}/{name}" for name in set_names if name is not None)]


def array_options(tiles: int, set_name: str | None, steps: int) -> dict[str, Any]:
    """Shape of chunks, dtype and names of dimensions of an array of rows `(K,)`, for `ArrayWriter`."""
    rows = chunks.rows_of_chunk(2 * tiles, steps, CHUNK_BYTES)
    dimension = "tile" if set_name is None else f"{set_name}_tile"
    return {"chunk_shape": (rows, tiles), "dtype": np.dtype("float16"), "dimension_names": ("row", dimension)}


class Importance:
    """The importance that all shards of a dataset hold.

    Args:
        metrics: see `check_metrics`.
        fields: of the dataset; those that change in time count. A set of points without any has no importance.
        grid: of a dataset on a grid.
        points: set of points → points of the first trajectory, which fixes K; empty for a grid.

    Attributes:
        metrics: as given.
        tiles: set of points → K.
    """

    def __init__(
        self,
        metrics: Sequence[Metric],
        fields: Sequence[FieldSpec],
        grid: GridSpec | None,
        points: Mapping[str | None, int],
    ) -> None:
        self.metrics = list(metrics)
        self._grid: Domain | None = None
        if grid is not None:
            periodic = tuple(bool(axis.periodic) for axis in grid.axes)
            self._grid = Domain(math.prod(grid.shape), grid.shape, periodic=periodic)
            points = {None: self._grid.num_points}
        of_sets = {name: [f.name for f in fields if f.point_set == name and not f.static] for name in points}
        self._fields = {name: names for name, names in of_sets.items() if names and metrics}
        self.tiles = {name: num_tiles(points[name]) for name in self._fields}

    def of_run(self, set_name: str | None, coords: NDArray[np.floating] | None) -> "RunImportance":
        """For the frames of one trajectory.

        Args:
            coords: `(N, d)` of its points, in the first frame where they move; None for a grid.
        """
        domain = self._grid
        if domain is None:
            assert coords is not None
            domain = Domain(len(coords), coords=coords)
        return RunImportance(self.metrics, self._fields[set_name], domain, self.tiles[set_name])

    def listed(self) -> dict[str, dict[str, int]] | None:
        """As the manifest lists it."""
        return {m: {name or "": k for name, k in self.tiles.items()} for m in self.metrics} or None


class RunImportance:
    """Rows of importance of one trajectory. Its fields come one after another, in pieces of any number of frames; a row
    is complete once every field was there.

    A trajectory of fewer points than tiles has a tile for each point, and zeros behind them.
    """

    def __init__(self, metrics: Sequence[Metric], fields: Sequence[str], domain: Domain, tiles: int) -> None:
        self._domain, self._width = domain, tiles
        self._tiles: Tiles = tiles_in(domain, min(tiles, domain.num_points))
        self._seen = dict.fromkeys(fields, 0)  # frames of each field so far
        self._part: tuple[NDArray[np.bool_], Domain, Tiles] | None = None
        self._done = 0  # rows that were handed out
        self._open: dict[Metric, NDArray[np.float64]] = {m: np.zeros((0, len(self._tiles))) for m in metrics}

    def add(
        self, field: str, frames: np.ndarray, counted: NDArray[np.bool_] | None = None
    ) -> dict[Metric, NDArray[np.float16]]:
        """Take in the next frames `(n, N, C)` or `(n, *grid, C)` of a field.

        Args:
            counted: `(n, N)`, which of their points count; None: all. Tiles without such a point have importance 0.

        Returns:
            metric → the rows `(m, K)` that are complete now.
        """
        first = self._seen[field] - self._done
        self._seen[field] += len(frames)
        domains = [self._counted(None if counted is None else counted[i]) for i in range(len(frames))]
        complete = min(self._seen.values()) - self._done
        rows = {}
        for metric, open_rows in self._open.items():
            missing = first + len(frames) - len(open_rows)
            total = np.pad(open_rows, ((0, max(0, missing)), (0, 0)))
            for i, (frame, (domain, tiles)) in enumerate(zip(frames, domains, strict=True)):
                total[first + i] += tile_activity(metric, frame, domain, tiles)
            behind = self._width - len(self._tiles)
            rows[metric] = np.pad(scaled(total[:complete]), ((0, 0), (0, behind)))
            self._open[metric] = total[complete:]
        self._done += complete
        return rows

    def _counted(self, counted: NDArray[np.bool_] | None) -> tuple[Domain, Tiles]:
        """The points that count, and their tiles; the last ones are kept."""
        if counted is None or counted.all():
            return self._domain, self._tiles
        if self._part is None or not np.array_equal(self._part[0], counted):
            part = part_of(self._domain, counted)
            self._part = counted, part, tiles_in(part, len(self._tiles))
        return self._part[1:]
