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
_PASS, _GENERATION, _EPOCH, _WRITING = range(4)


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
        epochs = self._begun()[:, _EPOCH]
        return int(epochs.max()) + 1 if len(epochs) else int(self._table[0, _EPOCH])

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
        begun = self._begun()
        same = begun[begun[:, _PASS] == number] if worker is not None else begun[:0]
        epoch = int(same[0, _EPOCH]) if len(same) else self.epoch
        mine = self._table.numpy()[row]
        mine[_WRITING] = 1
        mine[_PASS], mine[_GENERATION], mine[_EPOCH] = number, self._table[0, _GENERATION], epoch
        mine[_WRITING] = 0
        return epoch

    def _begun(self) -> np.ndarray:
        """The rows of the passes that began since `set_epoch`, none of them half written."""
        rows, until = self._table.numpy()[1:], time.monotonic() + PATIENCE
        while rows[:, _WRITING].any() and time.monotonic() < until:
            time.sleep(1e-4)
        now = rows[(rows[:, _PASS] != 0) & (rows[:, _WRITING] == 0)]
        return now[now[:, _GENERATION] == int(self._table[0, _GENERATION])]
