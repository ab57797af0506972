"""`Part`: the points of a domain that count, as a domain of their own, where others (land, obstacles) have no value."""

import functools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ups_data.points.blocks import Blocks, BlockSizes
from ups_data.points.domain import Domain


@dataclass(frozen=True, eq=False)
class Part(Domain):
    """M of the N points of a domain, numbered from 0 to M - 1 in their row-major order.

    A mode draws from it as from any set of M points, and needs to know nothing of the others; `candidates` has the
    points' numbers in the whole domain.

    Make it with `part_of`.

    Attributes:
        whole: the domain with all N points.
        slots: `(B * P,)` bool, whether a point that counts is in each slot of the stored order; `(N,)` in row-major
            order where the whole has no blocks.
    """

    whole: Domain | None = None
    slots: NDArray[np.bool_] | None = None

    @property
    def all_points(self) -> int:
        """N, also of the points that do not count."""
        return self._whole.num_points

    @functools.cached_property
    def counted(self) -> NDArray[np.bool_]:
        """`(N,)`, row-major: whether a point counts.

        Raises:
            ValueError: which points the stored blocks hold is not known.
        """
        assert self.slots is not None
        stored = self._whole.blocks
        if stored is None:
            return self.slots
        if isinstance(stored, Blocks):
            return self.slots[stored.slots]
        if len(stored) == 1:
            return self.slots[: stored.num_points]
        raise ValueError("which points count is known by their places in blocks only")

    @functools.cached_property
    def candidates(self) -> NDArray[np.int64]:
        """`(M,)`, the numbers of the points that count, ascending."""
        return np.flatnonzero(self.counted)

    @functools.cached_property
    def curve(self) -> NDArray[np.int64]:
        """`(M,)`, the numbers of the points in this domain along the whole domain's curve."""
        rank = np.cumsum(self.counted) - 1
        along = self._whole.curve
        curve = rank[along[self.counted[along]]]
        curve.setflags(write=False)
        return curve

    def tile_bounds(self, number: int) -> NDArray[np.int64]:
        """The tiles of the whole domain without the points that do not count: some may be empty."""
        before = np.concatenate([[0], np.cumsum(self.counted[self._whole.curve])])
        bounds: NDArray[np.int64] = before[self._whole.tile_bounds(number)]
        return bounds

    @functools.cached_property
    def places(self) -> NDArray[np.int64]:
        """`(B, P)`: the slots of each block, those of the points that count first."""
        assert self.slots is not None
        assert self.blocks is not None
        return np.argsort(~self.slots.reshape(len(self.blocks), -1), axis=1, kind="stable")

    @property
    def _whole(self) -> Domain:
        assert self.whole is not None
        return self.whole


def part_of(whole: Domain, slots: NDArray[np.bool_]) -> Domain:
    """The points of a domain that count; the domain itself if all do.

    Args:
        slots: see `Part`; at least one point counts.
    """
    count = int(np.count_nonzero(slots))
    if count == whole.num_points:
        return whole
    blocks = None
    if whole.blocks is not None:
        counts = np.count_nonzero(slots.reshape(len(whole.blocks), -1), axis=1)
        blocks = BlockSizes(counts.astype(np.int64), whole.blocks.block_points)
    part = Part(num_points=count, blocks=blocks, whole=whole, slots=slots)
    if whole.coords is not None and whole.grid_shape is None:
        return replace(part, coords=whole.coords[part.candidates])
    return part
