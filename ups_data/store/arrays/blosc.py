"""Chunks of blosc from anywhere: what their headers claim is compared with what is there before blosc decodes them.

blosc (c-blosc 1.21, by numcodecs) is given a chunk without its length, and believes the header: one that claims more
bytes than there are makes it read beyond them, which ends the process or serves other memory. Format: c-blosc's
README_CHUNK_FORMAT.rst.
"""

import math
from functools import lru_cache

import numpy as np
from numcodecs.blosc import Blosc
from zarr.codecs import BloscCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer

HEADER_BYTES = 16
STORED, LIMITS = 2, 2**31 - 1  # flag: not compressed; the most that blosc compresses at once
SLACK = 64 * 1024  # of a codec that was applied before blosc


@lru_cache
def encoder(codec: str, level: int) -> Blosc:
    """blosc with a codec inside."""
    return Blosc(cname=codec, clevel=level, shuffle=Blosc.SHUFFLE)


def decode(body: memoryview, out: np.ndarray) -> None:
    """Decode a chunk into all of `out`, `(n,)` uint8.

    Raises:
        ValueError, RuntimeError: the chunk is damaged, or is not as long as `out`.
    """
    copy = bytes(body)  # a file that is mapped may change after it was looked at
    if _claimed(copy) != out.nbytes:
        raise ValueError(f"a chunk of {_claimed(copy):,} bytes in the place of one of {out.nbytes:,}")
    encoder("lz4", 1).decode(copy, out)  # the header says which codec is inside


def _claimed(chunk: bytes) -> int:
    """The decoded size of a chunk, whose header claims nothing that is not there.

    Raises:
        ValueError: it does.
    """
    if len(chunk) < HEADER_BYTES:
        raise ValueError(f"a blosc chunk of {len(chunk)} bytes is shorter than its header")
    size, block, length = np.frombuffer(chunk, "<u4", 3, 4).tolist()
    flags, width = chunk[2], chunk[3]
    sound = length == len(chunk) and size <= LIMITS and width > 0
    if sound and flags & STORED:
        sound = length == size + HEADER_BYTES
    elif sound and size > 0:
        sound = 0 < block <= size
        blocks = -(-size // block) if sound else 0
        first = HEADER_BYTES + 4 * blocks
        sound = sound and first <= length
        if sound:
            starts = np.frombuffer(chunk, "<u4", blocks, HEADER_BYTES)
            sound = bool(((starts >= first) & (starts <= length - 4)).all())
    if not sound:
        raise ValueError("the header of a blosc chunk claims what is not there")
    return size


class CheckedBlosc(BloscCodec):
    """zarr's blosc, of chunks that were looked at."""

    def _looked_at(self, chunk: Buffer, spec: ArraySpec) -> Buffer:
        copy = chunk.to_bytes()
        most = math.prod(spec.shape) * spec.dtype.to_native_dtype().itemsize + SLACK
        if _claimed(copy) > most:
            raise ValueError(f"a chunk of {_claimed(copy):,} bytes in the place of one of at most {most:,}")
        return spec.prototype.buffer.from_bytes(copy)

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        return await super()._decode_single(self._looked_at(chunk_bytes, chunk_spec), chunk_spec)
