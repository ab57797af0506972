"""What a manifest claims, compared with the bytes of the shards before memory is taken for it.

A dataset may come from anywhere. Three kilobytes of manifest can claim a hundred million frames, or frames of sixty
gigabytes, and a loader plans and numbers them before it opens the first shard.
"""

from collections.abc import Sequence

import numpy as np

from ups_data.errors import StoreError, UpsDataError, WrongSizeError
from ups_data.schema import MANIFEST, Manifest, ShardSpec, limits
from ups_data.store.arrays.codecs import CHECKSUM_BYTES
from ups_data.store.arrays.metadata import object_name
from ups_data.store.object_store import AGAIN, Object, ObjectStore
from ups_data.store.seal import load_seal

TIMES = "trajectories/time"
COORD_BYTES = 12  # of a point, at most


def check_claims(store: ObjectStore, manifest: Manifest, shards: Sequence[ShardSpec]) -> None:
    """Compare what is claimed of some shards: of as many as it takes until the rest may be believed.

    A few damaged or missing shards are for those who read them to notice.

    Raises:
        UpsDataError: shards have too few bytes for what the manifest claims of them, or too many are missing.
    """
    _check_frames(store, shards)
    for name in manifest.set_names:
        _check_points(store, manifest, shards, name)


def _check_frames(store: ObjectStore, shards: Sequence[ShardSpec]) -> None:
    """Every frame has its time, eight bytes that are stored as they are."""
    left, missing = sum(shard.rows for shard in shards), 0
    opened = []
    for shard in sorted(shards, key=lambda shard: -shard.rows):
        if left <= limits.BELIEVED_FRAMES:
            break
        left -= shard.rows
        try:
            opened.append(_opened_times(store, shard))
        except UpsDataError:
            missing += shard.rows
            if missing > limits.BELIEVED_FRAMES:
                raise
    if opened:  # the last byte of each, as a store need not know the size of what it opens
        ends = [np.array([o.size]) for o in opened]
        try:
            store.get_ranges([(o, end - 1, end) for o, end in zip(opened, ends, strict=True)])
        except StoreError as error:
            raise UpsDataError(f"{store.name(MANIFEST)}: claims more than is there ({error})") from None


def _opened_times(store: ObjectStore, shard: ShardSpec) -> Object:
    """The times of a shard's frames, or the largest part of them.

    Raises:
        UpsDataError: they are not there, or are too few.
    """
    needed = 8 * shard.rows
    try:
        return store.open(f"{shard.path}/{TIMES}/{object_name(0, 1)}", needed + CHECKSUM_BYTES)
    except WrongSizeError:
        pass  # another writer's chunks, perhaps
    except StoreError as error:
        raise UpsDataError(f"shard {store.name(shard.path)}, {TIMES}: {error}") from None
    seal = load_seal(store, shard.path, shard.digest)
    sizes = {name: seal.files[name][0] for name in seal.names(TIMES)}
    if sum(sizes.values()) < needed:
        raise UpsDataError(
            f"shard {store.name(shard.path)}: the manifest claims {shard.rows:,} frames, their times are "
            f"{sum(sizes.values()):,} bytes; {AGAIN}"
        )
    largest = max(sizes, key=lambda name: sizes[name])
    try:
        return store.open(f"{shard.path}/{largest}", sizes[largest])
    except StoreError as error:
        raise UpsDataError(f"shard {store.name(shard.path)}: {error}") from None


def _check_points(store: ObjectStore, manifest: Manifest, shards: Sequence[ShardSpec], set_name: str | None) -> None:
    """The largest frame's points, their coordinates and the values of its largest field are stored in as many bytes as
    they can be compressed to, by one shard at least."""
    counts = {shard.path: max(manifest.shard_points(shard, set_name)) for shard in shards}
    points = max(counts.values(), default=0)
    slots = manifest.num_blocks(points, set_name) * manifest.block_points(set_name) if points else 0
    fields = [field for field in manifest.fields if field.point_set == set_name]
    claimed = slots * max([COORD_BYTES, *(field.point_bytes for field in fields)])
    wrong: UpsDataError | None = None
    for shard in sorted(shards, key=lambda shard: -counts[shard.path]) if claimed > limits.BELIEVED_BYTES else ():
        try:
            return _check_bytes(store, shard, claimed)
        except UpsDataError as error:
            wrong = wrong or error
    if wrong is not None:
        raise wrong


def _check_bytes(store: ObjectStore, shard: ShardSpec, claimed: int) -> None:
    seal = load_seal(store, shard.path, shard.digest)
    names = [name for name in seal.files if name.startswith(("fields/", "points/")) and "/c/" in name]
    there = sum(seal.files[name][0] for name in names)
    if claimed > limits.EXPANSION * there:
        raise UpsDataError(
            f"shard {store.name(shard.path)}: the manifest claims frames of {claimed:,} bytes, {there:,} are stored of "
            "all; make the dataset again, with codec none if it is meant"
        )
    for name in names:
        try:
            store.open(f"{shard.path}/{name}", seal.files[name][0])
        except StoreError as error:
            raise UpsDataError(f"shard {store.name(shard.path)}: {error}") from None
