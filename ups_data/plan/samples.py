"""The samples of a split, and the windows and groups in which they are shuffled."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.schema import Manifest

# Decoded bytes. Windows amortise a seek; a group is what samples are shuffled in, and half of the default pool.
WINDOW_BYTES = 4 * 1024**2
GROUP_BYTES = 256 * 1024**2
SPANS_PER_WINDOW = 16


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


def groups(window_bytes: np.ndarray) -> np.ndarray:
    """The group of each window, (windows,), as many windows to a group as it holds."""
    ends = np.cumsum(window_bytes)
    begins = np.zeros(len(ends), np.int64)
    start = 0
    while start < len(ends):
        room = (ends[start - 1] if start else 0) + GROUP_BYTES
        start = max(start + 1, int(np.searchsorted(ends, room, "right")))
        begins[start : start + 1] = 1
    return np.cumsum(begins)
