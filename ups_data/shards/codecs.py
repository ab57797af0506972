"""The codecs that the direct reader and writer serve, named as the manifest names them.

A stored chunk is its little-endian bytes, compressed by blosc unless the codec is `none`, followed by the crc32c of
what precedes. The zarr metadata says the same in zarr's words, so that any zarr v3 implementation reads the array.
"""

from functools import lru_cache

import crc32c
import numpy as np
from numcodecs.blosc import Blosc
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, Crc32cCodec

from ups_data import native as built

# Levels are blosc's; shuffling bytes of equal significance together is what makes floats compress at all.
_LEVELS = {"lz4": 5, "zstd": 5}
CODECS = ("none", *_LEVELS)
CHECKSUM_BYTES = 4


def zarr_compressors(codec: str, itemsize: int) -> list[BytesBytesCodec]:
    """The codec as zarr's array metadata states it."""
    if codec == "none":
        return [Crc32cCodec()]
    return [BloscCodec(cname=codec, clevel=_LEVELS[codec], shuffle="shuffle", typesize=itemsize), Crc32cCodec()]  # type: ignore[arg-type]


@lru_cache
def _blosc(codec: str) -> Blosc:
    return Blosc(cname=codec, clevel=_LEVELS[codec], shuffle=Blosc.SHUFFLE)


def encode(codec: str, chunk: np.ndarray) -> bytes:
    """One stored chunk from a C-contiguous array."""
    body = chunk.tobytes() if codec == "none" else _blosc(codec).encode(chunk)
    return body + checksum(body)


def checksum(body: bytes | memoryview) -> bytes:
    return crc32c.crc32c(body).to_bytes(4, "little")


def decode(codec: str, body: memoryview, out: np.ndarray) -> None:
    """Decompress a stored chunk (without its checksum) straight into `out`, a C-contiguous array of its size.

    Raises:
        ValueError, RuntimeError: it is of another size, or damaged.
    """
    if codec == "none":
        out.reshape(-1).view(np.uint8)[...] = np.frombuffer(body, np.uint8)
        return
    if codec == "lz4" and built.native is not None and built.native.decode_lz4(body, out.reshape(-1).view(np.uint8)):
        return
    _blosc(codec).decode(body, out)


def decoded_bytes(body: memoryview) -> int:
    """The decoded size that a blosc chunk claims in its header."""
    return int.from_bytes(body[4:8], "little")
