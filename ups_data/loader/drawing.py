"""How much a sample draws and when: the size of the blocks in which batches are made, and the place on schedules."""

from collections.abc import Sequence

from ups_data.loader.options import LoaderOptions
from ups_data.loader.selection import Selection
from ups_data.schema import Manifest

BLOCK_SAMPLES = 64
BLOCK_POINTS = 128 * 1024
BLOCK_BYTES = 64 * 1024**2
EPOCHS = 8  # whose sizes of blocks are kept
BLOCKS_OF_POOL = 8  # a block is at most this part of the pool: those at work together take about half of it


class Drawing:
    """What the samples of a loader draw.

    Attributes:
        by_step: whether a schedule moves on within an epoch.
        query_sets: query sets of a sample, one for each frame of the horizon.
        feeds_back: whether a draw looks at errors that training feeds back.
    """

    def __init__(self, manifest: Manifest, selections: Sequence[Selection], options: LoaderOptions) -> None:
        self._manifest, self._selections, self._options = manifest, selections, options
        drawn = [sampling for s in selections for sampling in (s.sampling, s.inputs) if sampling is not None]
        self.by_step = any(s.schedule_unit == "step" and s.schedule != "constant" for s in drawn)
        self.query_sets = max(1, options.horizon) + options.input_queries + options.lattice_queries
        self.feeds_back = any(s.feeds_back is not None for s in selections)
        self._sizes: dict[int, int] = {}  # of the blocks of the last few epochs: passes are begun more than once

    def moment(self, epoch: int, batch: int, batches: int) -> float:
        """Where batch `batch` of `batches` is on the schedules: in its epoch, or so much of its epoch into it."""
        return epoch + batch / batches if self.by_step else epoch

    def block_samples(self, epoch: int) -> int:
        """How many samples are made at once: few enough for their points to stay in a core's cache while they are
        drawn, and for their frames to be few against the pool. 0: one batch."""
        size = self._sizes.get(epoch)
        if size is None:
            size = self._block_samples(epoch)
            self._sizes = dict([*list(self._sizes.items())[1 - EPOCHS :], (epoch, size)])
        return size

    def _block_samples(self, epoch: int) -> int:
        if any(s.padded and s.is_ragged for s in self._selections):
            return 0  # a padded batch's rows are as long as its longest
        if self.by_step:
            return 0  # each batch has a ratio of its own
        sets, steps = self.query_sets, self._options.input_steps
        drawn = sum(s.points_drawn(epoch, sets) for s in self._selections if not s.only_blocks(epoch))
        size = sum(s.sample_bytes(self._manifest, epoch, sets, steps) for s in self._selections)
        room = min(BLOCK_BYTES, self._options.pool_bytes // BLOCKS_OF_POOL)
        return min(BLOCK_SAMPLES, BLOCK_POINTS // max(1, drawn), room // size)
