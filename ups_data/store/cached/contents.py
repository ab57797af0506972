"""What a cache holds, for people: shown, checked and emptied."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.store.cached.ledger import LEDGER, OBJECTS, Ledger
from ups_data.store.cached.mirror import ABSENT, DOUBTFUL, PRESENT


@dataclass(frozen=True)
class Contents:
    """What lies in a cache.

    Attributes:
        objects: that it has a mirror of.
        chunks, chunk_bytes: that are there, and their bytes.
        used: bytes that are booked, in whole blocks of the disk.
        whole: bytes of the objects, whether they are there or not.
        unfinished: chunks that are being filled or taken out, or have to be compared before they are used.
        damaged: chunks that are not what they should be; they are fetched again before they are used.
    """

    objects: int
    chunks: int
    chunk_bytes: int
    used: int
    whole: int
    unfinished: int
    damaged: int = 0


def contents(folder: str | Path, *, check: bool = False) -> Contents:
    """What a cache holds.

        print(contents("/nvme/cache").chunk_bytes)

    Args:
        check: whether every chunk is compared with its checksum. A damaged one is marked, so that nobody uses it.

    Raises:
        UpsDataError: the folder is no cache.
    """
    ledger = _opened(folder)
    objects = chunks = size = whole = unfinished = damaged = 0
    for mirror in ledger.mirrors():
        states, layout = mirror.states(), mirror.layout
        there = np.flatnonzero(states == PRESENT)
        bad = [n for n in there.tolist() if check and not layout.is_intact(n, memoryview(mirror.read(n)))]
        if bad:
            with mirror.changing() as changes:
                changes.mark(bad, DOUBTFUL)
        objects, chunks, damaged = objects + 1, chunks + len(there), damaged + len(bad)
        size += int((layout.stop - layout.start)[there].sum())
        unfinished += int(((states != PRESENT) & (states != ABSENT)).sum())
        whole += layout.size
    return Contents(objects, chunks, size, ledger.used, whole, unfinished, damaged)


def empty(folder: str | Path) -> int:
    """Take everything out that nobody fills at this moment; the bytes that were in use.

    Runs that read the cache go on, and fill it again.

    Raises:
        UpsDataError: the folder is no cache.
    """
    return _opened(folder).empty()


def _opened(folder: str | Path) -> Ledger:
    if not (Path(folder) / LEDGER).is_file() or not (Path(folder) / OBJECTS).is_dir():
        raise UpsDataError(f"{folder} is no cache: give the folder that cache= or UPS_DATA_CACHE names")
    try:
        return Ledger(Path(folder))
    except OSError as error:
        raise UpsDataError(f"the cache {folder} cannot be used ({error.strerror or error})") from None
