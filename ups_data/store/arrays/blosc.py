"""Chunks of blosc from anywhere: what their headers claim is compared with what is there before blosc decodes them.

See `ups_data.schema.blosc_header`.
"""

import math
from functools import lru_cache

import numpy as np
from numcodecs.blosc import Blosc
from zarr.codecs import BloscCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer

from ups_data.schema.blosc_header import claimed_size

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
    if claimed_size(copy) != out.nbytes:
        raise ValueError(f"a chunk of {claimed_size(copy):,} bytes in the place of one of {out.nbytes:,}")
    encoder("lz4", 1).decode(copy, out)  # the header says which codec is inside


class CheckedBlosc(BloscCodec):
    """zarr's blosc, of chunks that were looked at."""

    def _looked_at(self, chunk: Buffer, spec: ArraySpec) -> Buffer:
        copy = chunk.to_bytes()
        most = math.prod(spec.shape) * spec.dtype.to_native_dtype().itemsize + SLACK
        if claimed_size(copy) > most:
            raise ValueError(f"a chunk of {claimed_size(copy):,} bytes in the place of one of at most {most:,}")
        return spec.prototype.buffer.from_bytes(copy)

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        return await super()._decode_single(self._looked_at(chunk_bytes, chunk_spec), chunk_spec)
