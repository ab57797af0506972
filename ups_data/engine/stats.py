"""What a loader did and where its time went."""

import threading
from dataclasses import dataclass, fields
from typing import Any


@dataclass
class LoaderStats:
    """Totals. `wait_seconds` is the training loop's time; the other times are summed over threads and processes.

    Attributes:
        batches, samples: handed out; samples that only fill a batch are not counted.
        damaged_samples: how often a damaged sample was left out: see `QueryLoader`'s `on_damage`.
        wait_seconds: the training loop waited for a batch.
        fetch_seconds: opening, reading and checking stored bytes (a mapped chunk is read where it is first checked).
        decode_seconds: decompressing.
        draw_seconds: drawing points.
        assemble_seconds: copying into batches.
        decoded_chunks, decoded_bytes: of compressed data; uncompressed data are used where they are mapped.
        read_bytes: stored bytes of the chunks that were used. A mapped chunk counts as a whole whenever it is used,
            even if only a few of its points are taken.
        fetched_bytes: delivered by disks, as the kernel counts them: with what it read ahead, without what was in
            memory already; and by a store behind a URL, as they arrived.
        requests: that were sent to a store behind a URL, by all who read that store in this process.
        retries: those among them that were sent again: after a failure, or as the first was far slower than others.
        cache_hits: chunks that a cache had when they were needed.
    """

    batches: int = 0
    samples: int = 0
    wait_seconds: float = 0.0
    fetch_seconds: float = 0.0
    decode_seconds: float = 0.0
    draw_seconds: float = 0.0
    assemble_seconds: float = 0.0
    decoded_chunks: int = 0
    decoded_bytes: int = 0
    read_bytes: int = 0
    damaged_samples: int = 0
    fetched_bytes: int = 0
    requests: int = 0
    retries: int = 0
    cache_hits: int = 0

    @property
    def used_bytes(self) -> int:
        """Stored bytes of the chunks that batches were made of: `fetched_bytes` should be hardly more."""
        return self.read_bytes

    def __add__(self, other: "LoaderStats") -> "LoaderStats":
        return LoaderStats(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def __sub__(self, earlier: "LoaderStats") -> "LoaderStats":
        """What happened since `earlier`."""
        return LoaderStats(**{f.name: getattr(self, f.name) - getattr(earlier, f.name) for f in fields(self)})


class StatsInMaking:
    """Totals that threads add to."""

    def __init__(self) -> None:
        self._totals = LoaderStats()
        self._lock = threading.Lock()

    def add(self, **amounts: Any) -> None:
        """Add to totals by their names."""
        with self._lock:
            for name, amount in amounts.items():
                setattr(self._totals, name, getattr(self._totals, name) + amount)

    def totals(self) -> LoaderStats:
        """The totals so far."""
        with self._lock:
            return self._totals + LoaderStats()
