"""Which ranges of stored bytes a block's reads come down to."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ups_data.batch import Wanted as WantedReads
from ups_data.batch.frames import joined_chunks
from ups_data.reading.pool import Chunk, Pool
from ups_data.store.arrays.direct import DirectArray
from ups_data.store.object_store import Wanted


class BlockReads:
    """The chunks that a block reads, and the ranges that they lie in.

    Attributes:
        pooled: those that it finds in the pool, or decodes into it.

    Args:
        wanted: what `wanted(block, draws)` lists, for each set of points.

    Raises:
        UpsDataError: an object is missing, or its index is damaged: all are opened here.
    """

    def __init__(self, wanted: Sequence[WantedReads]) -> None:
        reads = [read for of_set in wanted for read in of_set.reads]
        self._kept, self._past = (
            [
                (array, numbers, _ranges(array, numbers))
                for array, numbers in joined_chunks([c for read in reads if read.past == past for c in read.chunks])
                if isinstance(array, DirectArray)
            ]
            for past in (False, True)
        )
        self.pooled: list[Chunk] = [(array, number) for array, numbers, _ in self._kept for number in numbers.tolist()]

    def left(self, pool: Pool, fetching: set[Chunk]) -> tuple[list[Wanted], list[Chunk]]:
        """The ranges that are to be fetched, and the chunks in them that come into the pool.

        Args:
            pool: what it has decoded is not fetched.
            fetching: chunks that are being fetched for earlier blocks, which decode them into the pool.
        """
        ranges = [part for _, _, parts in self._past for part in parts]
        fresh: list[Chunk] = []
        for array, numbers, parts in self._kept:
            left = [n for n in pool.lacking(array, numbers).tolist() if (array, n) not in fetching]
            fresh += [(array, number) for number in left]
            ranges += parts if len(left) == len(numbers) else _ranges(array, np.array(left, np.int64))
        return ranges, fresh


def _ranges(array: DirectArray, numbers: NDArray[np.int64]) -> list[Wanted]:
    return [part for part in array.ranges(numbers) if len(part[1])] if len(numbers) else []
