"""What a store was asked for and what it delivered, counted as it happens."""

import threading
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class StoreCounts:
    """Totals of one process.

    Attributes:
        requests: that were sent, repeated ones counted in.
        fetched_bytes: that arrived in their answers, those of answers that nobody waited for any more left out.
        retries: requests that were sent again, after a failure or because the first one was far slower than others.
        cache_hits: chunks that a cache had, so that the store was not asked.
    """

    requests: int = 0
    fetched_bytes: int = 0
    retries: int = 0
    cache_hits: int = 0

    def __add__(self, other: "StoreCounts") -> "StoreCounts":
        return StoreCounts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


class Counter:
    """Totals that threads add to."""

    def __init__(self) -> None:
        self._totals, self._lock = StoreCounts(), threading.Lock()

    def add(self, *, requests: int = 0, fetched_bytes: int = 0, retries: int = 0, cache_hits: int = 0) -> None:
        """Add to the totals."""
        with self._lock:
            now = self._totals  # not by `+`, which is for few: this is called for every few ranges
            self._totals = StoreCounts(
                now.requests + requests,
                now.fetched_bytes + fetched_bytes,
                now.retries + retries,
                now.cache_hits + cache_hits,
            )

    def totals(self) -> StoreCounts:
        """The totals so far."""
        return self._totals
