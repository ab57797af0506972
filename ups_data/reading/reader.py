"""From numbers of samples to samples: opened shards, a pool, views."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ups_data.batch import Fetched, Recipe, SampleBlock, Wanted
from ups_data.plan.samples import Samples, Table
from ups_data.points.domain import Domain
from ups_data.reading.cells import CellRows, Cells
from ups_data.reading.frames import StoredFrames
from ups_data.reading.geometry import Geometries, Geometry, Origin, Place, reads_of
from ups_data.reading.importance import TileImportance, TileRows
from ups_data.reading.masks import MaskRequest, Masks
from ups_data.reading.pool import Pool
from ups_data.sampling import Stream
from ups_data.schema import Manifest
from ups_data.store.object_store import ObjectStore
from ups_data.store.shard import Shard


class Request(NamedTuple):
    """The samples of a block before their points are drawn.

    Attributes:
        numbers: of the samples.
        moment: see `Sample`.
        origin, input_rows, target_rows: where their frames lie, `(samples, steps)`.
        places: where the geometries are.
        importance: of the draws that look at it.
        cells: of the draws that look at how large the points' cells are.
        masks: of the frames; None: all points count.
        wanted: what is read of the last four.
    """

    numbers: NDArray[np.int64]
    epoch: int
    moment: float
    origin: Origin
    input_rows: NDArray[np.int64]
    target_rows: NDArray[np.int64]
    places: list[Place]
    importance: dict[Stream, TileRows | None]
    cells: CellRows
    masks: MaskRequest | None
    wanted: Wanted


class SampleReader:
    """Reads samples of one split, and of one set of points where there are several. Threads may share it.

    Args:
        shards: of the split.
        table: the split's samples.
        pool: of decoded chunks.
        set_name: the set of points that the fields live on, where there are several.
        errors: of tiles, of the metric `error`; see `TileImportance`.
        skips: whether damaged samples are left out: then those of other shards must not depend on one.
    """

    def __init__(
        self,
        manifest: Manifest,
        shards: Sequence[Shard],
        table: Table,
        recipe: Recipe,
        pool: Pool,
        *,
        input_fields: tuple[str, ...],
        target_fields: tuple[str, ...],
        input_steps: int,
        horizon: int,
        dt_stride: int,
        set_name: str | None = None,
        errors: Tensor | None = None,
        skips: bool = False,
    ) -> None:
        recipe = replace(recipe, pool=pool)
        self.shards, self._table, self._recipe, self.pool = shards, table, recipe, pool
        self.set_name = set_name
        self._static = {f.name for f in manifest.fields if f.static}
        self._input_fields, self._target_fields = input_fields, target_fields
        # Frames of a sample, counted from its (last) input frame.
        self._before = np.arange(-(input_steps - 1), 1) * dt_stride
        self._after = np.arange(1, horizon + 1) * dt_stride if horizon else np.zeros(1, np.int64)
        self._geometries = Geometries(manifest, recipe, self.pool, set_name, shards if skips else ())
        self._importance = TileImportance(recipe, self.pool, set_name, errors)
        self._cells = Cells(manifest, recipe, self.pool, set_name)
        self._masks = Masks(manifest, recipe, self.pool, set_name)

    @property
    def store(self) -> ObjectStore:
        """What the shards lie in."""
        return self.shards[0].store

    def request(self, numbers: Sequence[int] | np.ndarray, epoch: int, moment: float | None = None) -> Request:
        """What making a block of the samples of those numbers begins with. `Request.wanted` lists what is read before
        its points can be drawn; nothing of that is read yet.

        Args:
            moment: see `Sample`; None: the epoch.

        Raises:
            UpsDataError: a shard is missing or its tables are damaged.
        """
        chosen = np.asarray(numbers)
        samples = self._table.at(chosen)
        rows, origin = samples.row, self._origin(samples)
        input_rows, target_rows = rows[:, None] + self._before, rows[:, None] + self._after
        moment = epoch if moment is None else moment
        places = self._geometries.places(origin, moment)
        importance = self._importance.wants(origin, input_rows[:, -1:], target_rows, moment)
        tiles = [rows.read for rows in importance.values() if rows is not None]
        masks = self._masks.wants(origin, input_rows, target_rows)
        cells = self._cells.wants(origin, input_rows[:, -1:], target_rows, moment, masks)
        of_masks = () if masks is None else masks.reads.values()
        wanted = Wanted([*reads_of(places), *tiles, *cells.reads, *of_masks])
        frames = input_rows, target_rows
        return Request(chosen, epoch, moment, origin, *frames, places, importance, cells, masks, wanted)

    def block(self, numbers: Sequence[int] | np.ndarray, epoch: int, moment: float | None = None) -> SampleBlock:
        """The samples of those numbers by column, in one go; no frame is read.

        Raises:
            UpsDataError: a shard is missing or damaged.
        """
        request = self.request(numbers, epoch, moment)
        return self.block_of(request, self.pool.fetch(request.wanted))

    def block_of(self, request: Request, fetched: Fetched) -> SampleBlock:
        """The samples of a request by column.

        Args:
            fetched: the request's `wanted`.

        Raises:
            UpsDataError: the order of points, or importance, is damaged.
        """
        chosen, epoch, moment, origin = request[:4]
        samples = self._table.at(chosen)
        input_rows, target_rows, steps = request.input_rows, request.target_rows, samples.step
        time, target_time = origin.time(input_rows[:, -1:]), origin.time(target_rows)
        geometries = self._geometries.know(request.places, fetched)
        # A sample's input frame is another one's target, of which few blocks are read: no other sample reads it whole.
        recipe, dense = self._recipe, self._recipe.dense
        alone = (
            dense
            and len(self._before) == 1
            and all(
                recipe.draws_blocks(recipe.sampling, points, moment)
                for points in {g.domain.num_points for g in geometries}
            )
        )
        masks = self._masks.of(request.masks, fetched, geometries)
        self._cells.know(request.cells, geometries, masks, fetched)
        importance = self._importance.of(request.importance, fetched, samples.trajectory, target_rows.shape[1])
        return SampleBlock(
            recipe=self._recipe,
            domains=[g.domain for g in geometries],
            epoch=epoch,
            moment=moment,
            trajectory=samples.trajectory,
            step=steps,
            repetition=chosen % self._recipe.repeats,
            target_steps=steps[:, None] + self._after,
            inputs={
                n: self._frames(n, origin, input_rows, geometries, inputs=True, alone=alone) for n in self._input_fields
            },
            targets={n: self._frames(n, origin, target_rows, geometries) for n in self._target_fields},
            input_positions=self._geometries.positions(origin, input_rows[:, -1:], geometries),
            target_positions=self._geometries.positions(origin, target_rows, geometries),
            time=time[:, 0],
            dt=target_time - time,
            params=origin.params(len(self._recipe.params)),
            importance=importance | self._cells.importance(request.cells),
            measures=self._cells.measures(request.cells, geometries),
            masks=masks,
        )

    def domains(self, trajectory: np.ndarray) -> list[Domain]:
        """The points of trajectories, `(n,)` numbers in the split: one for all of a grid, or one for each."""
        origin = self._origin(self._table.at(self._table.first_of(trajectory)))
        return [geometry.domain for geometry in self._geometries.of(origin, None)]

    def _origin(self, samples: Samples) -> Origin:
        shards, shard = np.unique(samples.shard, return_inverse=True)
        return Origin([self.shards[s] for s in shards.tolist()], shard, samples.static_row)

    def read_bytes(self) -> int:
        """Stored bytes of the chunks fetched so far, of mapped chunks at every use."""
        return sum(shard.read_bytes() for shard in self.shards)

    def fetch_seconds(self) -> float:
        """Time spent so far, over all threads, on opening, reading and checking stored bytes."""
        return sum(shard.fetch_seconds() for shard in self.shards)

    def _frames(
        self,
        field: str,
        origin: Origin,
        rows: np.ndarray,
        geometries: list[Geometry],
        *,
        inputs: bool = False,
        alone: bool = False,
    ) -> StoredFrames:
        """Frames at rows (samples, steps), sample by sample; of a static field each sample's only one, for every step
        of the targets or once for its inputs. `alone`: see `StoredFrames`."""
        static = field in self._static
        if static:
            rows = np.repeat(origin.trajectory[:, None], 1 if inputs else rows.shape[1], axis=1)
        steps = rows.shape[1]
        stored = [g.stored for g in geometries for _ in range(steps if len(geometries) > 1 else 1)]
        arrays = [shard.field(field) for shard in origin.shards]
        return StoredFrames(
            self.pool, arrays, np.repeat(origin.shard, steps), rows.ravel(), stored, alone=alone and not static
        )
