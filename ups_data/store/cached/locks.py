"""Locks on bytes of a file, which the kernel takes back from a process that is killed: none is ever left behind.

They are open file description locks (`man fcntl`, F_OFD_SETLK): they belong to one opening of the file, so threads that
share an opening do not exclude one another.
"""

import errno
import fcntl
import os
import struct
import time

_BUSY = (errno.EAGAIN, errno.EACCES)
_SET = getattr(fcntl, "F_OFD_SETLK", 37)
TICK = 0.002  # seconds between two tries


def try_lock(file: int, byte: int, *, shared: bool = False) -> bool:
    """Lock one byte of an open file, if nobody else has it."""
    try:
        _set(file, fcntl.F_RDLCK if shared else fcntl.F_WRLCK, byte)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise
    return True


def lock(file: int, byte: int, *, shared: bool = False, seconds: float = 60.0) -> bool:
    """Lock one byte, and wait for it if others have it; False if they still have it after so many seconds."""
    until = time.monotonic() + seconds
    while not try_lock(file, byte, shared=shared):
        if time.monotonic() > until:
            return False
        time.sleep(TICK)
    return True


def unlock(file: int, byte: int) -> None:
    """Give a byte back."""
    _set(file, fcntl.F_UNLCK, byte)


def _set(file: int, kind: int, byte: int) -> None:
    fcntl.fcntl(file, _SET, struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0))
