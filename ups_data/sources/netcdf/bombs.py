"""Chunks of zstd, gzip and others in zarr groups of both versions decode to what their array declares, or are refused.

A few bytes may claim terabytes, or decode to them. The size is bounded before memory is taken: in version 3 by the
chunk's declared size, in version 2, where a codec is not told that, as any claim (`ups_data.sources.limits`). For the
whole process, as in `ups_data.sources.netcdf.blosc`: chunks that are sound are decoded as ever.
"""

import asyncio
import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

import numcodecs
import numpy as np
from numcodecs.compat import ndarray_copy
from numcodecs.registry import register_codec as register_old
from zarr.codecs import GzipCodec, ZstdCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer
from zarr.registry import register_codec

from ups_data.sources.limits import BELIEVED, EXPANSION

# What a chunk may decode to beyond its array's bytes: checksums, and what other codecs add.
SPARE = 64 * 1024
ZSTD_MAGIC, ZSTD_BLOCK = b"\x28\xb5\x2f\xfd", 128 * 1024  # the most that a block decodes to


def zstd_size(chunk: bytes) -> int:
    """How many bytes chunks of zstd decode to, at most: as the frames say, or from their blocks' headers.

    Source: RFC 8878, sections 3.1.1 and 3.1.2. Whatever is no frame ends the count: the decoder says so.
    """
    at, size = 0, 0
    while chunk[at : at + 4] == ZSTD_MAGIC and at + 5 < len(chunk):
        flags = chunk[at + 4]
        single = flags >> 5 & 1
        wide = (1 if single else 0, 2, 4, 8)[flags >> 6]  # bytes of the content's size
        place = at + 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
        said = int.from_bytes(chunk[place : place + wide], "little") + (256 if wide == 2 else 0)
        at, most, last = place + wide, 0, 0
        while not last and at + 3 <= len(chunk):
            header = int.from_bytes(chunk[at : at + 3], "little")
            last, kind, length = header & 1, header >> 1 & 3, header >> 3
            most += ZSTD_BLOCK if kind == 2 else length
            at += 3 + (1 if kind == 1 else length)
        at += 4 * (flags >> 2 & 1)  # a checksum
        size += said if wide else most
    return size


def check_size(size: int, limit: int, there: int) -> None:
    """Raises ValueError if a chunk decodes to more than it may."""
    if size > limit:
        raise ValueError(f"a chunk of {there:,} bytes decodes to more than {limit:,}")


def inflated(start: Callable[[], Any], chunk: bytes, limit: int) -> bytes:
    """What a chunk decodes to: of one stream, or of one after the other.

    Args:
        start: makes a decompressor of the standard library.

    Raises:
        ValueError: it is longer than `limit`, or ends too early.
    """
    parts, left = [], limit + 1
    while chunk:
        decoder = start()
        parts.append(decoder.decompress(chunk, left))
        left -= len(parts[-1])
        check_size(limit + 1 - left, limit, len(chunk))
        if not decoder.eof:
            raise ValueError("a chunk ends too early")
        chunk = decoder.unused_data.lstrip(b"\0")
    return b"".join(parts)


def _believed(chunk: bytes) -> int:
    return int(max(BELIEVED, EXPANSION * len(chunk)))


def _bytes_of(buf: Any) -> bytes:
    return np.asarray(memoryview(buf)).tobytes()


class OldZstd(numcodecs.Zstd):
    """Of version 2."""

    def decode(self, buf: Any, out: Any = None) -> Any:
        """As numcodecs. Raises ValueError for a bomb."""
        chunk = _bytes_of(buf)
        check_size(zstd_size(chunk), _believed(chunk), len(chunk))
        return super().decode(chunk, out)


class OldLZ4(numcodecs.LZ4):
    """Of version 2."""

    def decode(self, buf: Any, out: Any = None) -> Any:
        """As numcodecs. Raises ValueError for a bomb."""
        chunk = _bytes_of(buf)
        check_size(int.from_bytes(chunk[:4], "little"), max(_believed(chunk), 256 * len(chunk)), len(chunk))
        return super().decode(chunk, out)


class OldGZip(numcodecs.GZip):
    """Of version 2."""

    def decode(self, buf: Any, out: Any = None) -> Any:
        """As numcodecs. Raises ValueError for a bomb."""
        chunk = _bytes_of(buf)
        return ndarray_copy(inflated(_gzip, chunk, _believed(chunk)), out)


class OldZlib(numcodecs.Zlib):
    """Of version 2."""

    def decode(self, buf: Any, out: Any = None) -> Any:
        """As numcodecs. Raises ValueError for a bomb."""
        chunk = _bytes_of(buf)
        return ndarray_copy(inflated(zlib.decompressobj, chunk, _believed(chunk)), out)


class OldBZ2(numcodecs.BZ2):
    """Of version 2."""

    def decode(self, buf: Any, out: Any = None) -> Any:
        """As numcodecs. Raises ValueError for a bomb."""
        chunk = _bytes_of(buf)
        return ndarray_copy(inflated(bz2.BZ2Decompressor, chunk, _believed(chunk)), out)


class OldLZMA(numcodecs.LZMA):
    """Of version 2."""

    def decode(self, buf: Any, out: Any = None) -> Any:
        """As numcodecs. Raises ValueError for a bomb."""
        chunk = _bytes_of(buf)

        def start() -> lzma.LZMADecompressor:
            return lzma.LZMADecompressor(format=self.format, filters=self.filters)

        return ndarray_copy(inflated(start, chunk, _believed(chunk)), out)


class NewZstd(ZstdCodec):
    """Of version 3."""

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        chunk = chunk_bytes.to_bytes()
        check_size(zstd_size(chunk), declared(chunk_spec), len(chunk))
        return await super()._decode_single(chunk_spec.prototype.buffer.from_bytes(chunk), chunk_spec)


class NewGzip(GzipCodec):
    """Of version 3."""

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        found = await asyncio.to_thread(inflated, _gzip, chunk_bytes.to_bytes(), declared(chunk_spec))
        return chunk_spec.prototype.buffer.from_bytes(found)


def declared(spec: ArraySpec) -> int:
    """The most that a chunk of an array may decode to; texts of any length as any claim."""
    dtype = spec.dtype.to_native_dtype()
    size = dtype.itemsize
    for length in spec.shape:
        size *= int(length)
    # a block of zstd whose frame does not say its size counts as a whole one
    return BELIEVED if dtype.hasobject else 2 * size + SPARE + 2 * ZSTD_BLOCK


def _gzip() -> Any:
    return zlib.decompressobj(31)


for _old in (OldZstd, OldLZ4, OldGZip, OldZlib, OldBZ2, OldLZMA):
    register_old(_old, _old.codec_id)
register_codec("zstd", NewZstd)
register_codec("gzip", NewGzip)
CODECS = {f"codecs.{name}": f"{c.__module__}.{c.__qualname__}" for name, c in (("zstd", NewZstd), ("gzip", NewGzip))}
