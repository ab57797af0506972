"""Training points for neural operators: query subsets drawn in the data pipeline."""

from ups_data.batch import EncoderInput, QueryBatch, QuerySet, query_collate
from ups_data.coords import make_grid_coords
from ups_data.errors import UpsDataError
from ups_data.sampling import QuerySampling
from ups_data.shards.writer import ShardWriter
from ups_data.stream.dataset import QueryDataset
from ups_data.stream.loader import QueryLoader

__all__ = [
    "EncoderInput",
    "QueryBatch",
    "QueryDataset",
    "QueryLoader",
    "QuerySampling",
    "QuerySet",
    "ShardWriter",
    "UpsDataError",
    "make_grid_coords",
    "query_collate",
]
