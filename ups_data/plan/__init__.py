"""The order of everything: pure functions of (manifest, seed, epoch, rank, world size, batch size).

Invariants:
- Nothing here reads a shard, knows a thread or depends on how fast anything is.
- The global batches of an epoch depend on (manifest, seed, epoch, global batch size, `canonical_ranks`) only: they are
  the same for every number of ranks that divides `canonical_ranks`, and a rank takes its part of each.
- Every rank gets the same number of batches. Without `drop_last`, every sample is in exactly one batch; with `pad`,
  every batch has the same size, and a mask tells the samples from the repetitions that fill it.
- A reader that keeps two groups in memory reads every chunk once, on every rank: the windows that a rank uses come
  group after group, and no group is larger than `GROUP_BYTES`, or than its only window.

Training order is shuffled on two levels. A *window* is a run of consecutive rows of a shard, whole trajectories where
they are not too long. Windows are permuted over the split and taken in groups of up to `GROUP_BYTES`; samples are
permuted inside a group. That second permutation keeps ranks apart: a group's samples, window after window, are cut into
a stretch for each of `canonical_ranks`, every global batch takes its share from each stretch, and each of R real ranks
serves the stretches of `canonical_ranks / R` canonical ones. So a rank decodes about 1/R of the windows, where it would
decode nearly all if any rank could get any sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from math import gcd

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.hashing import hash_key
from ups_data.plan.batches import CANONICAL_RANKS, EpochPlan, batch_bounds, canonical_rank_of_positions, fill
from ups_data.plan.mixture import MixturePlan, plan_mixture
from ups_data.schema import Manifest

__all__ = [
    "CANONICAL_RANKS",
    "EpochPlan",
    "MixturePlan",
    "SampleTable",
    "batch_bounds",
    "epoch_order",
    "plan_epoch",
    "plan_mixture",
    "sample_table",
]

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
    rows = -(-max(1, least, WINDOW_BYTES // row_bytes) // chunk_rows) * chunk_rows
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


def repeated(table: SampleTable, times: int) -> SampleTable:
    """Every sample `times` times in a row: entry n is repetition `n % times` of sample `n // times`."""
    columns = {f.name: getattr(table, f.name) for f in fields(table)}
    return replace(table, **{n: np.repeat(c, times) for n, c in columns.items() if n != "window_bytes"})


def epoch_order(
    table: SampleTable, *, seed: int, epoch: int, shuffle: bool, canonical: np.ndarray | None = None
) -> np.ndarray:
    """The samples of an epoch in order: (samples,) int64 numbers into the table.

    Args:
        canonical: (samples,) int64, the canonical rank that each position of the order belongs to; None: one for all.
    """
    if not shuffle:
        return np.arange(len(table))
    windows = np.argsort(hash_key(seed, epoch, _Purpose.WINDOWS, np.arange(len(table.window_bytes))), kind="stable")
    place = np.empty_like(windows)
    place[windows] = np.arange(len(windows))
    laid = np.argsort(place[table.window], kind="stable")  # samples, window after window
    group = _groups(table.window_bytes[windows])[place[table.window[laid]]]
    canonical = np.zeros_like(laid) if canonical is None else canonical
    # A group's positions are those where its samples lie now; the first stretch goes to those of canonical rank 0, …
    positions = np.lexsort((canonical, group))
    shuffled = np.lexsort((hash_key(seed, epoch, _Purpose.SAMPLES, laid), canonical[positions], group))
    order = np.empty_like(laid)
    order[positions] = laid[shuffled]
    return order


def _groups(window_bytes: np.ndarray) -> np.ndarray:
    """The group of each window, (windows,), as many windows to a group as it holds."""
    ends = np.cumsum(window_bytes)
    begins = np.zeros(len(ends), np.int64)
    start = 0
    while start < len(ends):
        room = (ends[start - 1] if start else 0) + GROUP_BYTES
        start = max(start + 1, int(np.searchsorted(ends, room, "right")))
        begins[start : start + 1] = 1
    return np.cumsum(begins)


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
    pad: bool = False,
    canonical_ranks: int = CANONICAL_RANKS,
) -> EpochPlan:
    """The batches of one rank for one epoch.

    Args:
        batch_size: of a rank.
        drop_last: leave out the samples that do not fill a global batch.
        pad: fill the last batch by repetition instead, so that all have one shape: see `EpochPlan.valid`.
        canonical_ranks: the global batches are the same for every number of ranks that divides it.

    Raises:
        UpsDataError: there is not one batch for every rank.
    """
    size = batch_size * world_size
    bounds = batch_bounds(
        len(table),
        batch_size=batch_size,
        world_size=world_size,
        drop_last=drop_last,
        pad=pad,
        canonical_ranks=canonical_ranks,
    )
    canonical = canonical_rank_of_positions(bounds, len(table), canonical_ranks)
    order = epoch_order(table, seed=seed, epoch=epoch, shuffle=shuffle, canonical=canonical)
    if not pad:
        return EpochPlan(order, bounds, rank, world_size)
    chosen, mask = fill(bounds, size, gcd(canonical_ranks, size))
    return EpochPlan(order[chosen], np.arange(len(bounds)) * size, rank, world_size, mask)
