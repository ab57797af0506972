"""A read of frames as data: which chunks of which stored arrays it takes, before any of them is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ups_data.points.lookup.numbers import distinct

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
    return [(array, distinct(np.concatenate(numbers))) for array, numbers in of_array.items()]
