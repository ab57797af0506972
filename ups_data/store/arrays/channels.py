"""Some channels of a stored array, as an array of their own: a field of a pack."""

import numpy as np
from numpy.typing import NDArray

from ups_data.store.arrays.direct import DirectArray
from ups_data.store.arrays.stored import StoredArray


class ChannelArray:
    """Channels `first` to `first + channels` of another array; see `StoredArray`.

    Whoever lists reads lists those of `whole`, so that what several fields need is read once.

    Args:
        channels: None: one, without an axis of its own, as an index has.
        dtype: of what is handed out; values are converted.
    """

    mapped = False
    fetch_seconds, read_bytes = 0.0, 0  # the whole array counts them

    def __init__(self, whole: StoredArray, first: int, channels: int | None, dtype: np.dtype | None = None) -> None:
        self.whole, self.first, self._flat = whole, first, channels is None
        self.channels, self.dtype = channels or 1, dtype or whole.dtype
        last = () if channels is None else (channels,)
        self.shape = (*whole.shape[:-1], *last)
        self.chunk_shape, self.chunk_rows = (*whole.chunk_shape[:-1], *last), whole.chunk_rows
        self.blocks, self.block_points = whole.blocks, whole.block_points
        self.chunk_bytes = whole.chunk_bytes // whole.shape[-1] * self.channels

    def chunk(self, number: int, out: np.ndarray | None = None) -> np.ndarray:
        """See `StoredArray.chunk`."""
        values = self.whole.chunk(number)
        values = values[..., self.first] if self._flat else values[..., self.first : self.first + self.channels]
        if out is None:
            out = np.empty(self.chunk_shape, self.dtype)
        out[...] = values if self.dtype == values.dtype else as_numbers(values)
        return out


def as_numbers(values: np.ndarray) -> NDArray[np.int32]:
    """Numbers of points that may have been stored as float32; -1 where none is stored."""
    return values if values.dtype == np.int32 else np.where(np.isfinite(values), values, -1).astype(np.int32)


def whole_of(array: StoredArray) -> StoredArray:
    """The array whose chunks hold those of `array`."""
    return array.whole if isinstance(array, ChannelArray) else array


def absent_is_nan(array: StoredArray, number: int) -> bool:
    """Whether a chunk is absent, and NaN is read in its place."""
    array = whole_of(array)
    return isinstance(array, DirectArray) and array.absent_is_nan(number)
