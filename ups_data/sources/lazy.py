"""An array that lies in a file and is read by slices of its first axis."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np


class LazyArray:
    """`array[a:b]` reads the rows a..b of the file and no others; the remaining indices apply to what was read.

    The first axis is time for a field and the first grid axis for a static one. Axes of length one that the file
    does not have (channels, time) are added here, so that every field has the shape the contract asks for.

    Args:
        shape: the shape as the contract has it.
        dtype: the file's; values in the other byte order come out in the machine's.
        read: (start, stop) → rows start..stop, in any shape of as many elements as `(stop - start, *shape[1:])`.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, read: Callable[[int, int], np.ndarray]) -> None:
        self.shape = tuple(int(n) for n in shape)
        self.dtype = np.dtype(dtype).newbyteorder("=")
        self._read = read

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any, /) -> np.ndarray:
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) and key else (key, ())
        if first is Ellipsis or isinstance(first, tuple):
            return self._rows(0, len(self))[key]
        if isinstance(first, slice):
            wanted = range(len(self))[first]
            if not wanted:
                return self._rows(0, 0)[(slice(None), *rest)]
            rows = self._rows(min(wanted), max(wanted) + 1)[:: wanted.step]
            return rows[(slice(None), *rest)]
        try:
            row = range(len(self))[operator.index(first)]
        except TypeError:
            raise TypeError(f"the first axis is read by an integer or a slice, not by {type(first).__name__}") from None
        return self._rows(row, row + 1)[(0, *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("the array lies in a file: reading it makes a copy")
        return self[:].astype(dtype or self.dtype, copy=False)

    def _rows(self, start: int, stop: int) -> np.ndarray:
        shape = (stop - start, *self.shape[1:])
        if start == stop:
            return np.empty(shape, self.dtype)
        return np.asarray(self._read(start, stop), dtype=self.dtype).reshape(shape)
