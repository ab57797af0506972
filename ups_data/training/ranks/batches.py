"""Batches that all ranks take in step."""

from collections.abc import Callable, Iterable, Iterator

from ups_data.batch import QueryBatch
from ups_data.training.ranks.group import Group


class Stopped(Exception):
    """The run was asked to stop, and every rank stands at the end of the same step."""


class InStep:
    """Hands out a loader's batches, each once all ranks have theirs, until one of them is asked to stop or fails.

    Args:
        stop: whether this process was asked to stop; looked at before each batch.
    """

    def __init__(self, group: Group, stop: Callable[[], bool]) -> None:
        self.group, self.stop = group, stop
        self.samples = self.damaged = 0  # of the batch in hand, on all ranks together

    def __call__(self, batches: Iterable[QueryBatch]) -> Iterator[QueryBatch]:
        """The batches.

        Raises:
            Stopped: a rank was asked to stop.
            UpsDataError: another rank could not get its batch.
        """
        iterator = iter(batches)
        asked = self.group.any(self.stop())
        while not asked:
            with self.group.together(amounts=4) as told:
                asked = self.group.size > 1 and self.stop()
                try:
                    batch = next(iterator, None)
                except Exception:
                    # A signal to the whole process group ends the loader's processes too, whatever they are at.
                    if not self.stop():
                        raise
                    told[0], batch = 1, None
                told[1] = asked
                if batch is not None:
                    told[2:] = len(batch), len(batch) - batch.num_valid
            ended, asked, self.samples, self.damaged = told[0] > 0, told[1] > 0, round(told[2]), round(told[3])
            if ended:
                break
            if batch is None:
                return
            yield batch
            if self.group.size == 1:
                asked = self.stop()
        raise Stopped
