"""The object that holds what opening the shards of a split takes: seals, metadata, tables and indexes.

A store far away answers in tens of milliseconds, so a thousand shards, each opened by itself, take a minute. The object
is `openings/SPLIT.bin`:

    header   16 bytes, and 48 for each shard: offset and length of its part (uint64, little-endian), SHA-256 of it
    parts    for each shard: the length of a listing (uint32), the listing (JSON: [name, offset, length], …), the bytes

A listed name is a file's in the shard; with `#` at its end it is the index at the end of that file. The object vouches
for nothing: what it holds is compared with the seals and the manifest as though it had come from the shards. So it may
be missing, damaged or older than the shards, and nothing worse happens than that these are asked.
"""

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence

import numpy as np

from ups_data.schema import limits
from ups_data.schema.texts.json_text import parse_json

MAGIC = b"ups_data opening"
ENTRY = struct.Struct("<QQ32s")
INDEX = "#"
LAST_BYTE = 2**62


def opening_key(split: str) -> str:
    """Where a split's object lies."""
    return f"openings/{split}.bin"


def header_bytes(shards: int) -> int:
    """Of an object of so many shards."""
    return len(MAGIC) + ENTRY.size * shards


def packed(shards: Sequence[Mapping[str, bytes]]) -> bytes:
    """The object of a split.

    Args:
        shards: name → bytes, in the manifest's order.
    """
    parts, header, at = [], [MAGIC], header_bytes(len(shards))
    for files in shards:
        part = _part(files)
        header.append(ENTRY.pack(at, len(part), hashlib.sha256(part).digest()))
        parts.append(part)
        at += len(part)
    return b"".join([*header, *parts])


def entries(header: bytes | memoryview, shards: int) -> list[tuple[int, int, bytes]] | None:
    """Offset, length and digest of each shard's part; None: the header is no such object's."""
    if len(header) < header_bytes(shards) or bytes(header[: len(MAGIC)]) != MAGIC:
        return None
    found = [ENTRY.unpack_from(header, len(MAGIC) + ENTRY.size * number) for number in range(shards)]
    # It may come from anywhere: a part is no longer than tables may be, and lies where an object can reach.
    believed = all(start <= LAST_BYTE and length <= limits.TABLE_BYTES for start, length, _ in found)
    return found if believed else None


def unpacked(part: bytes | memoryview, digest: bytes) -> dict[str, memoryview] | None:
    """Name → bytes of a shard's part; None: it is damaged."""
    if hashlib.sha256(part).digest() != digest:
        return None
    view = memoryview(part)
    try:
        (length,) = np.frombuffer(view[:4], "<u4").tolist()
        listing = parse_json(bytes(view[4 : 4 + length]))
        return {name: view[4 + length + start : 4 + length + start + size] for name, start, size in listing}
    except (ValueError, TypeError):
        return None


def _part(files: Mapping[str, bytes]) -> bytes:
    listing, at = [], 0
    for name, data in sorted(files.items()):
        listing.append([name, at, len(data)])
        at += len(data)
    text = json.dumps(listing, separators=(",", ":")).encode()
    return b"".join([struct.pack("<I", len(text)), text, *(data for _, data in sorted(files.items()))])
