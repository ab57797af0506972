"""Whether a dataset holds what its manifest says: every shard's seal, every file, every index, every chunk."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, get_args

from ups_data.errors import MissingObjectError, StoreError, UpsDataError, printable
from ups_data.schema import MANIFEST, Manifest, ShardSpec
from ups_data.schema.trajectories import SEAL
from ups_data.store.claims import check_claims
from ups_data.store.root import Root, open_store
from ups_data.store.seal import Seal, object_digest
from ups_data.store.shard import Shard
from ups_data.store.verify_arrays import damaged_arrays

Depth = Literal["sizes", "digests", "chunks"]


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong: `shard` is a shard's path in the manifest, or a split, or the manifest; `reason` says
    which array and rows."""

    shard: str
    reason: str


def verify_dataset(
    root: Root,
    *,
    depth: Depth = "chunks",
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Damage]:
    """Check every shard of a dataset, several at once.

    Args:
        root: the dataset's folder, or the store that it lies in; it is listed.
        depth: "sizes" looks at each shard's seal and at the sizes of its files only, "digests" reads everything once
            and notices every change, "chunks" also decodes everything, and so tells which rows of which field are
            damaged, and notices what was damaged before it was sealed.
        threads: None: as many as cores, at most 4.
        progress: called with (stored bytes done, stored bytes in all).

    Returns:
        what is damaged, in the manifest's order; empty where all is well.

    Raises:
        UpsDataError: there is no dataset, or its manifest is damaged.
    """
    if depth not in get_args(Depth):
        raise UpsDataError(f"depth {depth!r}: choose one of {', '.join(get_args(Depth))}")
    root = open_store(root)
    manifest = Manifest.load(root)
    shards = [shard for split in manifest.splits.values() for shard in split.shards]
    empty = [name for name, split in manifest.splits.items() if not split.shards]
    total, done = sum(s.bytes for s in shards), 0
    found = [Damage(f"split {name!r}", "lists no shards; make the dataset again") for name in empty]
    if not manifest.splits:
        found = [Damage(MANIFEST, "lists no splits; make the dataset again")]
    with ThreadPoolExecutor(threads or min(4, os.cpu_count() or 1)) as executor:
        checks = [executor.submit(verify_shard, root, manifest, shard, depth) for shard in shards]
        for shard, check in zip(shards, checks, strict=True):
            found += check.result()
            done += shard.bytes
            progress(done, total)
    return found


def verify_shard(root: Root, manifest: Manifest, spec: ShardSpec, depth: Depth = "chunks") -> list[Damage]:
    """What is damaged of one shard; see `verify_dataset`."""
    shard = Shard(root, manifest, spec)
    where = f"shard {shard.store.name(spec.path)}"
    try:
        there = _sizes(shard)
        if not there:
            return [Damage(spec.path, "is missing")]
        seal = shard.seal
    except UpsDataError as error:
        reasons = [str(error).removeprefix(f"{where}: ")]
    else:
        reasons = list(_changed(seal, there, depth))
        size = sum(size for size, _ in seal.files.values()) + seal.size
        if size != spec.bytes:
            reasons.append(f"its files are {size:,} bytes by its seal, the manifest says {spec.bytes:,}")
        if depth == "chunks":
            try:
                check_claims(shard.store, manifest, [spec])
                reasons += damaged_arrays(shard, manifest, spec)
            except UpsDataError as error:
                reasons.append(str(error).removeprefix(f"{where}: "))
    # A missing object is missing for each of its chunks, and a damaged index for each array that needs it.
    short = dict.fromkeys(r.removeprefix(f"{where}, ").split("; copy or make")[0] for r in reasons)
    return [Damage(spec.path, printable(reason)) for reason in short]  # a damaged seal may name files anything


def _sizes(shard: Shard) -> dict[str, int]:
    """Name → size of the objects of a shard; of a web server, which has no lists, of those that the seal lists.

    Raises:
        UpsDataError: the seal is missing or damaged.
    """
    try:
        return {key.removeprefix(f"{shard.key}/"): size for key, size in shard.store.list(shard.key)}
    except StoreError:
        names, sizes = [SEAL, *shard.seal.files], {}
        for name in names:
            with suppress(MissingObjectError):
                sizes[name] = shard.store.open(f"{shard.key}/{name}", None).size
        return sizes


def _changed(seal: Seal, there: dict[str, int], depth: Depth) -> Iterator[str]:
    """Objects that are not as the seal has them, among those that are there: name → size."""
    for name in sorted(seal.files.keys() | there.keys() - {SEAL}):
        if name not in seal.files:
            yield f"{name} is not of this shard"
            continue
        size, digest = seal.files[name]
        try:
            if name not in there:
                yield f"{name} is missing"
            elif there[name] != size:
                yield f"{name} holds {there[name]:,} bytes, {size:,} were written"
            elif depth != "sizes" and object_digest(seal.store, seal.store.open(f"{seal.key}/{name}", size)) != digest:
                yield f"{name}: its bytes are not those that were written"
        except StoreError as error:
            yield f"{name}: {error}"
