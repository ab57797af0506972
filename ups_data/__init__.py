"""Training points for neural operators: query subsets drawn in the data pipeline.

What is named here is imported at its first use: a conversion and its workers do without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ups_data.batch import EncoderInput, QueryBatch, QuerySet, query_collate
    from ups_data.errors import UpsDataError
    from ups_data.loader.loader import QueryLoader
    from ups_data.loader.mixture import mix
    from ups_data.loader.webdataset import QueryDataset
    from ups_data.points.coords import make_grid_coords
    from ups_data.sampling import QuerySampling
    from ups_data.writing.writer import ShardWriter

_MODULES = {
    "EncoderInput": "batch",
    "QueryBatch": "batch",
    "QueryDataset": "loader.webdataset",
    "QueryLoader": "loader.loader",
    "QuerySampling": "sampling",
    "QuerySet": "batch",
    "ShardWriter": "writing.writer",
    "UpsDataError": "errors",
    "make_grid_coords": "points.coords",
    "mix": "loader.mixture",
    "query_collate": "batch",
}

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
    "mix",
    "query_collate",
]


if not TYPE_CHECKING:  # a checker is to know every name

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
