"""What a store is told of the reads to come."""

from ups_data.batch import Wanted
from ups_data.reading.pool import Pool
from ups_data.store.arrays.direct import DirectArray
from ups_data.store.object_store import Wanted as Range


def ranges_of(wanted: Wanted, pool: Pool) -> list[Range]:
    """The ranges of objects that a block's reads are going to take, but for chunks that the pool holds decoded.

        store.ahead(ranges_of(wanted(block, draws), pool))

    Arrays that zarr reads are left out: which ranges it takes is its own affair.

    Raises:
        UpsDataError: an object is missing, or its index is damaged.
    """
    ranges: list[Range] = []
    for array, numbers in wanted.chunks():
        if isinstance(array, DirectArray):
            lacking = numbers if array.mapped else pool.lacking(array, numbers)
            if len(lacking):
                ranges += array.ranges(lacking)
    return ranges
