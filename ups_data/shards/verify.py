"""Whether a dataset holds what its manifest says: every shard's digest, every index, every chunk's checksum."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from ups_data.errors import UpsDataError
from ups_data.schema import Manifest, ShardSpec
from ups_data.shards.digest import shard_digest
from ups_data.shards.reader import StoredArray
from ups_data.shards.shard import Shard

Depth = Literal["sizes", "digests", "chunks"]
# Damaged chunks that are named for each array; a whole file of them says no more than the first ones.
NAMED = 5


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong with a shard: `shard` is its path in the manifest, `reason` says which array and rows."""

    shard: str
    reason: str


def verify_dataset(
    root: str | Path,
    *,
    depth: Depth = "chunks",
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Damage]:
    """Check every shard of a dataset, several at once.

    Args:
        depth: "sizes" looks at the sizes of files only, "digests" reads everything once and notices every change,
            "chunks" also decodes everything, and so tells which rows of which field are damaged, and notices what was
            damaged before its digest was taken.
        threads: None: as many as cores, at most 4.
        progress: called with (stored bytes done, stored bytes in all).

    Returns:
        what is damaged, in the manifest's order; empty where all is well.

    Raises:
        UpsDataError: there is no dataset, or its manifest is damaged.
    """
    if depth not in get_args(Depth):
        raise UpsDataError(f"depth {depth!r}: choose one of {', '.join(get_args(Depth))}")
    manifest = Manifest.load(root)
    shards = [shard for split in manifest.splits.values() for shard in split.shards]
    total, done = sum(s.bytes for s in shards), 0
    found: list[Damage] = []
    with ThreadPoolExecutor(threads or min(4, os.cpu_count() or 1)) as executor:
        checks = [executor.submit(verify_shard, root, manifest, shard, depth) for shard in shards]
        for shard, check in zip(shards, checks, strict=True):
            found += check.result()
            done += shard.bytes
            progress(done, total)
    return found


def verify_shard(root: str | Path, manifest: Manifest, spec: ShardSpec, depth: Depth = "chunks") -> list[Damage]:
    """What is damaged of one shard; see `verify_dataset`."""
    path = Path(root) / spec.path
    if not path.is_dir():
        return [Damage(spec.path, "is missing")]
    reasons = list(_changed(path, spec, depth))
    if depth == "chunks":
        reasons += _damaged_arrays(Shard(root, manifest, spec), manifest, spec)
    # A missing object is missing for each of its chunks, and a damaged index for each array that needs it.
    where = f"shard {path}, "
    return [Damage(spec.path, r.removeprefix(where).split("; copy or make")[0]) for r in dict.fromkeys(reasons)]


def _changed(path: Path, spec: ShardSpec, depth: Depth) -> Iterator[str]:
    try:
        if depth == "sizes":
            size, digest = sum(p.stat().st_size for p in path.rglob("*") if p.is_file()), spec.digest
        else:
            size, digest = shard_digest(path)
    except OSError as error:
        yield f"cannot be read ({error})"
        return
    if size != spec.bytes:
        yield f"holds {size:,} bytes, the manifest says {spec.bytes:,}"
    elif digest != spec.digest:
        yield "its bytes are not those of the manifest's digest"


def _damaged_arrays(shard: Shard, manifest: Manifest, spec: ShardSpec) -> Iterator[str]:
    """Every stored array that a loader reads, opened as it would, and every chunk of it."""
    arrays = [partial(shard.field, field.name) for field in manifest.fields]
    for name in manifest.set_names:
        folder = shard.path / "points" / (name or "")
        if manifest.grid is None:
            arrays.append(partial(shard.coords, name))
        if (folder / "index").exists():
            arrays.append(partial(shard.index, name))
    for open_array in arrays:
        yield from _damaged_chunks(open_array)
    checks: list[Callable[[], object]] = [lambda: shard.time, lambda: shard.params]
    checks += [partial(shard.geometry, n, t) for n in manifest.set_names for t in range(len(spec.steps))]
    for check in checks:
        try:
            check()
        except UpsDataError as error:
            yield str(error)


def _damaged_chunks(open_array: Callable[[], StoredArray]) -> Iterator[str]:
    damaged = 0
    try:
        array = open_array()
        numbers = range(-(-array.shape[0] // array.chunk_rows) * array.blocks)
    except UpsDataError as error:
        yield str(error)
        return
    for number in numbers:
        try:
            array.chunk(number)
        except UpsDataError as error:
            damaged += 1
            if damaged <= NAMED:
                yield str(error)
    if damaged > NAMED:
        yield f"and {damaged - NAMED} more chunks of it, of {len(numbers)}"
