"""Holes in files: what is taken out of a sparse file gives its room back."""

import ctypes
import os

KEEP_SIZE, PUNCH_HOLE = 1, 2  # linux/falloc.h
BLOCK = 4096  # bytes that a file system hands out at once, on nearly all of them

_libc = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None


def punch(file: int, start: int, stop: int) -> None:
    """Take bytes start to stop - 1 out of an open file: they are zeros then, and take no room.

    Raises:
        OSError: the file system has no holes.
    """
    punches = getattr(_libc, "fallocate64", None) or getattr(_libc, "fallocate", None)
    if punches is None:
        raise OSError("this system cannot punch holes into files")
    offset, length = ctypes.c_int64(start), ctypes.c_int64(stop - start)
    if punches(ctypes.c_int(file), ctypes.c_int(KEEP_SIZE | PUNCH_HOLE), offset, length):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def room(start: int, stop: int) -> int:
    """Bytes that a range takes on the disk at most: whole blocks."""
    return -(-stop // BLOCK) * BLOCK - start // BLOCK * BLOCK
