"""The order of everything: pure functions of (manifest, seed, epoch, rank, world size, batch size).

Invariants:
- Nothing here reads a shard, knows a thread or depends on how fast anything is.
- The global batches of an epoch depend on (manifest, seed, epoch, global batch size) only; a rank takes its part of
  each, and every rank gets the same number of batches.
- Without `drop_last`, every sample is in exactly one batch.

Training order is shuffled on two levels. A *window* is a run of consecutive rows of a shard, whole trajectories where
they are not too long. Windows are permuted over the split and taken in groups of about `GROUP_BYTES`; samples are
permuted inside a group. So a reader that keeps two groups in memory reads every chunk once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.hashing import hash_key
from ups_data.schema import Manifest

# Decoded bytes. Windows amortise a seek; a group is what samples are shuffled in, and half of the default pool.
WINDOW_BYTES = 4 * 1024**2
GROUP_BYTES = 256 * 1024**2
SPANS_PER_WINDOW = 16


class _Purpose(IntEnum):
    """Keeps the two permutations of an epoch independent."""

    WINDOWS = 101
    SAMPLES = 102


@dataclass(frozen=True)
class SampleTable:
    """Every sample of a split, in stored order. All arrays are (samples,) int64.

    Attributes:
        trajectory: number of the trajectory in the split.
        step: number of the (last) input frame in its trajectory.
        shard: number of the shard in the split.
        row: row of the (last) input frame in its shard.
        static_row: row of the trajectory in its shard's static fields.
        window: number of the window, not decreasing.
        window_bytes: (windows,) int64, decoded bytes of the rows that the window's samples need.
    """

    trajectory: np.ndarray
    step: np.ndarray
    shard: np.ndarray
    row: np.ndarray
    static_row: np.ndarray
    window: np.ndarray
    window_bytes: np.ndarray

    def __len__(self) -> int:
        return len(self.trajectory)


def sample_table(
    manifest: Manifest,
    split: str,
    fields: Sequence[str],
    *,
    input_steps: int = 1,
    horizon: int = 1,
    dt_stride: int = 1,
) -> SampleTable:
    """The samples of a split: every frame that has `input_steps - 1` frames before it and `horizon` after it.

    Args:
        fields: the fields that will be read; windows are sized by them.
        dt_stride: frames from one step of a sample to the next.

    Raises:
        UpsDataError: no trajectory is long enough for one sample.
    """
    shards = manifest.split(split).shards
    before, after = (input_steps - 1) * dt_stride, horizon * dt_stride
    steps = np.concatenate([np.asarray(s.steps, np.int64) for s in shards])
    trajectories = np.array([len(s.steps) for s in shards])  # of each shard
    shard = np.repeat(np.arange(len(shards)), trajectories)
    static_row = np.concatenate([np.arange(n) for n in trajectories])
    first_row = np.concatenate([np.cumsum([0, *s.steps[:-1]]) for s in shards])

    samples = np.maximum(steps - before - after, 0)  # of each trajectory
    if not samples.any():
        raise UpsDataError(
            f"split {split!r}: the longest trajectory has {steps.max()} frames, a sample spans {before + after + 1} "
            f"(input_steps={input_steps}, horizon={horizon}, dt_stride={dt_stride}): shorten the horizon or the stride"
        )
    trajectory = np.repeat(np.arange(len(steps)), samples)
    number = np.arange(len(trajectory)) - np.repeat(np.cumsum(samples) - samples, samples)  # within its trajectory
    step = number + before

    specs = [manifest.field(name) for name in fields]
    moving = [s for s in specs if not s.static] or specs
    row_bytes = sum(manifest.frame_bytes(s) for s in moving)
    chunk_rows = max(s.chunk_rows for s in moving)
    # Frames that the last samples of a window share with the next one are decoded for both: a small share of the rows.
    least = min(SPANS_PER_WINDOW * (before + after), max(1, GROUP_BYTES // row_bytes))
    rows = -(-max(least, WINDOW_BYTES // row_bytes) // chunk_rows) * chunk_rows
    # Short trajectories go whole into the window that their first row lies in, long ones are cut on chunk boundaries.
    anchor = first_row[trajectory] + (samples > 2 * rows)[trajectory] * number
    starts = np.concatenate([[True], (np.diff([shard[trajectory], anchor // rows]) != 0).any(0)])
    window = np.cumsum(starts) - 1
    # Every stretch of a trajectory in a window has the rows of its samples and those around them.
    stretches = starts | np.concatenate([[True], np.diff(trajectory) != 0])
    window_rows = np.bincount(window) + (before + after) * np.bincount(window[stretches])
    return SampleTable(
        trajectory=trajectory,
        step=step,
        shard=shard[trajectory],
        row=first_row[trajectory] + step,
        static_row=static_row[trajectory],
        window=window,
        window_bytes=window_rows * row_bytes,
    )


def epoch_order(table: SampleTable, *, seed: int, epoch: int, shuffle: bool) -> np.ndarray:
    """The samples of an epoch in order: (samples,) int64 numbers into the table."""
    if not shuffle:
        return np.arange(len(table))
    count = len(table.window_bytes)
    windows = np.argsort(hash_key(seed, epoch, _Purpose.WINDOWS, np.arange(count)), kind="stable")
    filled = np.cumsum(table.window_bytes[windows]) - 1
    group = np.empty(count, np.int64)
    group[windows] = filled // GROUP_BYTES
    samples = hash_key(seed, epoch, _Purpose.SAMPLES, np.arange(len(table)))
    return np.lexsort((samples, group[table.window]))


@dataclass(frozen=True)
class EpochPlan:
    """One rank's batches of one epoch: `len(plan)` of them, `plan[i]` the numbers of batch i's samples."""

    order: np.ndarray
    bounds: np.ndarray  # (global batches + 1,), where each begins in the order
    rank: int
    world_size: int

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, batch: int) -> np.ndarray:
        start, size = int(self.bounds[batch]), int(self.bounds[batch + 1] - self.bounds[batch])
        low, high = (size * r // self.world_size for r in (self.rank, self.rank + 1))
        return self.order[start + low : start + high]


def batch_bounds(samples: int, *, batch_size: int, world_size: int, drop_last: bool) -> np.ndarray:
    """Where each global batch of `batch_size * world_size` samples begins: (batches + 1,) int64.

    Without `drop_last` the last global batch is smaller. Where it would hold fewer samples than there are ranks, it
    shares with the one before, so that no rank is left without a batch.

    Raises:
        UpsDataError: there is not one batch for every rank.
    """
    size = batch_size * world_size
    count = samples // size if drop_last else math.ceil(samples / size)
    bounds = np.minimum(np.arange(count + 1) * size, samples)
    if count and 0 < bounds[-1] - bounds[-2] < world_size and count > 1:
        bounds[-2] = (bounds[-3] + bounds[-1] + 1) // 2
    if count == 0 or (np.diff(bounds) < world_size).any():
        raise UpsDataError(
            f"{samples} samples do not give each of {world_size} rank(s) a batch of {batch_size}: "
            "lower batch_size, or set drop_last=False"
        )
    return bounds


def plan_epoch(
    table: SampleTable,
    *,
    seed: int,
    epoch: int,
    batch_size: int,
    rank: int = 0,
    world_size: int = 1,
    shuffle: bool = True,
    drop_last: bool = True,
) -> EpochPlan:
    """The batches of one rank for one epoch.

    Raises:
        UpsDataError: there is not one batch for every rank.
    """
    bounds = batch_bounds(len(table), batch_size=batch_size, world_size=world_size, drop_last=drop_last)
    return EpochPlan(epoch_order(table, seed=seed, epoch=epoch, shuffle=shuffle), bounds, rank, world_size)
