"""`Draw`: the points that a sampler chose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Draw:
    """Points drawn for a batch of B samples.

    Attributes:
        index: `(B, Q)` int64, row-major point numbers, no repeats within a row, in the order that `QuerySampling.order`
            asks for. May be a read-only broadcast. None where the domain knows the sizes of its blocks only: whoever
            reads the blocks finds the numbers there.
        weight: `(B, Q)` float32, Q / (N π) with π the inclusion probability; None if every weight is exactly 1.
        grid_shape: the shape of the lattice that the Q points form (array order, points row-major), where they do.
        blocks: `(B, m)` int64, mode `blocks` only: the stored blocks that hold a sample's points, in the order in which
            `slots` counts them; -1 behind the last where a sample needs fewer than m.
        slots: `(B, Q)` int64, mode `blocks` only: the points' places in the concatenation of those blocks, j P + place
            for the j-th, P slots each. In order "stored" the points of one block come in stored order. May be a
            read-only broadcast.
        whole_blocks: whether `slots` counts every slot of the blocks in order: nothing has to be picked out of them.
        offset: `(B, Q, d)` float32, off-grid draws only: from the drawn point to the query, in cells along each axis of
            the grid (array order), in [-1/2, 1/2]. Negative ones at the first point of a periodic axis, and positive
            ones at its last, lie in the cell that joins the two ends.
    """

    index: NDArray[np.int64] | None
    weight: NDArray[np.float32] | None = None
    grid_shape: tuple[int, ...] | None = None
    blocks: NDArray[np.int64] | None = None
    slots: NDArray[np.int64] | None = None
    whole_blocks: bool = False
    offset: NDArray[np.float32] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(B, Q)."""
        rows = self.slots if self.index is None else self.index
        assert rows is not None
        return rows.shape[0], rows.shape[1]

    @property
    def points(self) -> NDArray[np.int64]:
        """The index of a draw that has one."""
        if self.index is None:
            raise ValueError("these points were drawn from blocks whose points are not known")
        return self.index
