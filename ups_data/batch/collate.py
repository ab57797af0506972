"""From samples to a batch in one go: draw, list the reads, make them, gather."""

from collections.abc import Sequence

from ups_data.batch.drawing import draw
from ups_data.batch.gathering import gather
from ups_data.batch.listing import wanted
from ups_data.batch.samples import Sample, SampleBlock, stack
from ups_data.batch.types import QueryBatch
from ups_data.batch.wanted import Fetched


def query_collate(samples: Sequence[Sample]) -> QueryBatch:
    """Make a batch of samples of one `QueryDataset` and one epoch.

    Raises:
        UpsDataError: the sampling asks for more points than there are, or stored bytes are damaged.
    """
    return collate_block(stack(samples))


def collate_block(block: SampleBlock) -> QueryBatch:
    """Make a batch of all samples of a block."""
    draws = draw(block)
    reads, pool = wanted(block, draws), block.recipe.pool
    return gather(block, draws, Fetched(reads, {}) if pool is None else pool.fetch(reads))
