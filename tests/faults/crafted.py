"""Chunks whose bytes are crafted, in datasets whose checksums, seals and manifest all agree with them."""

from collections.abc import Callable
from pathlib import Path

import crc32c
import numpy as np

from tests.datasets import reseal

Craft = Callable[[bytes, np.random.Generator], bytes]


def rewrite(path: Path, chunks: int, craft: Callable[[bytes], bytes]) -> None:
    """Replace the body of every chunk of an object, with checksums and an index that fit."""
    data, length = path.read_bytes(), 16 * chunks + 4
    table = np.frombuffer(data[-length:-4], "<u8").reshape(-1, 2)
    out, index = b"", np.full_like(table, 2**64 - 1)
    for number, (offset, size) in enumerate(table.tolist()):
        if offset < 2**63:
            body = craft(data[offset : offset + size - 4])
            index[number] = len(out), len(body) + 4
            out += body + crc32c.crc32c(body).to_bytes(4, "little")
    out += index.tobytes() + crc32c.crc32c(index.tobytes()).to_bytes(4, "little")
    path.write_bytes(out)


def craft_fields(root: Path, chunks: int, craft: Callable[[bytes], bytes]) -> None:
    """Craft the chunks of every field, and seal the dataset as it then is."""
    for path in root.glob("train/*/fields/*/c/**/*"):
        if path.is_file():
            rewrite(path, chunks, craft)
    reseal(root)


def header(body: bytes, **fields: int) -> bytes:
    """A blosc chunk with fields of its header replaced."""
    data = bytearray(body)
    places = {"flags": (2, 1), "width": (3, 1), "size": (4, 4), "block": (8, 4), "length": (12, 4), "start": (16, 4)}
    for name, value in fields.items():
        place, size = places[name]
        data[place : place + size] = value.to_bytes(size, "little")
    return bytes(data)


def decoded(body: bytes) -> int:
    return int.from_bytes(body[4:8], "little")


FAR = 0x7000_0000


def long_stream(body: bytes) -> bytes:
    """The first block's first stream claims more bytes than the chunk has."""
    start = int.from_bytes(body[16:20], "little")
    return body[:start] + FAR.to_bytes(4, "little") + body[start + 4 :]


# What a header may claim. Each of them ends as an error.
KINDS: dict[str, Callable[[bytes], bytes]] = {
    "longer than it is": lambda b: header(b, length=FAR),
    "longer, its block far away": lambda b: header(b, length=FAR, start=FAR - 8),
    "its block far away": lambda b: header(b, start=FAR),
    "its block before the chunk": lambda b: header(b, start=2**32 - 64),
    "its block in the header": lambda b: header(b, start=0),
    "stored as it is, and short": lambda b: header(b, flags=b[2] | 2, length=decoded(b) + 16)[:20],
    "stored as it is, of a short length": lambda b: header(b, flags=b[2] | 2),
    "blocks of nothing": lambda b: header(b, block=0),
    "blocks of one byte": lambda b: header(b, block=1),
    "blocks beyond the chunk": lambda b: header(b, block=FAR),
    "numbers of no width": lambda b: header(b, width=0),
    "another codec": lambda b: header(b, flags=b[2] & 31 | 3 << 5),
    "no codec": lambda b: header(b, flags=b[2] | 7 << 5),
    "only a header": lambda b: header(b, length=16)[:16],
    "half a header": lambda b: b[:9],
    "bits shuffled, its block far away": lambda b: header(b, flags=b[2] & ~1 | 4, length=FAR, start=FAR - 8),
    "a stream that goes beyond": long_stream,
}
