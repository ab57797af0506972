"""An array whose bytes lie in a file as they are, read by plain reads.

A memory map would do the same in fewer lines, but a file that is cut while it is mapped ends the process (SIGBUS). A
plain read past the end is short, which is an error like any other.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError

# Read at once where what is wanted does not lie in one piece.
PIECE = 16 * 1024**2


class FileArray:
    """`array[a:b]` and `array[n, a:b]` read what they return; other indices are applied to what was read.

    Args:
        offset: bytes before the first element.
        strides: in elements, not negative; None: C order.
        check: called once before anything is read, to compare checksums.
    """

    def __init__(
        self,
        path: Path,
        dtype: Any,
        shape: tuple[int, ...],
        offset: int,
        strides: tuple[int, ...] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        self.path, self.shape, self.offset = path, tuple(int(n) for n in shape), offset
        self._stored = np.dtype(dtype)
        self.dtype = self._stored.newbyteorder("=")
        self._strides = strides = _c_strides(self.shape) if strides is None else strides
        # the axes in the order of the file, the slowest first; axes of one element anywhere
        self._order = sorted(range(len(shape)), key=lambda a: (-strides[a], a) if self.shape[a] > 1 else (-math.inf, a))
        self._dense = _is_dense([self.shape[a] for a in self._order], [strides[a] for a in self._order])
        self._check = check

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any, /) -> np.ndarray:
        keys = key if isinstance(key, tuple) else (key,)
        wanted: list[slice] = []
        rest: list[Any] = []
        for place, item in enumerate(keys):
            simple = isinstance(item, slice | int | np.integer) and not isinstance(item, bool)
            if not simple or place >= self.ndim:  # the rest as numpy has it
                rest += keys[place:]
                break
            chosen = range(self.shape[place])[item]
            if isinstance(chosen, int):
                wanted.append(slice(chosen, chosen + 1))
                rest.append(0)
            else:
                wanted.append(slice(min(chosen), max(chosen) + 1) if chosen else slice(0, 0))
                rest.append(slice(None, None, chosen.step))
        return self._read(wanted)[tuple(rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("the array lies in a file: reading it makes a copy")
        return self.whole().astype(dtype or self.dtype, copy=False)

    def whole(self) -> np.ndarray:
        """All of it."""
        return self._read([])

    def part(self, start: int, stop: int) -> np.ndarray:
        """`array[start:stop]`."""
        return self._read([slice(start, stop)])

    def rows(self, lead: int, start: int, stop: int) -> np.ndarray:
        """`array[lead, start:stop]`."""
        return self._read([slice(lead, lead + 1), slice(start, stop)])[0]

    def columns(self, *, points_last: bool = False) -> "FileArray":
        """(N,) as (N, 1); (C, N) as (N, C) if `points_last`; others as they are."""
        if self.ndim == 1:
            return FileArray(self.path, self._stored, (*self.shape, 1), self.offset, (*self._strides, 1), self._check)
        if points_last and self.ndim == 2:
            shape, strides = self.shape[::-1], self._strides[::-1]
            return FileArray(self.path, self._stored, shape, self.offset, strides, self._check)
        return self

    def _read(self, wanted: list[slice]) -> np.ndarray:
        box = wanted + [slice(0, n) for n in self.shape[len(wanted) :]]
        shape = tuple(s.stop - s.start for s in box)
        if 0 in shape:
            return np.empty(shape, self.dtype)
        if self._check is not None:
            self._check()
            self._check = None
        if not self._dense:
            return self._in_span(box, shape)
        sizes = [self.shape[a] for a in self._order]
        values = self._in_file_order(sizes, [box[a] for a in self._order])
        return values.transpose(np.argsort(self._order)).astype(self.dtype, copy=False)

    def _in_span(self, box: list[slice], shape: tuple[int, ...]) -> np.ndarray:
        """The box of an array that has gaps, or overlaps itself: with all that lies between its values."""
        first = sum(s.start * step for s, step in zip(box, self._strides, strict=True))
        last = sum((s.stop - 1) * step for s, step in zip(box, self._strides, strict=True))
        span = self._bytes(first, last - first + 1)
        strides = [step * self._stored.itemsize for step in self._strides]
        return np.lib.stride_tricks.as_strided(span, shape, strides).astype(self.dtype)

    def _in_file_order(self, sizes: list[int], box: list[slice]) -> np.ndarray:
        """The box of an array that lies in C order."""
        first, axis = 0, 0
        inner = _c_strides(tuple(sizes))
        while axis < len(box) - 1 and box[axis].stop - box[axis].start == 1:  # one row: what is wanted lies in it
            first += box[axis].start * inner[axis]
            axis += 1
        if not box:
            return self._bytes(0, 1).reshape(())
        shape = [s.stop - s.start for s in box]
        start, stop, row = box[axis].start, box[axis].stop, inner[axis]
        if shape[axis + 1 :] == sizes[axis + 1 :]:
            return self._bytes(first + start * row, (stop - start) * row).reshape(shape)
        out = np.empty(shape, self._stored)
        flat = out.reshape(shape[axis:])
        rows = max(1, PIECE // (row * self._stored.itemsize))
        for low in range(start, stop, rows):
            high = min(low + rows, stop)
            piece = self._bytes(first + low * row, (high - low) * row).reshape(high - low, *sizes[axis + 1 :])
            flat[low - start : high - start] = piece[(slice(None), *box[axis + 1 :])]
        return out

    def _bytes(self, first: int, count: int) -> np.ndarray:
        size = self._stored.itemsize
        try:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(self.offset + first * size)
                values = np.empty(count, self._stored)
                view = values.view(np.uint8).reshape(-1).data
                done = 0
                while done < len(view) and (got := file.readinto(view[done:])):
                    done += got
        except OSError as error:
            raise UpsDataError(f"{self.path}: cannot be read ({error.strerror}): check the file") from error
        if done < count * size:
            raise UpsDataError(f"{self.path}: ends before its array does, it was cut: copy it again")
        return values


class HeldArray:
    """The same of an array in memory."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.shape, self.dtype, self.ndim, self.size = array.shape, array.dtype, array.ndim, array.size

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, key: Any, /) -> np.ndarray:
        return self._array[key]

    def whole(self) -> np.ndarray:
        """All of it."""
        return self._array

    def part(self, start: int, stop: int) -> np.ndarray:
        """`array[start:stop]`."""
        return self._array[start:stop]

    def rows(self, lead: int, start: int, stop: int) -> np.ndarray:
        """`array[lead, start:stop]`."""
        return self._array[lead, start:stop]

    def columns(self, *, points_last: bool = False) -> "HeldArray":
        """As of a `FileArray`."""
        if self.ndim == 1:
            return HeldArray(self._array[:, None])
        return HeldArray(self._array.T) if points_last and self.ndim == 2 else self


def _c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _is_dense(shape: list[int], strides: list[int]) -> bool:
    expected = _c_strides(tuple(shape))
    return all(n == 1 or have == want for n, have, want in zip(shape, strides, expected, strict=True))
