"""A table of a shard: a small zarr array of numbers, of which zarr sees only bytes that were compared with the seal.

What the writer writes is read here: zarr takes several turns of its event loop's thread for each table, and a shard's
first touch waits for its tables.
"""

import math

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.schema import limits
from ups_data.store.arrays import codecs
from ups_data.store.arrays.metadata import ARRAY, object_name, parsed
from ups_data.store.object_store import AGAIN
from ups_data.store.seal import Seal


def read_table(seal: Seal, name: str, shape: tuple[int, ...], *, where: str) -> np.ndarray:
    """The array `name` of a shard, float64, whole.

    Raises:
        UpsDataError: a file of it is missing or damaged, or it is not of that shape.
    """
    files = {file.removeprefix(f"{name}/"): seal.files[file][0] for file in seal.names(name)}
    if ARRAY not in files:
        raise UpsDataError(f"{where}: is missing; {AGAIN}")
    metadata = parsed(seal.read(f"{name}/{ARRAY}", where=where), seal.name(f"{name}/{ARRAY}"), where)
    if metadata.get("shape") != list(shape) or metadata.get("data_type") != "float64":
        found = f"{metadata.get('data_type')} {metadata.get('shape')}"[:100]
        raise UpsDataError(f"{where}: holds {found}, the manifest says float64 {list(shape)}; {AGAIN}")
    _check_plain(metadata, shape, sum(files.values()), where)
    stored = {file: seal.read(f"{name}/{file}", where=where, limit=limits.TABLE_BYTES) for file in files}
    table = _in_one_chunk(metadata, stored, shape)
    if table is not None:
        return table
    # Late, as in `open_array`: what the writer writes does not come here.
    import zarr
    from zarr.core.buffer import default_buffer_prototype
    from zarr.storage import MemoryStore

    buffer = default_buffer_prototype().buffer.from_bytes
    store = MemoryStore({file: buffer(data) for file, data in stored.items()})
    try:
        return np.asarray(zarr.open_array(store, mode="r")[...])
    except Exception as error:  # whatever zarr finds wrong
        line = " ".join(str(error).split())
        raise UpsDataError(f"{where}: {type(error).__name__}: {line}; {AGAIN}") from None


def _in_one_chunk(metadata: dict[str, object], stored: dict[str, bytes], shape: tuple[int, ...]) -> np.ndarray | None:
    """The table if it is to the letter what the writer writes, in one chunk that is intact; else None: zarr knows."""
    written = {
        "zarr_format": 3,
        "node_type": "array",
        "data_type": "float64",
        "shape": list(shape),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shape)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "fill_value": 0.0,
        "attributes": {},
        "storage_transformers": [],
        "dimension_names": metadata.get("dimension_names"),
    }
    chunk = stored.get(object_name(0, len(shape)), b"")
    body, checksum = chunk[: -codecs.CHECKSUM_BYTES], chunk[-codecs.CHECKSUM_BYTES :]
    if metadata != written or len(body) != 8 * math.prod(shape) or codecs.checksum(body) != checksum:
        return None
    return np.frombuffer(body, "<f8").astype(np.float64).reshape(shape)


def _check_plain(metadata: dict[str, object], shape: tuple[int, ...], stored: int, where: str) -> None:
    """Its numbers as they are, with a checksum behind each chunk, and no chunk missing: what the writer writes. Such an
    array is as large as its files are, so nothing is allocated on the word of its metadata."""
    codecs = metadata.get("codecs")
    names = [c.get("name") if isinstance(c, dict) else None for c in codecs] if isinstance(codecs, list) else []
    try:
        lengths = list(metadata["chunk_grid"]["configuration"]["chunk_shape"])  # type: ignore[index]
    except (KeyError, TypeError):
        lengths = []
    chunk = 8 * math.prod(lengths) if lengths and all(isinstance(n, int) for n in lengths) else 0
    plain = names == ["bytes", "crc32c"] and stored <= limits.TABLE_BYTES
    if not plain or 8 * math.prod(shape) > stored or not 0 < chunk <= stored:
        raise UpsDataError(f"{where}: is not stored plainly and whole; make the dataset again")
