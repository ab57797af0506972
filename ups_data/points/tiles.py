"""`Tiles`: patches of a domain that share one number, their importance."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.points.domain import Domain

# Points of a tile: small enough to tell a front from its surroundings, so many that the table is a 64th of a channel.
TILE_POINTS = 64
# A draw looks at every tile of a frame.
MOST_TILES = 4096


def num_tiles(points: int) -> int:
    """K, tiles of a frame of N points."""
    return min(MOST_TILES, -(-points // TILE_POINTS))


@dataclass(frozen=True, eq=False)
class Tiles:
    """A domain cut into K consecutive stretches of its space-filling curve, whose lengths differ by one at most.

    A tile's points are a slice of the curve, for grids and point sets alike. Tiles of a part of a domain are those of
    the whole without the points that do not count: some may be empty. On power-of-two grids whose number of
    points K divides to a power 2^(d k), the tiles are the aligned squares (cubes).

    Attributes:
        curve: `(N,)` int64, the domain's.
        bounds: `(K + 1,)` int64: tile k holds the points curve[bounds[k] : bounds[k + 1]], bounds[k] = floor(k N / K).
    """

    curve: NDArray[np.int64]
    bounds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @functools.cached_property
    def sizes(self) -> NDArray[np.int64]:
        """`(K,)`, points of each tile."""
        return np.diff(self.bounds)

    @functools.cached_property
    def of_point(self) -> NDArray[np.int32]:
        """`(N,)`, the tile of every point, by its row-major number."""
        tile = np.empty(len(self.curve), np.int32)
        tile[self.curve] = np.repeat(np.arange(len(self), dtype=np.int32), self.sizes)
        return tile

    def sum(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Sums over each tile: `(N, …)` values by row-major number → `(K, …)`."""
        along = values[self.curve]
        if self.sizes.all():
            return np.add.reduceat(along, self.bounds[:-1], axis=0, dtype=np.float64)
        filled = np.flatnonzero(self.sizes)
        total = np.zeros((len(self), *values.shape[1:]))
        total[filled] = np.add.reduceat(along, self.bounds[filled], axis=0, dtype=np.float64)
        return total

    def mean(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Means over each tile: `(N, …)` → `(K, …)`; 0 of an empty one."""
        sizes = np.maximum(self.sizes, 1).reshape(-1, *[1] * (values.ndim - 1))
        return self.sum(values) / sizes


def tiles_in(domain: Domain, number: int) -> Tiles:
    """Cut a domain into K = `number` tiles of about N / K points each.

    A draw takes time in proportion to Q + K, so choose K no larger than Q.

    Raises:
        UpsDataError: K is below 1 or above N; a point set without coordinates.
    """
    if not 1 <= number <= domain.all_points:
        raise UpsDataError(f"{number} tiles on a domain of {domain.all_points} points: give at least 1 and at most N")
    return Tiles(domain.curve, domain.tile_bounds(number))
