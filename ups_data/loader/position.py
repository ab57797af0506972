"""Where a loader stands among its epochs and batches."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

LOG = logging.getLogger("ups_data")


class Position:
    """Epoch and batch of the next pass, and of the batch that follows the last one handed out.

    A pass moves on to the next epoch as it begins, so that the next pass is another epoch however this one ends.

    Args:
        warns: whether to warn, once, that a pass was left early and the next one is the next epoch.
    """

    def __init__(self, *, warns: bool) -> None:
        self.next = (0, 0)
        self.progress = (0, 0)
        self._under_way = 0  # passes
        self._warns, self._left = warns, ""

    @property
    def epoch(self) -> int:
        """Of the pass under way, or of the next pass."""
        return self.progress[0] if self._under_way else self.next[0]

    def seek(self, epoch: int, batch: int) -> None:
        """Make the next pass begin with this batch of an epoch."""
        self.next = self.progress = epoch, batch
        self._left = ""

    @contextmanager
    def begun(self, batches: int) -> Generator[tuple[int, int]]:
        """A pass, from its epoch and first batch on.

        Args:
            batches: of an epoch.
        """
        if self._left and self._warns:
            begin = "call set_epoch or load_state_dict before a pass to begin elsewhere"
            LOG.warning("%s, and this pass is epoch %d: %s", self._left, self.next[0], begin)
            self._warns = False
        self._left = ""
        epoch, first = self.progress = self.next
        self.next = epoch + 1, 0
        self._under_way += 1
        try:
            yield epoch, first
        finally:
            self._under_way -= 1
            if self.progress[0] == epoch and self.next == (epoch + 1, 0):
                self._left = f"the pass over epoch {epoch} was left after {self.progress[1]} of {batches} batches"

    def hand_out(self, epoch: int, batch: int, batches: int) -> None:
        """Batch `batch` of `batches` is about to be handed out."""
        self.progress = (epoch, batch + 1) if batch + 1 < batches else (epoch + 1, 0)
