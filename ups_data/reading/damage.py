"""Samples whose stored bytes are damaged, where they are to be skipped: what was found, and how much may be."""

import logging
import threading

from ups_data.errors import UpsDataError, printable

LOG = logging.getLogger("ups_data")


class DamagedSamples:
    """Damaged samples of a split, found by any thread or worker process.

    Args:
        most: how many different ones may be found; None: any number, and nothing is logged: a worker process, whose
            training process counts.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._samples: set[int] = set()
        self._lines: set[str] = set()
        self._news: list[tuple[int, str]] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, sample: int, line: str) -> None:
        """Note a sample and what is wrong; every line is logged once.

        Raises:
            UpsDataError: these are too many.
        """
        with self._lock:
            new = line not in self._lines
            self._samples.add(sample)
            self._lines.add(line)
            if self._most is None:
                self._news.append((sample, line))
                return
        if new:
            LOG.warning("skipped, as on_damage is 'skip': %s", printable(line))
        if len(self._samples) > self._most:
            raise TooManyDamagedError(
                f"{len(self._samples)} samples are damaged, max_damaged is {self._most}; the last one: {line}"
            )

    def news(self) -> list[tuple[int, str]]:
        """What was noted since this was asked last, in a worker process."""
        with self._lock:
            news, self._news = self._news, []
        return news


class TooManyDamagedError(UpsDataError):
    """More samples are damaged than may be skipped."""
