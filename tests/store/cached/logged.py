"""A store that is read through a cache in tests: files that are never mapped, and a log of what was asked for."""

import gc
import re
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.store.reading import digests
from ups_data.store.cached.store import CachedStore
from ups_data.store.local import LocalStore


class LoggedStore(LocalStore):
    """The files below a folder; every range that is asked for is a line of `log`, whichever process asks."""

    zero_copy = False
    verify_once = False

    def __init__(self, root, log):
        super().__init__(root)
        self.log = Path(log)

    def get_ranges(self, wanted):
        lines = [
            f"{'#' if stop == opened.size else ''}{opened.key} {start} {stop}\n"
            for opened, starts, stops in wanted
            for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
        ]
        with open(self.log, "a") as file:  # one write
            file.write("".join(lines))
            file.flush()
        return self._read(wanted)

    def __reduce__(self):
        return LoggedStore, (self.root, self.log)


def asked(log) -> Counter:
    """How often each chunk was asked for. Indexes do not count: whoever opens an object reads its own."""
    return Counter(line for line in lines(log) if not line.startswith("#"))


def lines(log) -> list[str]:
    """All ranges that were asked for; those of indexes begin with `#`."""
    return Path(log).read_text().splitlines() if Path(log).exists() else []


def disk_bytes(folder) -> int:
    """What the mirrors take on the disk."""
    return sum(path.stat().st_blocks * 512 for path in Path(folder).rglob("*.data") if path.exists())


def fill(store: CachedStore, **options: Any) -> list[str]:
    """The digests of a dataset that is read through a cache, once the threads that still fill it for the next epoch
    have ended."""
    before = set(threading.enumerate())
    found = digests(store, **options)
    store.close()
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        if re.match(r"ups_data_(cache_)?\d", thread.name):
            for _ in range(30):  # what a thread has at hand is garbage only when it is done with it
                gc.collect()
                with suppress(RuntimeError):  # it is only just being started
                    thread.join(1)
            assert not thread.is_alive()
    return found
