"""`QueryBatch` and `query_collate`: from samples to what a training step receives.

Reads are data. A block of samples is drawn from, its reads are listed, somebody makes them, and the batch is gathered:

    draws = draw(block)
    reads = wanted(block, draws)       # stored arrays and chunk numbers, nothing is read yet
    fetched = pool.fetch(reads)        # now, or long before
    batch = gather(block, draws, fetched)
"""

from ups_data.batch.collate import collate_block, query_collate
from ups_data.batch.drawing import draw
from ups_data.batch.frames import Frames, Measure, PackedPieces, Pieces, Positions, Read, Stored
from ups_data.batch.gathering import gather
from ups_data.batch.listing import wanted
from ups_data.batch.samples import Recipe, Sample, SampleBlock
from ups_data.batch.types import EncoderInput, QueryBatch, QuerySet
from ups_data.batch.wanted import Fetched, Wanted

__all__ = [
    "EncoderInput",
    "Fetched",
    "Frames",
    "Measure",
    "PackedPieces",
    "Pieces",
    "Positions",
    "QueryBatch",
    "QuerySet",
    "Read",
    "Recipe",
    "Sample",
    "SampleBlock",
    "Stored",
    "Wanted",
    "collate_block",
    "draw",
    "gather",
    "query_collate",
    "wanted",
]
