"""Chunks that hold many frames are decoded once: what is read of them lies in memory, or in a file, until it was used.

A variable may be stored in one compressed chunk over all times. Each read of a few frames would decode all of it again,
so that a conversion takes a time that grows with the square of its length.
"""

import math
import os
import tempfile
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from ups_data.sources.netcdf.opening import CHUNKS

# Decoded bytes that are kept in memory; what is more lies in a temporary file, which has no name.
MEMORY = 256 * 1024**2
Box = tuple[tuple[int, int], ...]
_LIVE: list["weakref.ref[Slabs]"] = []  # those that hold something, the last one read at the end


class Slabs:
    """The last slab of each variable: whole chunks along the axes that are read by parts, all of the others."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[Box, np.ndarray]] = {}

    def _make_room(self, size: int) -> int:
        """Forget what other files' slabs hold, the oldest first, until `size` more bytes fit; returns those in memory.

        A run in many files is read file by file: what the earlier ones decoded is not needed any more.
        """
        _LIVE[:] = [live for live in _LIVE if live() is not None and live() is not self]
        others = [live for live in (reference() for reference in _LIVE) if live is not None]
        while others and size + sum(live.in_memory for live in (self, *others)) > MEMORY:
            others.pop(0)._held.clear()
        _LIVE.append(weakref.ref(self))
        return sum(live.in_memory for live in (self, *others))

    @property
    def in_memory(self) -> int:
        """Bytes that are held."""
        return sum(values.nbytes for _, values in self._held.values() if not isinstance(values, np.memmap))

    def __reduce__(self) -> tuple[Any, ...]:
        return Slabs, ()

    def read(self, name: str, variable: Any, wanted: Mapping[Any, slice]) -> np.ndarray:
        """`variable.isel(wanted)`, all its dimensions kept, in their order.

        Args:
            variable: of a dataset of xarray that reads lazily.
            wanted: dimension → slice of it, of step 1; all of the others.
        """
        box = tuple((wanted[d].start, wanted[d].stop) if d in wanted else (0, n) for d, n in variable.sizes.items())
        chunks = variable.encoding.get(CHUNKS, {})
        slab = tuple(
            _whole_chunks(span, chunks.get(dim, 1), n) if dim in wanted else span
            for (dim, n), span in zip(variable.sizes.items(), box, strict=True)
        )
        held = self._held.get(name)
        if held is None or not _within(box, held[0]):
            if slab == box:
                return np.asarray(load(variable, box))
            self._held.pop(name, None)
            values = self._decoded(variable, slab)
            if values is None:
                return np.asarray(load(variable, box))
            held = self._held[name] = slab, values
        at = tuple(slice(a - low, b - low) for (a, b), (low, _) in zip(box, held[0], strict=True))
        return np.array(held[1][at])

    def _decoded(self, variable: Any, slab: Box) -> np.ndarray | None:
        """The slab's values; None where there is no room for them."""
        shape = tuple(b - a for a, b in slab)
        size = math.prod(shape) * variable.dtype.itemsize
        if size + self._make_room(size) <= MEMORY:
            return np.asarray(load(variable, slab))
        try:
            with tempfile.TemporaryFile(prefix="ups_data-") as file:
                os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error here, not a signal later
                values = np.memmap(file, variable.dtype, "r+", shape=shape)
        except OSError:
            return None
        for part in _parts(variable, slab):
            at = tuple(slice(a - low, b - low) for (a, b), (low, _) in zip(part, slab, strict=True))
            values[at] = load(variable, part)
        return values


def load(variable: Any, box: Box) -> np.ndarray:
    """The values of a box, decoded from the file."""
    return variable.isel({dim: slice(a, b) for dim, (a, b) in zip(variable.dims, box, strict=True)}).values


def _parts(variable: Any, slab: Box) -> list[Box]:
    """The slab cut into rows of chunks, along the axis that has most of them: each chunk is in one part."""
    chunks = variable.encoding.get(CHUNKS, {})
    counts = [-(-(b - a) // chunks.get(dim, b - a)) for dim, (a, b) in zip(variable.dims, slab, strict=True)]
    axis = int(np.argmax(counts))
    step = chunks.get(variable.dims[axis], 1)
    low, high = slab[axis]
    return [(*slab[:axis], (a, min(a + step, high)), *slab[axis + 1 :]) for a in range(low, high, step)]


def _whole_chunks(span: tuple[int, int], chunk: int, length: int) -> tuple[int, int]:
    return span[0] // chunk * chunk, min(-(-span[1] // chunk) * chunk, length)


def _within(box: Box, slab: Box) -> bool:
    return all(low <= a and b <= high for (a, b), (low, high) in zip(box, slab, strict=True))
