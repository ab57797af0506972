"""Points that all samples of a batch share, for models that take one geometry for a batch."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ups_data.sampling.draw import Draw


def share_keys(keys: NDArray[np.uint64], batch_sizes: Sequence[int]) -> NDArray[np.uint64]:
    """The keys of a block of batches as if every sample of a batch were its first one.

    Args:
        keys: `(B * K,)`, sample by sample, K draws (steps) each.
        batch_sizes: the number of samples of each batch of the block, B in all.
    """
    sizes = np.asarray(batch_sizes)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    return keys.reshape(len(first), -1)[first].ravel()


def draw_once(draw: Callable[[NDArray[np.int64]], Draw], keys: NDArray[np.uint64]) -> Draw:
    """One draw for all rows of the same key, that of the first of them.

    Args:
        draw: rows `(b,)` → their draw.
        keys: `(B,)`.
    """
    _, rows, number = np.unique(keys, return_index=True, return_inverse=True)
    drawn = draw(rows)
    repeated: dict[str, Any] = {
        name: np.broadcast_to(array[:1], (len(keys), *array.shape[1:])) if array.strides[0] == 0 else array[number]
        for name in (f.name for f in fields(drawn))
        if isinstance(array := getattr(drawn, name), np.ndarray)
    }
    return replace(drawn, **repeated)
