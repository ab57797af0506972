"""Reading stored arrays whole, by every way there is."""

from pathlib import Path

import numpy as np
import zarr

from ups_data.schema import Manifest
from ups_data.store.arrays.direct import DirectArray
from ups_data.store.arrays.stored import StoredArray
from ups_data.store.arrays.through_zarr import ZarrArray
from ups_data.store.shard import Shard


def rows_of(array: StoredArray) -> np.ndarray:
    """All rows, from their chunks: row chunk by row chunk, block by block."""
    chunks = -(-array.shape[0] // array.chunk_rows)
    blocks = [
        np.concatenate([array.chunk(r * array.blocks + b) for b in range(array.blocks)], axis=1) for r in range(chunks)
    ]
    return np.concatenate(blocks)[: array.shape[0]]


def agreed(array: StoredArray, path: Path) -> np.ndarray:
    """All rows of an array that the direct reader serves; zarr, with this project's reader and alone, agrees."""
    assert isinstance(array, DirectArray)
    direct, through_zarr = rows_of(array), rows_of(ZarrArray(path, where="test"))
    plain = zarr.open_array(path, mode="r")[...]
    assert direct.tobytes() == through_zarr.tobytes() == plain.tobytes()
    return direct


def shards_of(root: Path, split: str = "train") -> list[Shard]:
    manifest = Manifest.load(root)
    return [Shard(root, manifest, spec) for spec in manifest.splits[split].shards]


def stored(root: Path, split: str, field: str) -> np.ndarray:
    """A split's rows of a field, as stored."""
    return np.concatenate([agreed(s.field(field), s.path / "fields" / field) for s in shards_of(root, split)])
