"""Chunks of blosc from anywhere: what their headers claim is compared with what is there before blosc decodes them.

See `ups_data.schema.blosc_header`.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from ups_data.schema.blosc_header import claimed_size


@lru_cache
def encoder(codec: str, level: int) -> Any:
    """numcodecs' blosc with a codec inside."""
    from numcodecs.blosc import Blosc  # late: raw chunks and those of lz4 are read without it

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
