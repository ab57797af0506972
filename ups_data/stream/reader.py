"""From numbers of samples to samples: opened shards, a pool, views."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ups_data.batch import Recipe, Sample
from ups_data.plan import SampleTable
from ups_data.sampling import Domain
from ups_data.schema import Manifest
from ups_data.shards.shard import Shard
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
        self._before = tuple(range(-(input_steps - 1) * dt_stride, 1, dt_stride))
        self._after = tuple(range(dt_stride, horizon * dt_stride + 1, dt_stride)) or (0,)
        self._points = (manifest.num_points, -1)
        self.pool = Pool(pool_bytes)
        self._grid = grid_domain(manifest)
        # The cache belongs to this reader, as its shards do.
        self._point_domain = lru_cache(GEOMETRIES)(self._read_point_domain)

    def samples(self, numbers: Sequence[int] | np.ndarray, epoch: int) -> list[Sample]:
        """The samples of those numbers, views into the pool.

        Raises:
            UpsDataError: a shard is missing or damaged.
        """
        table, chosen = self._table, np.asarray(numbers)
        columns = (table.shard, table.row, table.static_row, table.trajectory, table.step)
        places = zip(*(c[chosen].tolist() for c in columns), strict=True)
        return [self._sample(shard, row, static, run, step, epoch) for shard, row, static, run, step in places]

    def _sample(self, shard_number: int, row: int, static_row: int, trajectory: int, step: int, epoch: int) -> Sample:
        shard = self._shards[shard_number]
        time = float(shard.time[row])
        return Sample(
            recipe=self._recipe,
            domain=self._grid or self._point_domain(shard_number, static_row),
            trajectory=trajectory,
            step=step,
            epoch=epoch,
            inputs={n: self._frames(shard, n, row, static_row, self._before) for n in self._input_fields},
            targets={n: self._frames(shard, n, row, static_row, self._after) for n in self._target_fields},
            target_steps=tuple([step + a for a in self._after]),
            time=time,
            dt=tuple([float(shard.time[row + a]) - time for a in self._after]),
            params=shard.params[static_row],
        )

    def fetch_seconds(self) -> float:
        """Time spent so far, over all threads, on opening, reading and checking stored bytes."""
        return sum(shard.fetch_seconds() for shard in self._shards)

    def _frames(
        self, shard: Shard, field: str, row: int, static_row: int, offsets: tuple[int, ...]
    ) -> list[np.ndarray]:
        array = shard.field(field)
        if field in self._static:
            frames = [self.pool.row(array, static_row)] * (1 if offsets is self._before else len(offsets))
        else:
            frames = [self.pool.row(array, row + offset) for offset in offsets]
        return [f.reshape(self._points) for f in frames]

    def _read_point_domain(self, shard: int, geometry: int) -> Domain:
        coords = np.array(self.pool.row(self._shards[shard].coords, geometry))
        return Domain(num_points=len(coords), coords=coords)


def grid_domain(manifest: Manifest) -> Domain | None:
    """The domain that all samples of a grid dataset share; None for points."""
    if manifest.grid is None:
        return None
    return Domain(num_points=manifest.num_points, grid_shape=manifest.grid.shape, coords=manifest.grid.coords())
