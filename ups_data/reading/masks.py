"""The points that count in the frames that a block of samples draws from, or sees whole."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ups_data.batch import Fetched, Pieces, Read, Recipe
from ups_data.points.blocks import Blocks
from ups_data.points.domain import Domain
from ups_data.points.part import part_of
from ups_data.reading.geometry import Geometry, Origin, raw_row
from ups_data.reading.pool import Pool
from ups_data.sampling import Stream
from ups_data.schema import Manifest
from ups_data.store.shard import Shard

MASKS = 64  # that are kept, but
KEPT_POINTS = 2**24  # no more points of them all, a few dozen bytes each; at least two masks are kept

T = TypeVar("T")
Key = tuple[str, int]  # a shard's, and the number of a mask there


class Mask(NamedTuple):
    """A mask as it is stored, and what tells it from others."""

    slots: NDArray[np.bool_]
    digest: bytes


class MaskRequest(NamedTuple):
    """What is known of a block's masks before they are read.

    Attributes:
        rows: stream → `(samples, steps)`, the number of each frame's mask in its shard, -1: all its points count.
        shards: `(samples,)`, of each.
        known: masks that are in memory.
        reads: of the others.
    """

    rows: dict[Stream, NDArray[np.int64]]
    shards: list[Shard]
    known: dict[Key, Mask]
    reads: dict[Key, Read]


class Masks:
    """Of one split and one set of points. A mask is read once, and kept for a while with what draws need to know of it:
    one that is constant over a trajectory costs next to nothing after its first use."""

    def __init__(self, manifest: Manifest, recipe: Recipe, pool: Pool, set_name: str | None) -> None:
        self._manifest, self._recipe, self._pool, self._set_name = manifest, recipe, pool, set_name
        self._some = manifest.mask(set_name) is not None
        most = max(manifest.max_points(split, set_name) for split in manifest.splits) if self._some else 1
        kept = max(2, min(MASKS, KEPT_POINTS // most))
        self._masks: Recent[Mask] = Recent(kept)
        self._parts: Recent[tuple[Domain, Domain]] = Recent(kept)
        self._tables: dict[str, NDArray[np.int64] | None] = {}  # of shards

    def wants(
        self, origin: Origin, input_rows: NDArray[np.int64], target_rows: NDArray[np.int64]
    ) -> MaskRequest | None:
        """The masks of some samples' frames; None: all points of the dataset count. Nothing is read yet but the tables
        that say which frame has which mask.

        Args:
            origin: of the samples.
            input_rows, target_rows: `(samples, steps)`, rows of the frames in their shards.

        Raises:
            UpsDataError: a table is missing or damaged.
        """
        if not self._some:
            return None
        recipe, last = self._recipe, input_rows[:, -1:]
        frames = {Stream.INPUTS: input_rows if recipe.dense else last, Stream.TARGET_QUERIES: target_rows}
        frames |= {Stream.INPUT_QUERIES: last} if recipe.input_queries else {}
        frames |= {Stream.LATTICE_QUERIES: last} if recipe.lattice_queries else {}
        rows = {stream: self._numbers(origin, wanted) for stream, wanted in frames.items()}
        shards = [origin.shards[number] for number in origin.shard.tolist()]
        request = MaskRequest(rows, shards, {}, {})
        for of_stream in rows.values():
            for shard, trajectory, numbers in zip(shards, origin.trajectory.tolist(), of_stream.tolist(), strict=True):
                for number in numbers:
                    self._want(request, shard, trajectory, number)
        return request

    def of(
        self, request: MaskRequest | None, fetched: Fetched, geometries: Sequence[Geometry]
    ) -> dict[Stream, list[Domain]]:
        """Stream → the domain of each frame, sample by sample, step by step: a `Part` where some points do not count;
        {}: all count.

        Args:
            fetched: the request's reads.
            geometries: of the samples, one for all or one for each.

        Raises:
            UpsDataError: a mask is damaged.
        """
        if request is None:
            return {}
        masks = dict(request.known)
        for key, read in request.reads.items():
            masks[key] = self._masks.keep(key, _decoded(fetched.source(read)))
        found: dict[Stream, list[Domain]] = {}
        for stream, rows in request.rows.items():
            domains = found[stream] = []
            for sample, (shard, numbers) in enumerate(zip(request.shards, rows.tolist(), strict=True)):
                geometry = geometries[sample if len(geometries) > 1 else 0]
                domains += [geometry.domain if n < 0 else self._part(geometry, masks[shard.key, n]) for n in numbers]
        return found

    def _want(self, request: MaskRequest, shard: Shard, trajectory: int, number: int) -> None:
        key = shard.key, number
        if number < 0 or key in request.known or key in request.reads:
            return
        known = self._masks.get(key)
        if known is not None:
            request.known[key] = known
            return
        array, blocks = shard.mask(self._set_name), 1
        if self._manifest.grid is None:
            blocks = self._manifest.num_blocks(shard.num_points(self._set_name, trajectory), self._set_name)
        request.reads[key] = raw_row(self._pool, array, number, blocks).wants()

    def _part(self, geometry: Geometry, mask: Mask) -> Domain:
        """The points that count. Equal masks of one domain make one part, so that their samples are drawn at once."""
        key = id(geometry.domain), mask.digest
        found = self._parts.get(key)
        if found is None:  # the domain is kept with it, so that no other one gets its id
            found = self._parts.keep(key, (geometry.domain, part_of(geometry.domain, _placed(geometry, mask.slots))))
        return found[1]

    def _numbers(self, origin: Origin, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        numbers = np.full(rows.shape, -1, np.int64)
        for place, shard in enumerate(origin.shards):
            if shard.key not in self._tables:
                self._tables[shard.key] = shard.mask_rows(self._set_name)
            table = self._tables[shard.key]
            if table is not None:
                here = origin.shard == place
                numbers[here] = table[rows[here]]
        return numbers


class Recent(Generic[T]):
    """The values that were asked for last, so many at most; threads may share it."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._kept: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        """The value, if it is kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: Hashable, value: T) -> T:
        """The value, or the one that another thread has kept meanwhile."""
        with self._lock:
            value = self._kept.setdefault(key, value)
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return value


def _decoded(source: Pieces) -> Mask:
    slots = source.array(0)[:, 0] != 0
    return Mask(slots, hashlib.blake2b(np.packbits(slots).tobytes(), digest_size=16).digest())


def _placed(geometry: Geometry, slots: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A stored mask in the order in which the domain has its slots."""
    domain, stored = geometry
    if domain.blocks is not None:
        return slots[: len(domain.blocks) * domain.blocks.block_points]
    return slots[stored.slots] if isinstance(stored, Blocks) else slots[: domain.num_points]
