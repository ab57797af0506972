"""What a zarr array's metadata say about its chunks, where they are those that `ArrayWriter` writes."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.schema.texts.json_text import parse_json
from ups_data.store.arrays import codecs

ARRAY = "zarr.json"  # the file that makes a folder an array or a group
MASKS = "masks"  # the group of which points count
IMPORTANCE = "importance"  # the group of the importance of tiles
ABSENT = np.uint64(2**64 - 1)  # offset and length of a chunk that an object does not hold


@dataclass(frozen=True)
class DirectLayout:
    """An array that the direct reader serves.

    Attributes:
        chunk_shape: rows, slots of a block (or a grid's first axis), and what else a row has.
        object_rows: rows of chunks of an object.
        fill: of absent chunks.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    chunk_shape: tuple[int, ...]
    object_rows: int
    codec: str
    fill: float

    @property
    def blocks(self) -> int:
        """Blocks of a row: chunks beside each other."""
        return blocks_of(self.shape, self.chunk_shape)[0]

    @property
    def block_points(self) -> int:
        """Slots of a block."""
        return blocks_of(self.shape, self.chunk_shape)[1]


def blocks_of(shape: tuple[int, ...], chunk_shape: tuple[int, ...]) -> tuple[int, int]:
    """Blocks of a row, and slots of a block."""
    return shape[1] // chunk_shape[1], math.prod(chunk_shape[1:-1]) if len(shape) > 2 else chunk_shape[1]


def direct_layout(metadata: dict[str, Any]) -> DirectLayout | None:
    """The layout of an array that `ArrayWriter` could have written; None for any other."""
    try:
        shape, dtype = tuple(metadata["shape"]), np.dtype(metadata["data_type"])
        object_shape = tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"])
        (sharding,) = metadata["codecs"]
        inner = sharding["configuration"]
        chunk_shape = tuple(inner["chunk_shape"])
        names = [c["name"] for c in inner["codecs"]]
        codec = inner["codecs"][1]["configuration"]["cname"] if names == ["bytes", "blosc", "crc32c"] else "none"
        fill = float(metadata["fill_value"])
        if not (
            metadata["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "/"}}
            and len(shape) == len(object_shape) == len(chunk_shape) >= 2
            and all(isinstance(n, int) and n > 0 for n in (*shape, *object_shape, *chunk_shape))
            and shape[1:] == object_shape[1:]
            and shape[2:] == chunk_shape[2:]
            and shape[1] % chunk_shape[1] == 0
            and object_shape[0] % chunk_shape[0] == 0
            and sharding["name"] == "sharding_indexed"
            and inner["index_location"] == "end"
            and [c["name"] for c in inner["index_codecs"]] == ["bytes", "crc32c"]
            and names in (["bytes", "crc32c"], ["bytes", "blosc", "crc32c"])
            and inner["codecs"][0]["configuration"]["endian"] == "little"
            and codec in codecs.CODECS
            and dtype.kind in "fiu"
            and metadata["chunk_grid"]["name"] == "regular"
        ):
            return None
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    return DirectLayout(shape, dtype, chunk_shape, object_shape[0] // chunk_shape[0], codec, fill)


def array_name(metric: str, set_name: str | None) -> str:
    """Where a shard holds the importance of a set of points (None: a grid, or the only set)."""
    return f"{IMPORTANCE}/{metric}" if set_name is None else f"{IMPORTANCE}/{set_name}/{metric}"


def mask_name(set_name: str | None) -> str:
    """Where a shard holds which points of a set (None: a grid, or the only set) count."""
    return f"{MASKS}/counted" if set_name is None else f"{MASKS}/{set_name}/counted"


def mask_table(set_name: str | None) -> str:
    """The table of which of these masks each frame has."""
    return "trajectories/mask" if set_name is None else f"trajectories/mask_{set_name}"


def object_name(number: int, axes: int) -> str:
    """The file of an object, in the folder of its array."""
    return "/".join(["c", str(number), *["0"] * (axes - 1)])


def parsed(text: bytes, name: str, where: str) -> dict[str, Any]:
    """JSON of an object, which messages call `name`.

    Raises:
        UpsDataError: it is something else.
    """
    try:
        found = parse_json(text)
    except ValueError as e:
        raise UpsDataError(f"{where}: {name} is damaged ({e}); copy or make the dataset again") from None
    if not isinstance(found, dict):
        raise UpsDataError(f"{where}: {name} is damaged (no JSON object); copy or make the dataset again")
    return found


# Codecs of zarr v3 that turn bytes into bytes or numbers, and do nothing else.
HARMLESS = {"bytes", "transpose", "blosc", "zstd", "gzip", "crc32c", "sharding_indexed"}


def codec_names(metadata: Any) -> set[str]:
    """The names of all codecs, of those inside a sharding codec too."""
    found: set[str] = set()
    if isinstance(metadata, dict):
        for key, value in metadata.items():
            if key in ("codecs", "index_codecs") and isinstance(value, list):
                found |= {str(codec.get("name") if isinstance(codec, dict) else codec) for codec in value}
            found |= codec_names(value)
    elif isinstance(metadata, list):
        for value in metadata:
            found |= codec_names(value)
    return found
