"""The header of a chunk of blosc: what it claims is compared with what is there before blosc decodes it.

blosc (c-blosc 1.21, by numcodecs) is given a chunk without its length, and believes the header: one that claims more
bytes than there are makes it read beyond them, which ends the process or serves other memory. Format: c-blosc's
README_CHUNK_FORMAT.rst.
"""

import numpy as np

HEADER_BYTES = 16
STORED, LIMITS = 2, 2**31 - 1  # flag: not compressed; the most that blosc compresses at once


def claimed_size(chunk: bytes) -> int:
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
