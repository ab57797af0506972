"""The Hilbert curve through a power-of-two cube, in any number of dimensions.

Algorithm: J. Skilling, "Programming the Hilbert curve", AIP Conf. Proc. 707, 381 (2004), vectorised over points.
"""

import numpy as np
from numpy.typing import NDArray


def hilbert_index(cells: NDArray[np.integer], bits: int) -> NDArray[np.int64]:
    """Place of each cell on the Hilbert curve through the cube of side 2^bits.

    Args:
        cells: `(n, d)` integers in [0, 2^bits), one row per point; d · bits at most 62.

    Returns:
        `(n,)` int64 in [0, 2^(d · bits)). Consecutive cells of the curve are neighbours; aligned runs of 2^(d k)
        cells fill exactly the aligned cubes of side 2^k.
    """
    x = [np.array(column, np.int64) for column in np.asarray(cells).T]
    if len(x) == 1:
        return x[0]
    # From the coarsest level down, undo the turn and the reflection of the sub-cube that the point lies in.
    for level in range(bits - 1, 0, -1):
        below = (1 << level) - 1
        for i, xi in enumerate(x):
            upper = -((xi >> level) & 1)  # all ones where the point is in the upper half along axis i
            if i > 0:
                swap = (x[0] ^ xi) & below & ~upper
                x[0] ^= swap
                xi ^= swap
            x[0] ^= upper & below
    # Gray code across the axes.
    for i in range(1, len(x)):
        x[i] ^= x[i - 1]
    flips = np.zeros_like(x[0])
    for level in range(bits - 1, 0, -1):
        flips ^= -((x[-1] >> level) & 1) & ((1 << level) - 1)
    # Interleave the axes' bits, the coarsest first.
    index = np.zeros_like(x[0])
    for xi in x:
        xi ^= flips
    for level in range(bits - 1, -1, -1):
        for xi in x:
            index <<= 1
            index |= (xi >> level) & 1
    return index
