"""A table of a shard: a small zarr array of numbers, of which zarr sees only bytes that were compared with the seal."""

import math

import numpy as np
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from ups_data import limits
from ups_data.errors import UpsDataError
from ups_data.shards.metadata import ARRAY, parsed
from ups_data.shards.seal import AGAIN, Seal


def read_table(seal: Seal, name: str, shape: tuple[int, ...], *, where: str) -> np.ndarray:
    """The array `name` of a shard, float64, whole.

    Raises:
        UpsDataError: a file of it is missing or damaged, or it is not of that shape.
    """
    files = {file.removeprefix(f"{name}/"): seal.files[file][0] for file in seal.names(name)}
    if ARRAY not in files:
        raise UpsDataError(f"{where}: is missing; {AGAIN}")
    metadata = parsed(seal.read(f"{name}/{ARRAY}", where=where), seal.shard / name / ARRAY, where)
    if metadata.get("shape") != list(shape) or metadata.get("data_type") != "float64":
        found = f"{metadata.get('data_type')} {metadata.get('shape')}"[:100]
        raise UpsDataError(f"{where}: holds {found}, the manifest says float64 {list(shape)}; {AGAIN}")
    _check_plain(metadata, shape, sum(files.values()), where)
    buffer = default_buffer_prototype().buffer.from_bytes
    stored = {file: buffer(seal.read(f"{name}/{file}", where=where, limit=limits.TABLE_BYTES)) for file in files}
    try:
        return np.asarray(zarr.open_array(MemoryStore(stored), mode="r")[...])
    except Exception as error:  # whatever zarr finds wrong
        line = " ".join(str(error).split())
        raise UpsDataError(f"{where}: {type(error).__name__}: {line}; {AGAIN}") from None


def _check_plain(metadata: dict[str, object], shape: tuple[int, ...], stored: int, where: str) -> None:
    """Its numbers as they are, with a checksum behind each chunk, and no chunk missing: what the writer writes. Such an
    array is as large as its files are, so nothing is allocated on the word of its metadata."""
    codecs = metadata.get("codecs")
    names = [c.get("name") if isinstance(c, dict) else None for c in codecs] if isinstance(codecs, list) else []
    try:
        chunk = 8 * math.prod(metadata["chunk_grid"]["configuration"]["chunk_shape"])  # type: ignore[index]
    except (KeyError, TypeError):
        chunk = 0
    plain = names == ["bytes", "crc32c"] and stored <= limits.TABLE_BYTES
    if not plain or 8 * math.prod(shape) > stored or not 0 < chunk <= stored:
        raise UpsDataError(f"{where}: is not stored plainly and whole; make the dataset again")
