"""The codecs that the direct reader and writer serve, named as the manifest names them.

A stored chunk is its little-endian bytes, compressed by blosc unless the codec is `none`, followed by the crc32c of
what precedes. The zarr metadata says the same in zarr's words, so that any zarr v3 implementation reads the array.
"""

from collections.abc import Callable, Sequence

import crc32c
import numpy as np
from numpy.typing import NDArray

from ups_data import _native as built
from ups_data.store.arrays import blosc
from ups_data.store.object_store import Ranges

# Levels are blosc's; shuffling bytes of equal significance together is what makes floats compress at all.
LEVELS = {"lz4": 5, "zstd": 5}
CODECS = ("none", *LEVELS)
CHECKSUM_BYTES = 4
PIECE_BYTES = 4 * 1024**2  # that are compared with their checksums before their memory is let go


def encoded(codec: str, chunk: np.ndarray) -> tuple[bytes | memoryview, bytes]:
    """The body of one stored chunk from a C-contiguous array, and the checksum behind it; without a copy if it is not
    compressed."""
    if codec == "none":
        raw = chunk.reshape(-1).view(np.uint8).data
        return raw, checksum(raw)
    body = blosc.encoder(codec, LEVELS[codec]).encode(chunk)
    return body, checksum(body)


def checksum(body: bytes | memoryview) -> bytes:
    """The crc32c of a chunk's body, as zarr stores it behind the body: 4 bytes, little-endian."""
    return crc32c.crc32c(body).to_bytes(4, "little")


def checksums(
    stored: Sequence[memoryview], passed: Callable[[], None] = lambda: None
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The crc32c of each chunk's body, and the one that is stored behind it.

    Args:
        passed: called after every `PIECE_BYTES` or so.
    """
    crcs, since = [], 0
    for chunk in stored:
        crc = 0
        for start in range(0, len(chunk) - CHECKSUM_BYTES, PIECE_BYTES):
            piece = chunk[start : min(start + PIECE_BYTES, len(chunk) - CHECKSUM_BYTES)]
            crc, since = crc32c.crc32c(piece, crc), since + len(piece)
            if since >= PIECE_BYTES:
                passed()
                since = 0
        crcs.append(crc)
    behind = b"".join([chunk[-CHECKSUM_BYTES:] for chunk in stored])
    return np.array(crcs, np.uint32), np.frombuffer(behind, "<u4")


def joined(parts: Sequence[Ranges]) -> Ranges:
    """The chunks of one after another."""
    if len(parts) == 1:
        return parts[0]
    first = np.cumsum([0, *(len(p.buffers) for p in parts[:-1])])
    return Ranges(
        buffers=[buffer for p in parts for buffer in p.buffers],
        buffer=np.concatenate([p.buffer + f for p, f in zip(parts, first, strict=True)]),
        offset=np.concatenate([p.offset for p in parts]),
        length=np.concatenate([p.length for p in parts]),
    )


def decode(
    codec: str,
    stored: Ranges,
    outs: list[np.ndarray],
    out: NDArray[np.int64],
    place: NDArray[np.int64],
    size: int,
    *,
    past: bool = False,
) -> None:
    """Decompress chunks straight to where they are wanted: chunk i into the `size` bytes from byte `place[i]` of
    `outs[out[i]]` on, bytes that are `(n,)` uint8.

    Args:
        past: they are not read again soon.

    Raises:
        ValueError, RuntimeError: a chunk is damaged, or is not of that size.
    """
    done = 0
    while done < len(stored):
        if codec == "lz4" and built.native is not None:
            left = stored.part(slice(done, None))
            done += built.native.decode_lz4(
                left.buffers, left.buffer, left.offset, left.length, outs, out[done:], place[done:], size, past
            )
        if done < len(stored):  # another codec, or a chunk that is not of lz4
            memory = outs[out[done]][place[done] : place[done] + size]
            if codec == "none":
                memory[:] = np.frombuffer(stored.body(done), np.uint8, size)
            else:
                blosc.decode(stored.body(done), memory)
            done += 1


def decoded_bytes(body: memoryview) -> int:
    """The decoded size that a blosc chunk claims in its header."""
    return int.from_bytes(body[4:8], "little")
