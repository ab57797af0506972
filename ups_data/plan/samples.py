"""The samples of a split, and the windows and groups in which they are shuffled."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.schema import Manifest

# Decoded bytes. Windows amortise a seek; a group is what samples are shuffled in, and half of the default pool.
WINDOW_BYTES = 4 * 1024**2
GROUP_BYTES = 256 * 1024**2
SPANS_PER_WINDOW = 16


@dataclass(frozen=True)
class Samples:
    """Where some samples are: `(n,)` int64 each, see `SampleTable`."""

    trajectory: np.ndarray
    step: np.ndarray
    shard: np.ndarray
    row: np.ndarray
    static_row: np.ndarray


@dataclass(frozen=True)
class SampleTable(Samples):
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

    window: np.ndarray
    window_bytes: np.ndarray

    def __len__(self) -> int:
        return len(self.trajectory)

    @cached_property
    def window_starts(self) -> np.ndarray:
        """(windows + 1,) int64, the number of each window's first sample; at the end, of samples."""
        return np.searchsorted(self.window, np.arange(len(self.window_bytes) + 1))

    def at(self, numbers: np.ndarray) -> Samples:
        """The samples of those numbers."""
        return Samples(*(getattr(self, f.name)[numbers] for f in fields(Samples)))

    def first_of(self, trajectory: np.ndarray) -> np.ndarray:
        """The numbers of the first samples of those trajectories."""
        return np.searchsorted(self.trajectory, trajectory)


@dataclass(frozen=True)
class TrajectoryTable:
    """The same as a `SampleTable` in the memory of its trajectories and windows: what is asked for is worked out.

    Attributes:
        starts: (trajectories + 1,) int64, the number of each one's first sample, without repetitions.
        before: frames of a trajectory before the (last) input frame of its first sample.
        shards: (trajectories,) int64, the shard of each.
        first_rows: (trajectories,) int64, the row of its first frame in its shard.
        static_rows: (trajectories,) int64, its row in the shard's static fields.
        window_starts: (windows + 1,) int64, the number of each window's first sample; at the end, of samples.
        window_bytes: (windows,) int64, see `SampleTable`.
        repeats: how often each sample is there, in a row.
    """

    starts: np.ndarray
    before: int
    shards: np.ndarray
    first_rows: np.ndarray
    static_rows: np.ndarray
    window_starts: np.ndarray
    window_bytes: np.ndarray
    repeats: int = 1

    def __len__(self) -> int:
        return int(self.starts[-1]) * self.repeats

    def at(self, numbers: np.ndarray) -> Samples:
        """The samples of those numbers."""
        place = np.asarray(numbers) // self.repeats
        trajectory = np.searchsorted(self.starts, place, "right") - 1
        step = place - self.starts[trajectory] + self.before
        row = self.first_rows[trajectory] + step
        return Samples(trajectory, step, self.shards[trajectory], row, self.static_rows[trajectory])

    def first_of(self, trajectory: np.ndarray) -> np.ndarray:
        """The numbers of the first samples of those trajectories."""
        return self.starts[trajectory] * self.repeats

    @property
    def all(self) -> Samples:
        """Every sample: takes the memory that this class is there to save."""
        return self.at(np.arange(len(self)))

    @property
    def trajectory(self) -> np.ndarray:
        """Of every sample, see `all`; so are the columns that follow."""
        return self.all.trajectory

    @property
    def step(self) -> np.ndarray:
        """Of every sample: number of the (last) input frame in its trajectory."""
        return self.all.step

    @property
    def shard(self) -> np.ndarray:
        """Of every sample: number of the shard in the split."""
        return self.all.shard

    @property
    def row(self) -> np.ndarray:
        """Of every sample: row of the (last) input frame in its shard."""
        return self.all.row

    @property
    def static_row(self) -> np.ndarray:
        """Of every sample: row of the trajectory in its shard's static fields."""
        return self.all.static_row

    @property
    def window(self) -> np.ndarray:
        """Of every sample: number of the window."""
        return np.repeat(np.arange(len(self.window_bytes)), np.diff(self.window_starts))


Table = SampleTable | TrajectoryTable


def sample_table(
    manifest: Manifest,
    split: str,
    fields: Sequence[str],
    *,
    input_steps: int = 1,
    horizon: int = 1,
    dt_stride: int = 1,
) -> TrajectoryTable:
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
    static_row = np.arange(len(steps)) - np.repeat(np.cumsum(trajectories) - trajectories, trajectories)
    rows_before = np.cumsum(steps) - steps
    first_row = rows_before - np.repeat(rows_before[np.cumsum(trajectories) - trajectories], trajectories)

    samples = np.maximum(steps - before - after, 0)  # of each trajectory
    if not samples.any():
        raise UpsDataError(
            f"split {split!r}: the longest trajectory has {steps.max()} frames, a sample spans {before + after + 1} "
            f"(input_steps={input_steps}, horizon={horizon}, dt_stride={dt_stride}): shorten the horizon or the stride"
        )
    specs = [manifest.field(name) for name in fields]
    moving = [s for s in specs if not s.static] or specs
    row_bytes = sum(manifest.frame_bytes(s) for s in moving)
    chunk_rows = max(s.chunk_rows for s in moving)
    # Frames that the last samples of a window share with the next one are decoded for both: a small share of the rows.
    least = min(SPANS_PER_WINDOW * (before + after), max(1, GROUP_BYTES // row_bytes))
    rows = -(-max(1, least, WINDOW_BYTES // row_bytes) // chunk_rows) * chunk_rows
    starts = np.concatenate([[0], np.cumsum(samples)])
    begins, stretches = _windows(samples, starts, shard, first_row, rows)
    window_starts = np.append(begins, starts[-1])
    # Every stretch of a trajectory in a window has the rows of its samples and those around them.
    window_rows = np.diff(window_starts) + (before + after) * stretches
    return TrajectoryTable(starts, before, shard, first_row, static_row, window_starts, window_rows * row_bytes)


def _windows(
    samples: np.ndarray, starts: np.ndarray, shard: np.ndarray, first_row: np.ndarray, rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """The number of the first sample of each window of about `rows` rows, and how many trajectories, or stretches of
    one, lie in it: `(windows,)` each.

    Short trajectories go whole into the window that their first row lies in, long ones are cut on chunk boundaries.
    """
    first = first_row // rows
    cuts = np.where(samples > 2 * rows, (first_row + samples - 1) // rows - first, 0)
    stretches = np.where(samples > 0, cuts + 1, 0)
    trajectory = np.repeat(np.arange(len(samples)), stretches)
    number = np.arange(len(trajectory)) - np.repeat(np.cumsum(stretches) - stretches, stretches)  # in its trajectory
    place = first[trajectory] + number
    begins = starts[trajectory] + np.where(number > 0, place * rows - first_row[trajectory], 0)
    new = np.concatenate([[True], (np.diff(place) != 0) | (np.diff(shard[trajectory]) != 0)])
    return begins[new], np.diff(np.append(np.flatnonzero(new), len(new)))


def repeated(table: Table, times: int) -> Table:
    """Every sample `times` times in a row: entry n is repetition `n % times` of sample `n // times`."""
    if isinstance(table, TrajectoryTable):
        return replace(table, window_starts=table.window_starts * times, repeats=table.repeats * times)
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
