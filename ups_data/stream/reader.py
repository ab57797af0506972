"""From numbers of samples to samples: opened shards, a pool, views."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ups_data.batch import Recipe, SampleBlock
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
        self._before = np.arange(-(input_steps - 1), 1) * dt_stride
        self._after = np.arange(1, horizon + 1) * dt_stride if horizon else np.zeros(1, np.int64)
        self._points = (manifest.num_points, -1)
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
        numbers_of_shards = table.shard[chosen]
        shards = [self._shards[s] for s in numbers_of_shards.tolist()]
        input_rows, target_rows = rows[:, None] + self._before, rows[:, None] + self._after
        time = np.empty(len(chosen))
        target_time = np.empty(target_rows.shape)
        params = np.empty((len(chosen), len(self._recipe.params)))
        for number in np.unique(numbers_of_shards):
            here = numbers_of_shards == number
            shard = self._shards[number]
            time[here], target_time[here] = shard.time[rows[here]], shard.time[target_rows[here]]
            params[here] = shard.params[static_rows[here]]
        return SampleBlock(
            recipe=self._recipe,
            domains=self._domains(numbers_of_shards.tolist(), static_rows.tolist()),
            epoch=epoch,
            trajectory=table.trajectory[chosen],
            step=steps,
            target_steps=steps[:, None] + self._after,
            inputs={n: self._frames(n, shards, input_rows, static_rows) for n in self._input_fields},
            targets={
                n: self._frames(n, shards, target_rows, static_rows, repeat=len(self._after))
                for n in self._target_fields
            },
            time=time,
            dt=target_time - time[:, None],
            params=params,
        )

    def fetch_seconds(self) -> float:
        """Time spent so far, over all threads, on opening, reading and checking stored bytes."""
        return sum(shard.fetch_seconds() for shard in self._shards)

    def _frames(
        self, field: str, shards: list[Shard], rows: np.ndarray, static_rows: np.ndarray, *, repeat: int = 1
    ) -> list[np.ndarray]:
        """Frames `(N, C)` at rows (samples, steps), sample by sample; of a static field, each sample's one `repeat`
        times."""
        if field in self._static:
            rows = np.repeat(static_rows[:, None], repeat, axis=1)
        row, points = self.pool.row, self._points
        return [
            row(array, r).reshape(points)
            for array, of_sample in zip([s.field(field) for s in shards], rows.tolist(), strict=True)
            for r in of_sample
        ]

    def _domains(self, shards: list[int], geometries: list[int]) -> list[Domain]:
        if self._grid is not None:
            return [self._grid]
        return [self._point_domain(s, g) for s, g in zip(shards, geometries, strict=True)]

    def _read_point_domain(self, shard: int, geometry: int) -> Domain:
        coords = np.array(self.pool.row(self._shards[shard].coords, geometry))
        return Domain(num_points=len(coords), coords=coords)


def grid_domain(manifest: Manifest) -> Domain | None:
    """The domain that all samples of a grid dataset share; None for points."""
    if manifest.grid is None:
        return None
    return Domain(num_points=manifest.num_points, grid_shape=manifest.grid.shape, coords=manifest.grid.coords())
