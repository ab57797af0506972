"""`QueryBatch` and `query_collate`: from samples to what a training step receives."""

from ups_data.batch.collate import collate_block, draw_block, query_collate
from ups_data.batch.frames import Frames, Positions, Stored
from ups_data.batch.pieces import Pieces
from ups_data.batch.samples import Recipe, Sample, SampleBlock
from ups_data.batch.types import EncoderInput, QueryBatch, QuerySet

__all__ = [
    "EncoderInput",
    "Frames",
    "Pieces",
    "Positions",
    "QueryBatch",
    "QuerySet",
    "Recipe",
    "Sample",
    "SampleBlock",
    "Stored",
    "collate_block",
    "draw_block",
    "query_collate",
]
