"""Whether files lie on the disk or in memory already: what is in memory needs no advice, and none is paid for."""

QUIET_BLOCKS = 8  # without a byte from the disk: then all of it is taken to be in memory


class Warmth:
    """Learns from what the disk delivers. Threads share it; a lost update costs a few blocks' advice.

    Attributes:
        cold: whether files are read from the disk, as far as is known. They are until the opposite is seen.
        reading: whether the disk was seen to deliver, not long ago: only then does it pay to draw coming blocks early.
    """

    def __init__(self) -> None:
        self.cold, self.reading, self._quiet = True, False, 0

    def delivered(self, size: int) -> None:
        """The disk delivered so many bytes for a block of batches."""
        if size:
            self.cold, self.reading, self._quiet = True, True, 0
        elif self.cold:
            self._quiet += 1
            self.cold = self._quiet < QUIET_BLOCKS
            self.reading = self.reading and self.cold
