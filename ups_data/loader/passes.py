"""Which epoch a pass over a pipeline is, agreed on by all worker processes of a `DataLoader` without a word to its
owner.

A `DataLoader` does not tell a dataset that a pass begins: each of its worker processes just iterates. They all see one
table in shared memory, with a row for each. A worker that begins takes the epoch of the others that have begun the same
pass, or the one after the latest epoch that anybody has begun. So a worker that was ended before it began a pass, or
that begins late, never falls behind the others.
"""

import time

import numpy as np
import torch
from torch.utils.data import get_worker_info

from ups_data.errors import UpsDataError

MOST_WORKERS = 1024
PATIENCE = 1.0  # seconds that a process may take to write its row; one that is killed in there never does
_PASS, _GENERATION, _EPOCH, _VERSION = range(4)  # the version is odd while a row is written


class Passes:
    """Counts the passes over a pipeline: each one is the next epoch, from `set_epoch`'s on."""

    def __init__(self) -> None:
        # The first row: generation and epoch of the last `set_epoch`. The last row: the process that made this.
        self._table = torch.zeros((MOST_WORKERS + 2, 4), dtype=torch.int64, device="cpu").share_memory_()
        self._calls = 0

    def __getstate__(self) -> dict[str, object]:
        return {"_table": self._table, "_calls": 0}

    @property
    def epoch(self) -> int:
        """Of the next pass."""
        return self._after(self._begun())

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass that of this epoch."""
        self._table[0, _EPOCH] = epoch
        self._table[0, _GENERATION] += 1

    def begin(self) -> int:
        """A pass begins in this process: its epoch."""
        self._calls += 1
        worker, row, number = get_worker_info(), MOST_WORKERS + 1, self._calls
        if worker is not None:
            if worker.id >= MOST_WORKERS:
                raise UpsDataError(f"worker process {worker.id}: give a DataLoader at most {MOST_WORKERS} workers")
            # A DataLoader draws a seed for each set of worker processes, and they iterate in step.
            row, number = worker.id + 1, hash((worker.seed - worker.id, self._calls)) | 1
        # Of one look at the table: another worker may begin the same pass at any moment.
        begun = self._begun()
        same = begun[begun[:, _PASS] == number] if worker is not None else begun[:0]
        generation, epoch = int(self._table[0, _GENERATION]), self._after(begun)
        if len(same):  # of the same pass, even if `set_epoch` was called since others began it
            generation, epoch = int(same[0, _GENERATION]), int(same[0, _EPOCH])
        mine = self._table.numpy()[row]
        mine[_VERSION] += 1
        mine[_PASS], mine[_GENERATION], mine[_EPOCH] = number, generation, epoch
        mine[_VERSION] += 1
        return epoch

    def _after(self, begun: np.ndarray) -> int:
        since = begun[begun[:, _GENERATION] == int(self._table[0, _GENERATION])]
        return int(since[:, _EPOCH].max()) + 1 if len(since) else int(self._table[0, _EPOCH])

    def _begun(self) -> np.ndarray:
        """The rows of the passes that have begun, none of them half written."""
        rows, until = self._table.numpy()[1:], time.monotonic() + PATIENCE
        while True:
            before, now, after = rows[:, _VERSION].copy(), rows.copy(), rows[:, _VERSION].copy()
            whole = (before % 2 == 0) & (before == after)
            if whole.all() or time.monotonic() > until:
                break
            time.sleep(1e-4)
        return now[whole & (now[:, _PASS] != 0)]
