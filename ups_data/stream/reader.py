"""From numbers of samples to samples: opened shards, a pool, views."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ups_data.batch import Recipe, SampleBlock
from ups_data.blocks import Blocks
from ups_data.plan import SampleTable
from ups_data.sampling import Domain
from ups_data.schema import Manifest
from ups_data.shards.reader import StoredArray
from ups_data.shards.shard import Shard
from ups_data.stream.frames import StoredFrames
from ups_data.stream.pool import Pool

# Geometries kept with their space-filling curves; a grid has one.
GEOMETRIES = 64


class SampleReader:
    """Reads samples of one split. Threads may share it.

    Args:
        table: the split's samples.
        pool_bytes: room for decoded chunks.
    """

    def __init__(
        self,
        root: str | Path,
        manifest: Manifest,
        split: str,
        table: SampleTable,
        recipe: Recipe,
        *,
        input_fields: tuple[str, ...],
        target_fields: tuple[str, ...],
        input_steps: int,
        horizon: int,
        dt_stride: int,
        pool_bytes: int,
    ) -> None:
        self._manifest, self._table, self._recipe = manifest, table, recipe
        self._shards = [Shard(root, manifest, s) for s in manifest.split(split).shards]
        self._static = {f.name for f in manifest.fields if f.static}
        self._input_fields, self._target_fields = input_fields, target_fields
        # Frames of a sample, counted from its (last) input frame.
        self._before = np.arange(-(input_steps - 1), 1) * dt_stride
        self._after = np.arange(1, horizon + 1) * dt_stride if horizon else np.zeros(1, np.int64)
        self.pool = Pool(pool_bytes)
        self._grid = grid_domain(manifest)
        # The cache belongs to this reader, as its shards do.
        self._point_domain = lru_cache(GEOMETRIES)(self._read_point_domain)

    def block(self, numbers: Sequence[int] | np.ndarray, epoch: int) -> SampleBlock:
        """The samples of those numbers by column; frames are views into the pool.

        Raises:
            UpsDataError: a shard is missing or damaged.
        """
        table, chosen = self._table, np.asarray(numbers)
        rows, static_rows, steps = table.row[chosen], table.static_row[chosen], table.step[chosen]
        shards, shard = np.unique(table.shard[chosen], return_inverse=True)
        samples = _Samples([self._shards[s] for s in shards.tolist()], shard, static_rows)
        input_rows, target_rows = rows[:, None] + self._before, rows[:, None] + self._after
        time, target_time = samples.time(input_rows[:, -1:]), samples.time(target_rows)
        stored = self._stored(samples)
        return SampleBlock(
            recipe=self._recipe,
            domains=self._domains(samples, stored),
            epoch=epoch,
            trajectory=table.trajectory[chosen],
            step=steps,
            target_steps=steps[:, None] + self._after,
            inputs={n: self._frames(n, samples, input_rows, stored, once=True) for n in self._input_fields},
            targets={n: self._frames(n, samples, target_rows, stored) for n in self._target_fields},
            input_coords=self._coords(samples, input_rows[:, -1:], stored),
            target_coords=self._coords(samples, target_rows, stored),
            time=time[:, 0],
            dt=target_time - time,
            params=samples.params(len(self._recipe.params)),
        )

    def fetch_seconds(self) -> float:
        """Time spent so far, over all threads, on opening, reading and checking stored bytes."""
        return sum(shard.fetch_seconds() for shard in self._shards)

    def _frames(
        self, field: str, samples: "_Samples", rows: np.ndarray, stored: list[Blocks | None], *, once: bool = False
    ) -> StoredFrames:
        """Frames at rows (samples, steps), sample by sample; of a static field each sample's only one, for every step
        or `once`."""
        if field in self._static:
            rows = np.repeat(samples.trajectory[:, None], 1 if once else rows.shape[1], axis=1)
        return self._stored_frames([s.field(field) for s in samples.shards], samples, rows, stored)

    def _coords(self, samples: "_Samples", rows: np.ndarray, stored: list[Blocks | None]) -> StoredFrames | None:
        """Positions of the points in the frames at rows (samples, steps); None for a grid."""
        if self._grid is not None:
            return None
        rows = np.repeat(samples.trajectory[:, None], rows.shape[1], axis=1)
        return self._stored_frames([s.coords for s in samples.shards], samples, rows, stored)

    def _stored_frames(
        self, arrays: list[StoredArray], samples: "_Samples", rows: np.ndarray, stored: list[Blocks | None]
    ) -> StoredFrames:
        steps = rows.shape[1]
        stored = stored if len(stored) == 1 else [s for s in stored for _ in range(steps)]
        return StoredFrames(self.pool, arrays, np.repeat(samples.shard, steps), rows.ravel(), stored)

    def _stored(self, samples: "_Samples") -> list[Blocks | None]:
        """How the points of the samples are stored: one entry for all, or one for each."""
        return [None]

    def _domains(self, samples: "_Samples", stored: list[Blocks | None]) -> list[Domain]:
        if self._grid is not None:
            return [self._grid]
        numbers = samples.shard.tolist(), samples.trajectory.tolist()
        return [self._point_domain(samples.shards[s], g) for s, g in zip(*numbers, strict=True)]

    def _read_point_domain(self, shard: Shard, geometry: int) -> Domain:
        frame = StoredFrames(self.pool, [shard.coords], np.zeros(1, np.int64), np.array([geometry]), [None])
        coords = np.array(frame[0])
        return Domain(num_points=len(coords), coords=coords)


@dataclass(frozen=True)
class _Samples:
    """The shards that some samples come from, the number of each sample's shard among them, and of its trajectory in
    that shard."""

    shards: list[Shard]
    shard: np.ndarray
    trajectory: np.ndarray

    def time(self, rows: np.ndarray) -> np.ndarray:
        """The times of frames at rows (samples, steps)."""
        time = np.empty(rows.shape)
        for number, shard in enumerate(self.shards):
            here = self.shard == number
            time[here] = shard.time[rows[here]]
        return time

    def params(self, count: int) -> np.ndarray:
        """(samples, count), the parameters of the samples' trajectories."""
        params = np.empty((len(self.shard), count))
        for number, shard in enumerate(self.shards):
            here = self.shard == number
            params[here] = shard.params[self.trajectory[here]]
        return params


def grid_domain(manifest: Manifest) -> Domain | None:
    """The domain that all samples of a grid dataset share; None for points."""
    if manifest.grid is None:
        return None
    return Domain(num_points=manifest.num_points, grid_shape=manifest.grid.shape, coords=manifest.grid.coords())
