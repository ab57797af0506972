"""Numbers of points, blocks or chunks that are asked for together."""

import numpy as np
from numpy.typing import NDArray

DENSE = 32  # times as many numbers as are chosen of them: up to there marking them is faster than sorting them


def distinct(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ascending, each once, as `np.unique`; none is negative.

    distinct(np.array([3, 1, 3]))  # 1, 3
    """
    most = int(numbers.max(initial=-1)) + 1
    if most > DENSE * len(numbers):
        return np.unique(numbers)
    marks = np.zeros(most, bool)
    marks[numbers] = True
    return np.flatnonzero(marks)
