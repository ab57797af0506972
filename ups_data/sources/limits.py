"""What a source file may claim at most: it may come from anywhere, so nothing is allocated on its word alone.

A file that claims more than these, and more than the bytes in it can hold, is refused before it is read. Whoever means
it raises `SourceOptions.expansion` (`--max-expansion`).
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError

# Decoded bytes for each byte of a file. Fields of simulations compress by 1 to 20, empty space by a hundred; a bomb of
# zeros by a thousand (deflate) to a million (zstd).
EXPANSION = 200.0
# A claim of no more than this is believed without a comparison: decoded bytes.
BELIEVED = 256 * 1024**2
# Trajectories of a source. Each takes a few hundred bytes while a conversion is planned.
TRAJECTORIES = 10**7
# Bytes of a line of text, and of the header of a mesh.
LINE_BYTES = 64 * 1024
HEADER_BYTES = 1024**2
# Text that is parsed as a whole: metadata of zarr, notes beside particles.
TEXT_BYTES = 16 * 1024**2


def check_claim(where: Path | str, what: str, claimed: int, there: int, expansion: float = EXPANSION) -> None:
    """Compare what a file claims to decode to with the bytes that it has.

    Args:
        what: that claims, for the message.
        claimed: decoded bytes.
        there: bytes in the file.

    Raises:
        UpsDataError: it claims more than it can be believed to hold.
    """
    if claimed > BELIEVED and claimed > expansion * there:
        raise UpsDataError(
            f"{where}: {what} claims {_size(claimed)}, more than {expansion:g} times the {_size(there)} there: "
            "correct the file, or raise --max-expansion if it is meant"
        )


def check_holes(path: Path, expansion: float = EXPANSION) -> None:
    """Compare a file's length with what it takes on the disk, before it is read as a whole: holes take nothing there.

    Raises:
        UpsDataError: it is far longer.
    """
    status = path.stat()
    check_claim(path, "its length", status.st_size, status.st_blocks * 512, expansion)


def claimed_bytes(shape: Sequence[int], dtype: Any) -> int:
    """Of an array, in whole numbers of any size."""
    return math.prod(int(n) for n in shape) * np.dtype(dtype).itemsize


def check_count(where: Path | str, count: int) -> None:
    """Refuse more trajectories than can be planned.

    Raises:
        UpsDataError: there are more than TRAJECTORIES.
    """
    if count > TRAJECTORIES:
        raise UpsDataError(
            f"{where}: claims {count:,} trajectories, at most {TRAJECTORIES:,} are read: split it, or correct it"
        )


def _size(count: int) -> str:
    return f"{count:,} bytes" if count < 10**6 else f"{count / 1e6:,.0f} MB"
