"""How large the cells of the points are that a block draws from: for weights, and for draws that prefer large ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ups_data.batch import Fetched, Measure, Read, Recipe
from ups_data.errors import UpsDataError
from ups_data.points.blocks import Blocks
from ups_data.points.tiles import num_tiles, tiles_in
from ups_data.reading.frames import StoredFrames
from ups_data.reading.geometry import Geometry, Origin, raw_row
from ups_data.reading.pool import Pool
from ups_data.sampling import Stream
from ups_data.schema import Manifest
from ups_data.schema.measures import cells_of, size_field
from ups_data.store.shard import Shard

Row = tuple[Shard, int]  # of the field of sizes


class CellRows(NamedTuple):
    """What the draws of a block look at.

    Attributes:
        origin: of the samples.
        rows: `(samples, steps)` of each draw, of the field of sizes; on a grid without one, of the frames.
        preferring: the draws that look at the tiles' sizes.
        unknown: rows that were not looked at before, with the number of a sample that has them, and what is read.
    """

    origin: Origin
    rows: Mapping[Stream, NDArray[np.int64]]
    preferring: Sequence[Stream]
    unknown: Mapping[Row, tuple[int, Read]]

    @property
    def reads(self) -> list[Read]:
        """Every one once."""
        return [read for _, read in self.unknown.values()]


class Cells:
    """Of one set of points, or of a grid. The sizes of a mesh are read whole once, for their mean; then only those of
    the points drawn are. Nothing is read for a grid whose axes say how large its cells are.

    Args:
        recipe: whose draws they are for.
    """

    def __init__(self, manifest: Manifest, recipe: Recipe, pool: Pool, set_name: str | None) -> None:
        self._manifest, self._pool, self._set_name = manifest, pool, set_name
        queries = {Stream.TARGET_QUERIES: True, Stream.INPUT_QUERIES: recipe.input_queries}
        asked = {**queries, Stream.LATTICE_QUERIES: recipe.lattice_queries}
        self._weighed = [s for s, is_asked in asked.items() if is_asked and recipe.sampling.measure == "volume"]
        samplings = {Stream.INPUTS: recipe.inputs} | {s: recipe.sampling for s, is_asked in queries.items() if is_asked}
        self._preferring = {s: of for s, of in samplings.items() if of is not None and of.metric == "volume"}
        self._field = size_field(manifest, set_name) if self._weighed or self._preferring else None
        self._static = self._field is not None and manifest.field(self._field).static
        self._grid = cells_of(manifest) if self._field is None else None
        if self._field is None and self._grid is None:
            self._weighed = []  # all cells are equal
        self._tiles = num_tiles(max(manifest.max_points(split, set_name) for split in manifest.splits))
        self._means: dict[Row, float] = {}
        self._of_tiles: dict[Row | None, NDArray[np.float64]] = {}

    def wants(
        self, origin: Origin, input_rows: NDArray[np.int64], target_rows: NDArray[np.int64], moment: float
    ) -> CellRows:
        """What the draws of some samples look at, and what is read for it before anything is drawn.

        Args:
            input_rows, target_rows: `(samples, steps)`, rows of the frames in their shards.

        Raises:
            UpsDataError: stored sizes are missing.
        """
        preferring = [s for s, sampling in self._preferring.items() if sampling.uses_importance(moment)]
        rows = {
            s: target_rows if s is Stream.TARGET_QUERIES else input_rows
            for s in dict.fromkeys([*self._weighed, *preferring])
        }
        if self._static:
            rows = {s: np.broadcast_to(origin.trajectory[:, None], of.shape) for s, of in rows.items()}
        unknown: dict[Row, tuple[int, Read]] = {}
        for stream in rows if self._field is not None else ():
            for key, sample in self._keys(origin, rows[stream]):
                known = self._of_tiles if stream in preferring else self._means
                if key not in known and key not in unknown:
                    unknown[key] = sample, self._whole(key, int(origin.trajectory[sample]))
        return CellRows(origin, rows, preferring, unknown)

    def know(self, wanted: CellRows, geometries: Sequence[Geometry], fetched: Fetched) -> None:
        """Remember the mean sizes of what is looked at for the first time, and those of tiles.

        Args:
            geometries: of the samples, one for all of a grid.
            fetched: what `wanted.reads` lists.

        Raises:
            UpsDataError: sizes that are negative or not finite, or all 0.
        """
        for (shard, row), (sample, read) in wanted.unknown.items():
            geometry = geometries[sample % len(geometries)]
            sizes = _sizes(geometry, fetched.source(read).array(0)[:, 0])
            mean = float(sizes.mean())
            if not (np.isfinite(mean) and mean > 0 and sizes.min() >= 0):
                raise UpsDataError(
                    f"{shard.store.name(shard.key)}: field {self._field!r} holds sizes that are negative, not finite "
                    f"or all 0 in row {row}, so nothing can be weighted by them: correct it in the source, or leave "
                    "measure='count'"
                )
            if wanted.preferring:
                self._of_tiles[shard, row] = self._per_tile(geometry, sizes)
            self._means[shard, row] = mean
        if wanted.preferring and self._field is None and None not in self._of_tiles:
            numbers = np.arange(geometries[0].domain.num_points)
            sizes = np.ones(len(numbers)) if self._grid is None else self._grid.at(numbers)
            self._of_tiles[None] = self._per_tile(geometries[0], sizes)

    def measures(self, wanted: CellRows, geometries: Sequence[Geometry]) -> dict[Stream, Measure]:
        """Of each query set whose weights estimate integrals, the cells of each frame."""
        found: dict[Stream, Measure] = {}
        for stream in self._weighed:
            rows, origin = wanted.rows[stream], wanted.origin
            if self._field is None:
                found[stream] = Measure(None, np.ones(rows.size), self._grid)
                continue
            steps = rows.shape[1]
            stored = [g.stored for g in geometries for _ in range(steps if len(geometries) > 1 else 1)]
            arrays = [shard.field(self._field) for shard in origin.shards]
            frames = StoredFrames(self._pool, arrays, np.repeat(origin.shard, steps), rows.ravel(), stored)
            found[stream] = Measure(frames, np.array([self._means[key] for key, _ in self._keys(origin, rows)]))
        return found

    def importance(self, wanted: CellRows) -> dict[Stream, NDArray[np.floating]]:
        """`(samples * steps, K)` for each draw that prefers tiles of large cells: the mean size in each tile."""
        found: dict[Stream, NDArray[np.floating]] = {}
        for stream in wanted.preferring:
            rows = wanted.rows[stream]
            if self._field is None:
                found[stream] = np.broadcast_to(self._of_tiles[None], (rows.size, self._tiles))
            else:
                found[stream] = np.stack([self._of_tiles[key] for key, _ in self._keys(wanted.origin, rows)])
        return found

    def _keys(self, origin: Origin, rows: NDArray[np.int64]) -> Iterator[tuple[Row, int]]:
        """Of each frame its row, and the number of its sample."""
        for sample, (shard, of_sample) in enumerate(zip(origin.shard.tolist(), rows.tolist(), strict=True)):
            for row in of_sample:
                yield (origin.shards[shard], row), sample

    def _whole(self, key: Row, trajectory: int) -> Read:
        shard, row = key
        assert self._field is not None
        blocks = self._manifest.num_blocks(shard.num_points(self._set_name, trajectory), self._set_name)
        return raw_row(self._pool, shard.field(self._field), row, blocks).wants()

    def _per_tile(self, geometry: Geometry, sizes: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(K,)`, zeros behind the tiles of a frame of fewer points."""
        tiles = tiles_in(geometry.domain, min(self._tiles, geometry.domain.num_points))
        return np.pad(tiles.mean(sizes), (0, self._tiles - len(tiles)))


def _sizes(geometry: Geometry, as_stored: NDArray[np.floating]) -> NDArray[np.float64]:
    """`(N,)` of the slots of a frame; row-major if the order of its points is known."""
    stored = geometry.stored
    if isinstance(stored, Blocks):
        as_stored = as_stored[stored.slots]
    elif stored is not None:
        full = np.arange(stored.block_points) < stored.counts[:, None]
        as_stored = as_stored[: full.size][full.ravel()]
    return as_stored[: geometry.domain.num_points].astype(np.float64)
