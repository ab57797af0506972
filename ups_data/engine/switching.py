"""How long a thread holds the interpreter lock against others that wait for it.

CPython lets go of the lock after 5 ms at the latest, and a thread that returns from a call of a few microseconds takes
it back before a waiting one has woken up. Threads that copy in such calls then run one at a time. Measured on two
cores, 64³ frames in lz4: 805 samples/s with 5 ms, 940 with 0.1 ms.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SWITCH_SECONDS = 1e-4

_lock = threading.RLock()  # a signal's handler, or the end of an abandoned pass, may come in between
_passes = 0
_before = 0.0


@contextmanager
def quick_switching() -> Iterator[None]:
    """Shorten the interval for as long as any loader's threads are at work; a shorter one is left alone."""
    global _passes, _before
    with _lock:
        if _passes == 0:
            _before = sys.getswitchinterval()
            sys.setswitchinterval(min(_before, SWITCH_SECONDS))
        _passes += 1
    try:
        yield
    finally:
        with _lock:
            _passes -= 1
            if _passes == 0:
                sys.setswitchinterval(_before)
