"""`Domain`: the set of points that a draw chooses from, and their order along a space-filling curve."""

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.points.blocks import Blocks, BlockSizes
from ups_data.points.hilbert import hilbert_index

POINT_BITS = 16  # cells per axis for point sets: 2^16, so that refined regions of a mesh are still ordered inside

MAX_POINTS = 2**31  # the samplers pack a point's number and a place in a sequence into 64 bits


@dataclass(frozen=True, eq=False)
class Domain:
    """The N points of a frame.

    Attributes:
        num_points: N, 1 to 2^31 - 1.
        grid_shape: the grid's shape in array order, if the points form a grid; points are numbered row-major.
        coords: `(N, d)` coordinates of a set of points; needed for `stratified` and `importance` on points.
        periodic: for each axis of a grid, whether it is periodic; by default none is. Only off-grid draws and the
            metric `gradient` look at it.
        blocks: how the points are dealt into stored blocks; needed for mode `blocks`. The blocks' sizes are enough if
            fewer than all points are drawn.

    Raises:
        UpsDataError: the shape, the coordinates or the blocks do not have N points.
    """

    num_points: int
    grid_shape: tuple[int, ...] | None = None
    coords: NDArray[np.floating] | None = None
    blocks: Blocks | BlockSizes | None = None
    periodic: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.num_points < MAX_POINTS:
            raise UpsDataError(f"domain has {self.num_points} points: 1 to {MAX_POINTS - 1} can be drawn from")
        if self.grid_shape is not None and math.prod(self.grid_shape) != self.num_points:
            raise UpsDataError(f"domain's grid {tuple(self.grid_shape)} does not have {self.num_points} points")
        if self.coords is not None and (self.coords.ndim != 2 or len(self.coords) != self.num_points):
            raise UpsDataError(f"domain's coordinates have shape {self.coords.shape}: give ({self.num_points}, d)")
        if not self.periodic:
            object.__setattr__(self, "periodic", (False,) * len(self.grid_shape or ()))
        if len(self.periodic) != len(self.grid_shape or ()):
            raise UpsDataError(f"domain's grid {self.grid_shape} has other axes than periodic={self.periodic}")
        if self.blocks is not None and self.blocks.num_points != self.num_points:
            raise UpsDataError(f"domain has {self.num_points} points, its blocks hold {self.blocks.num_points}")

    @property
    def all_points(self) -> int:
        """N; of a part of a domain, the points of the whole."""
        return self.num_points

    def tile_bounds(self, number: int) -> NDArray[np.int64]:
        """`(K + 1,)`: where K tiles, consecutive stretches of the curve of about N / K points, begin and end."""
        return np.arange(number + 1, dtype=np.int64) * self.num_points // number

    @functools.cached_property
    def coords_in_blocks(self) -> NDArray[np.float32]:
        """`(B * P, d)`, the coordinates of the points in the slots of the blocks; an empty slot holds zeros."""
        if self.coords is None or not isinstance(self.blocks, Blocks):
            raise ValueError("this domain has no coordinates, or no blocks whose points are known")
        index = self.blocks.index
        coords = np.asarray(self.coords, np.float32)[index]
        coords[index < 0] = 0
        return coords

    @functools.cached_property
    def curve(self) -> NDArray[np.int64]:
        """`(N,)` int64, read-only: point numbers in the order of a Hilbert curve, so that a run of consecutive entries
        is a compact patch.

        Computed at first use and kept. On power-of-two cubic grids aligned runs of s^d entries are exactly the aligned
        s × … × s tiles; other grids take the curve through the enclosing power-of-two cube.

        Raises:
            UpsDataError: for a point set without coordinates, or with NaN or infinite ones.
        """
        if self.grid_shape is not None:
            curve = _grid_curve(self.grid_shape)
        elif self.coords is not None:
            curve = _point_curve(self.coords)
        else:
            raise UpsDataError(
                "domain has neither a grid shape nor coordinates: modes 'stratified' and 'importance' need one of them"
            )
        curve.setflags(write=False)
        return curve


def _grid_curve(shape: tuple[int, ...]) -> NDArray[np.int64]:
    axes = tuple(n for n in shape if n > 1)  # an axis of one cell would only raise the curve's dimension
    if len(axes) < 2:
        return np.arange(math.prod(shape), dtype=np.int64)
    cells = np.indices(axes, np.int64).reshape(len(axes), -1).T
    return np.argsort(hilbert_index(cells, (max(axes) - 1).bit_length()), kind="stable")


def _point_curve(coords: NDArray[np.floating]) -> NDArray[np.int64]:
    x = np.asarray(coords, np.float64)
    if not np.isfinite(x).all():
        raise UpsDataError("domain's coordinates hold NaN or infinite values: repair the mesh, or use mode 'uniform'")
    if x.shape[1] == 1:
        return np.argsort(x[:, 0], kind="stable")
    low = x.min(axis=0)
    extent = float((x.max(axis=0) - low).max()) or 1.0  # one scale for all axes: tiles keep the domain's proportions
    bits = min(POINT_BITS, 62 // x.shape[1])
    cells = ((x - low) * ((2**bits - 1) / extent)).astype(np.int64)
    return np.argsort(hilbert_index(cells, bits), kind="stable")
