"""Where the points of samples are, and in which order they are stored."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ups_data.batch import Fetched, Pieces, Positions, Read, Recipe, Stored, Wanted
from ups_data.errors import UpsDataError
from ups_data.points.blocks import Blocks, BlockSizes, block_counts, single_block
from ups_data.points.domain import Domain
from ups_data.points.lookup.slotted import slotted_blocks
from ups_data.reading.frames import StoredFrames
from ups_data.reading.pool import Pool
from ups_data.schema import Manifest
from ups_data.store.arrays.channels import as_numbers
from ups_data.store.arrays.direct import DirectArray
from ups_data.store.arrays.stored import StoredArray
from ups_data.store.shard import Shard

# Geometries kept with their orders and space-filling curves; a grid has one.
GEOMETRIES = 64


@dataclass(frozen=True)
class Origin:
    """Where some samples come from.

    Attributes:
        shards: those that the samples lie in.
        shard: `(n,)`, the number of each sample's shard among them.
        trajectory: `(n,)`, the number of its trajectory in that shard.
    """

    shards: list[Shard]
    shard: NDArray[np.int64]
    trajectory: NDArray[np.int64]

    def time(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The times of frames at rows (samples, steps)."""
        time = np.empty(rows.shape)
        for number, shard in enumerate(self.shards):
            here = self.shard == number
            time[here] = shard.time[rows[here]]
        return time

    def params(self, count: int) -> NDArray[np.float64]:
        """(samples, count), the parameters of the samples' trajectories."""
        params = np.empty((len(self.shard), count))
        for number, shard in enumerate(self.shards):
            here = self.shard == number
            params[here] = shard.params[self.trajectory[here]]
        return params


class Geometry(NamedTuple):
    """The points of one trajectory, or of a grid: to draw from, and as they are stored."""

    domain: Domain
    stored: Stored


@dataclass(slots=True, eq=False)
class Place:
    """A trajectory's geometry: what is read for it, until it has been read.

    Attributes:
        geometry: None until `Geometries.know`.
        index, coords: the reads of the stored order and of the coordinates; None where they are not asked for.
    """

    shard: Shard
    trajectory: int
    geometry: Geometry | None = None
    index: Read | None = None
    coords: Read | None = None


class Geometries:
    """The geometries of a split, read as far as its recipe needs them.

    Where nothing but blocks is drawn, nothing is read: which points a block holds lies beside its values.

    Args:
        shards: from the first intact one of which a grid's geometry is read, which all have; none: from that of the
            sample that is read first.
    """

    def __init__(
        self,
        manifest: Manifest,
        recipe: Recipe,
        pool: Pool,
        set_name: str | None,
        shards: Sequence[Shard] = (),
    ) -> None:
        self._shards = shards
        self._manifest, self._recipe, self._pool, self._set_name = manifest, recipe, pool, set_name
        self._samplings = [s for s in (recipe.sampling, recipe.inputs) if s is not None]
        modes = [mode for sampling in self._samplings for mode in sampling.records]
        self._needs_blocks = any(mode.needs_blocks for mode in modes)
        self._needs_coordinates = any(mode.needs_coordinates for mode in modes)
        self._grid: Geometry | None = None
        self._lock = threading.Lock()
        # The caches belong to this object, as the shards do.
        self._of_points = lru_cache(GEOMETRIES)(self._place)
        # Samples of the same domain are drawn at once: all of as many points, where nothing else counts.
        self._of_sizes = lru_cache(GEOMETRIES)(self._sized)
        self._of_number = lru_cache(GEOMETRIES)(Domain)
        self._suffice = lru_cache(GEOMETRIES)(self._sizes_suffice)

    def places(self, origin: Origin, epoch: float | None) -> list[Place]:
        """One for all samples of a grid; one for each where they are points. What they read is listed, not yet read.

        A grid's geometry, the same for all shards, belongs to what is opened: it is read here the first time.

        Args:
            epoch: whose draws they are for; None: with all that any draw looks at.
        """
        if self._manifest.grid is not None:
            if self._grid is None:
                with self._lock:  # of several threads, one reads it
                    if self._grid is None:
                        self._grid = self._of_grid(self._shards or origin.shards[:1])
            return [Place(origin.shards[0], 0, self._grid)]
        found = []
        for number, trajectory in zip(origin.shard.tolist(), origin.trajectory.tolist(), strict=True):
            shard = origin.shards[number]
            points = shard.num_points(self._set_name, trajectory)
            found.append(self._of_points(shard, trajectory, self._suffice(points, epoch)))
        return found

    def know(self, places: Sequence[Place], fetched: Fetched) -> list[Geometry]:
        """The geometries of places, of which `reads_of` was fetched.

        Raises:
            UpsDataError: the order of points is damaged.
        """
        found = []
        for place in places:
            if place.geometry is None:
                place.geometry = self._known(place, fetched)
            found.append(place.geometry)
        return found

    def of(self, origin: Origin, epoch: float | None) -> list[Geometry]:
        """The same in one go.

        Raises:
            UpsDataError: the order or the coordinates of points are missing or damaged.
        """
        places = self.places(origin, epoch)
        return self.know(places, self._pool.fetch(Wanted(reads_of(places))))

    def positions(self, origin: Origin, rows: NDArray[np.int64], geometries: Sequence[Geometry]) -> Positions | None:
        """Of the points in the frames at rows (samples, steps); None for a grid, whose domain has them."""
        if self._manifest.grid is not None:
            return None
        steps = rows.shape[1]
        once = np.repeat(origin.trajectory[:, None], steps, axis=1)
        stored = [g.stored for g in geometries for _ in range(steps)]

        def frames(arrays: list[StoredArray], rows: NDArray[np.int64]) -> StoredFrames:
            return StoredFrames(self._pool, arrays, np.repeat(origin.shard, steps), rows.ravel(), stored)

        by_frame = self._manifest.coords_by_frame(self._set_name)
        coords = frames([s.coords(self._set_name) for s in origin.shards], rows if by_frame else once)
        if not any(isinstance(s, BlockSizes) and len(s) > 1 for s in stored):
            return Positions(coords, None)
        # In a pack, the frame's own row: its chunks hold its values too.
        numbers = rows if self._manifest.pack_of_index(self._set_name) is not None else once
        return Positions(coords, frames([s.index(self._set_name) for s in origin.shards], numbers))

    def _of_grid(self, shards: Sequence[Shard]) -> Geometry:
        for shard in shards[:-1]:
            with suppress(UpsDataError):
                return grid_geometry(self._manifest, shard)
        return grid_geometry(self._manifest, shards[-1])

    def _sizes_suffice(self, points: int, epoch: float | None) -> bool:
        """Whether blocks are drawn without asking which points they hold."""
        recipe = self._recipe
        if epoch is None or recipe.dense:
            return False
        return all(recipe.draws_blocks(s, points, epoch) for s in self._samplings)

    def _sized(self, points: int) -> Geometry:
        """Of blocks whose points are not known."""
        count, slots = self._manifest.num_blocks(points, self._set_name), self._manifest.block_points(self._set_name)
        stored = BlockSizes(block_counts(points, count), slots)
        return Geometry(Domain(num_points=points, blocks=stored), stored)

    def _place(self, shard: Shard, trajectory: int, sizes_suffice: bool) -> Place:
        """What is to be read, if anything is."""
        manifest, name = self._manifest, self._set_name
        points = shard.num_points(name, trajectory)
        count, place = manifest.num_blocks(points, name), Place(shard, trajectory)
        if count > 1 and sizes_suffice:
            place.geometry = self._of_sizes(points)
            return place
        if count > 1:
            place.index = raw_row(self._pool, shard.index(name), shard.index_row(name, trajectory), count).wants()
        if self._needs_coordinates:
            place.coords = raw_row(self._pool, shard.coords(name), shard.coords_row(name, trajectory), count).wants()
        return place

    def _known(self, place: Place, fetched: Fetched) -> Geometry:
        shard, name = place.shard, self._set_name
        points, slots = shard.num_points(name, place.trajectory), self._manifest.block_points(name)
        stored: Stored
        by_number = not (self._needs_blocks or self._needs_coordinates or self._recipe.dense)
        if place.index is not None and by_number:
            stored = self._slotted(place, fetched.source(place.index))
        elif place.index is not None:
            numbers = as_numbers(fetched.source(place.index).array(0)[:, 0])
            stored = shard.geometry(name, place.trajectory, numbers)
        else:
            stored = None if points == slots else BlockSizes(np.array([points]), slots)
        if not (self._needs_blocks or self._needs_coordinates):
            return Geometry(self._of_number(points), stored)
        blocks, coords = stored, None
        if self._manifest.blocks == 1:
            blocks = None
        elif place.index is None:
            blocks = single_block(points, slots)
        if place.coords is not None:
            as_stored = fetched.source(place.coords).array(0)
            coords = as_stored[stored.slots] if isinstance(stored, Blocks) else np.array(as_stored[:points])
        return Geometry(Domain(num_points=points, coords=coords, blocks=blocks), stored)

    def _slotted(self, place: Place, index: Pieces) -> Blocks:
        """The order of points that are only looked up by their numbers: read block by block, and let go."""
        shard, name = place.shard, self._set_name
        columns = [slice(number, number + 1) for number in range(index.buffer.shape[1])]
        each = (replace(index, buffer=index.buffer[:, c], offset=index.offset[:, c]) for c in columns)
        parts = (as_numbers(piece.array(0)[:, 0]) for piece in each)
        points, of_set = shard.num_points(name, place.trajectory), "" if name is None else f"/{name}"
        where = f"shard {shard.store.name(shard.key)}, points{of_set}/index: geometry {place.trajectory}"
        blocks = slotted_blocks(parts, points, len(columns), where)
        if isinstance(array := shard.index(name), DirectArray):
            array.let_go()
        return blocks


def raw_row(pool: Pool, array: StoredArray, row: int, blocks: int) -> StoredFrames:
    """The first so many blocks of a row as they are stored."""
    sizes = BlockSizes(np.full(blocks, array.block_points), array.block_points)
    return StoredFrames(pool, [array], np.zeros(1, np.int64), np.array([row]), [sizes])


def reads_of(places: Sequence[Place]) -> list[Read]:
    """What is to be read before the geometries of places are known."""
    unknown = [place for place in places if place.geometry is None]
    return [read for place in dict.fromkeys(unknown) for read in (place.index, place.coords) if read is not None]


def grid_geometry(manifest: Manifest, shard: Shard) -> Geometry:
    """The geometry that all samples of a grid dataset share."""
    assert manifest.grid is not None
    blocks = shard.geometry(None, 0)
    domain = Domain(
        num_points=manifest.num_points,
        grid_shape=manifest.grid.shape,
        coords=manifest.grid.coords(),
        blocks=blocks,
        periodic=tuple(bool(axis.periodic) for axis in manifest.grid.axes),
    )
    return Geometry(domain, blocks)
