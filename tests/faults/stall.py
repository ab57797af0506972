"""A program that stalls says where all its threads are, and ends."""

import faulthandler
import os
import sys
import threading
import time

STALL_SECONDS = 120.0
TICK = 1.0  # seconds; time in which this process does not run, as when it is suspended, counts as one tick at most


class Watch:
    """Ends the process with status 1 if `alive` is not called for so many seconds in which it runs."""

    def __init__(self, seconds: float = STALL_SECONDS) -> None:
        self._seconds, self._waited = seconds, 0.0
        threading.Thread(target=self._watch, name="stall-watch", daemon=True).start()

    def alive(self) -> None:
        self._waited = 0.0

    def _watch(self) -> None:
        while self._waited < self._seconds:
            time.sleep(TICK)
            self._waited += TICK
        print(f"nothing has happened for {self._seconds:g} s; all threads:", file=sys.stderr, flush=True)
        faulthandler.dump_traceback(all_threads=True)
        os._exit(1)
