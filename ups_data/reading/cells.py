"""How large the cells of the points are that a block draws from: for weights, and for draws that prefer large ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ups_data.batch import Fetched, Measure, Read, Recipe
from ups_data.errors import UpsDataError
from ups_data.points.blocks import Blocks
from ups_data.points.domain import Domain
from ups_data.points.part import Part
from ups_data.points.tiles import num_tiles, tiles_in
from ups_data.reading.frames import StoredFrames
from ups_data.reading.geometry import Geometry, Origin, raw_row
from ups_data.reading.masks import MaskRequest, Recent
from ups_data.reading.pool import Pool
from ups_data.sampling import Stream
from ups_data.schema import Manifest
from ups_data.schema.measures import cells_of, size_field
from ups_data.store.shard import Shard

# Of a frame: its shard, the row of its sizes there and the number of its mask, -1: all its points count. On a grid
# whose axes give the sizes, the row is -1, and there is no shard where all points count: those frames are alike.
Key = tuple[Shard | None, int, int]
KEPT_TILES = 256  # frames of which the sizes of tiles are kept, at most 32 KB each


class Frame(NamedTuple):
    """A frame whose cells are looked at for the first time.

    Attributes:
        stream, number: which frame of which draw it is.
        sample: of the frame.
        read: of its sizes; None: the grid's axes give them.
    """

    stream: Stream
    number: int
    sample: int
    read: Read | None


class CellRows(NamedTuple):
    """What the draws of a block look at.

    Attributes:
        origin: of the samples.
        keys: of each frame, of each draw.
        preferring: the draws that look at the tiles' sizes.
        unknown: of frames that were not looked at before, one for each key.
        tiles: mean sizes in the tiles of the frames of draws that prefer large ones; complete after `Cells.know`.
    """

    origin: Origin
    keys: Mapping[Stream, list[Key]]
    preferring: Sequence[Stream]
    unknown: Mapping[Key, Frame]
    tiles: dict[Key, NDArray[np.float64]]

    @property
    def reads(self) -> list[Read]:
        """Every one once."""
        return [frame.read for frame in self.unknown.values() if frame.read is not None]


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
        self._means: dict[Key, float] = {} if self._field is not None else {(None, -1, -1): 1.0}
        self._of_tiles: Recent[NDArray[np.float64]] = Recent(KEPT_TILES)

    def wants(
        self,
        origin: Origin,
        input_rows: NDArray[np.int64],
        target_rows: NDArray[np.int64],
        moment: float,
        masks: MaskRequest | None = None,
    ) -> CellRows:
        """What the draws of some samples look at, and what is read for it before anything is drawn.

        Args:
            input_rows, target_rows: `(samples, steps)`, rows of the frames in their shards.
            masks: of the same frames; None: all points count.

        Raises:
            UpsDataError: stored sizes are missing.
        """
        preferring = [s for s, sampling in self._preferring.items() if sampling.uses_importance(moment)]
        keys: dict[Stream, list[Key]] = {}
        unknown: dict[Key, Frame] = {}
        known: dict[Key, NDArray[np.float64]] = {}
        for stream in dict.fromkeys([*self._weighed, *preferring]):
            rows = target_rows if stream is Stream.TARGET_QUERIES else input_rows
            if self._static:
                rows = np.broadcast_to(origin.trajectory[:, None], rows.shape)
            numbers = np.full(rows.shape, -1) if masks is None else masks.rows[stream]
            keys[stream] = list(self._keys(origin, rows, numbers))
            for number, key in enumerate(keys[stream]):
                tiles = self._of_tiles.get(key) if stream in preferring else None
                if tiles is not None:
                    known[key] = tiles
                elif (stream in preferring or key not in self._means) and key not in unknown:
                    sample = number // rows.shape[1]
                    unknown[key] = Frame(stream, number, sample, self._whole(key, int(origin.trajectory[sample])))
        return CellRows(origin, keys, preferring, unknown, known)

    def know(
        self,
        wanted: CellRows,
        geometries: Sequence[Geometry],
        masks: Mapping[Stream, Sequence[Domain]],
        fetched: Fetched,
    ) -> None:
        """Remember the mean sizes of what is looked at for the first time, and those of tiles.

        Args:
            geometries: of the samples, one for all of a grid.
            masks: see `Masks.of`.
            fetched: what `wanted.reads` lists.

        Raises:
            UpsDataError: sizes that are negative or not finite, or all 0.
        """
        for key, frame in wanted.unknown.items():
            geometry = geometries[frame.sample % len(geometries)]
            domain = masks[frame.stream][frame.number] if masks else geometry.domain
            if frame.read is None:
                sizes = self._of_grid(domain)
            else:
                sizes = _sizes(geometry, domain, fetched.source(frame.read).array(0)[:, 0])
            mean = self._means[key] if key[0] is None else float(sizes.mean())
            if not (np.isfinite(mean) and mean > 0 and sizes.min() >= 0):
                shard, row, _ = key
                assert shard is not None
                raise UpsDataError(
                    f"{shard.store.name(shard.key)}: field {self._field!r} holds sizes that are negative, not finite "
                    f"or all 0 in row {row}, so nothing can be weighted by them: correct it in the source, or leave "
                    "measure='count'"
                )
            if wanted.preferring:
                wanted.tiles[key] = self._of_tiles.keep(key, self._per_tile(domain, sizes))
            self._means[key] = mean

    def measures(self, wanted: CellRows, geometries: Sequence[Geometry]) -> dict[Stream, Measure]:
        """Of each query set whose weights estimate integrals, the cells of each frame."""
        found: dict[Stream, Measure] = {}
        for stream in self._weighed:
            keys, origin = wanted.keys[stream], wanted.origin
            means = np.array([self._means[key] for key in keys])
            if self._field is None:
                found[stream] = Measure(None, means, self._grid)
                continue
            steps = len(keys) // len(origin.shard)
            stored = [g.stored for g in geometries for _ in range(steps if len(geometries) > 1 else 1)]
            arrays = [shard.field(self._field) for shard in origin.shards]
            rows = np.array([row for _, row, _ in keys])
            found[stream] = Measure(
                StoredFrames(self._pool, arrays, np.repeat(origin.shard, steps), rows, stored), means
            )
        return found

    def importance(self, wanted: CellRows) -> dict[Stream, NDArray[np.floating]]:
        """`(samples * steps, K)` for each draw that prefers tiles of large cells: the mean size in each tile."""
        found: dict[Stream, NDArray[np.floating]] = {}
        for stream in wanted.preferring:
            keys = wanted.keys[stream]
            if len(set(keys)) == 1:
                found[stream] = np.broadcast_to(wanted.tiles[keys[0]], (len(keys), self._tiles))
            else:
                found[stream] = np.stack([wanted.tiles[key] for key in keys])
        return found

    def _keys(self, origin: Origin, rows: NDArray[np.int64], masks: NDArray[np.int64]) -> Iterator[Key]:
        """Of each frame, sample by sample."""
        for shard, of_sample, numbers in zip(origin.shard.tolist(), rows.tolist(), masks.tolist(), strict=True):
            for row, number in zip(of_sample, numbers, strict=True):
                if self._field is not None:
                    yield origin.shards[shard], row, number
                else:
                    yield (origin.shards[shard] if number >= 0 else None), -1, number

    def _of_grid(self, domain: Domain) -> NDArray[np.float64]:
        """`(M,)`, as the grid's axes give them, of the points that count."""
        numbers = domain.candidates if isinstance(domain, Part) else np.arange(domain.num_points)
        return np.ones(len(numbers)) if self._grid is None else self._grid.at(numbers)

    def _whole(self, key: Key, trajectory: int) -> Read | None:
        shard, row, _ = key
        if self._field is None or shard is None:
            return None
        blocks = self._manifest.num_blocks(shard.num_points(self._set_name, trajectory), self._set_name)
        return raw_row(self._pool, shard.field(self._field), row, blocks).wants()

    def _per_tile(self, domain: Domain, sizes: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(K,)`, zeros behind the tiles of a frame of fewer points."""
        tiles = tiles_in(domain, min(self._tiles, domain.all_points))
        return np.pad(tiles.mean(sizes), (0, self._tiles - len(tiles)))


def _sizes(geometry: Geometry, domain: Domain, as_stored: NDArray[np.floating]) -> NDArray[np.float64]:
    """`(M,)` of the points of a frame that count; row-major if the order of its points is known.

    Args:
        domain: the geometry's, or the part of it that counts.
    """
    stored = geometry.stored
    if isinstance(domain, Part) and domain.whole is not None and not isinstance(domain.whole.blocks, Blocks | None):
        assert domain.slots is not None
        return as_stored[: len(domain.slots)][domain.slots].astype(np.float64)
    if isinstance(stored, Blocks):
        as_stored = as_stored[stored.slots]
    elif stored is not None:
        full = np.arange(stored.block_points) < stored.counts[:, None]
        as_stored = as_stored[: full.size][full.ravel()]
    sizes = as_stored[: geometry.domain.num_points].astype(np.float64)
    return sizes[domain.counted] if isinstance(domain, Part) else sizes
