"""What worker processes run: a maker of batches, pickled to each of them."""

from collections.abc import Iterator
from typing import Protocol

from ups_data.batch import QueryBatch
from ups_data.engine.stats import LoaderStats
from ups_data.reading.damage import DamagedSamples


class BatchMaker(Protocol):
    """Makes the batches of an epoch.

    Attributes:
        damaged: where damaged samples are noted; None: they are errors.
    """

    damaged: DamagedSamples | None

    def batches(self, epoch: int, first: int, stride: int) -> Iterator[QueryBatch]:
        """Batches first, first + stride, … of an epoch."""
        ...

    def stats(self) -> LoaderStats:
        """Totals of this process."""
        ...
