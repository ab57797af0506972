"""A read of frames as data: which chunks of which stored arrays it takes, before any of them is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DENSE = 32  # times as many numbers as are chosen of them: up to there marking them is faster than sorting them
# A stored array, and `(n,)` the numbers of chunks of it. This room only passes the arrays on.
Chunks = tuple[Any, NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What is read of the frames of one field for one tensor of a batch.

    Attributes:
        chunks: of each stored array. A number may come twice. None at all where the frames are in memory.
        assemble: from what was fetched, one entry for each of `chunks`, to what the frames copy from.
        past: whether the chunks are decoded straight to the batch, past the pool: what is fetched are then the stored
            bytes (`Ranges`); otherwise where the decoded chunks lie (`Located`).
    """

    chunks: list[Chunks]
    assemble: Callable[[Sequence[Any]], Any]
    past: bool = False


def unread(source: Any) -> Read:
    """The read of frames that are in memory."""
    return Read([], lambda _: source)


def joined_chunks(chunks: Sequence[Chunks]) -> list[Chunks]:
    """Every array once, in the order in which they come first, with the numbers of its chunks ascending, each once."""
    of_array: dict[Any, list[NDArray[np.int64]]] = {}
    for array, numbers in chunks:
        of_array.setdefault(array, []).append(numbers)
    return [(array, _distinct(np.concatenate(numbers))) for array, numbers in of_array.items()]


def _distinct(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ascending, each once; none is negative."""
    most = int(numbers.max(initial=-1)) + 1
    if most > DENSE * len(numbers):
        return np.unique(numbers)
    marks = np.zeros(most, bool)
    marks[numbers] = True
    return np.flatnonzero(marks)
