"""A dataset from one store to another, compared with its seals on the way."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ups_data.atomic import exclusive
from ups_data.errors import StoreError, UpsDataError
from ups_data.schema import MANIFEST, Manifest, limits
from ups_data.schema.file import RECORD
from ups_data.schema.trajectories import SEAL
from ups_data.store.local import LocalStore
from ups_data.store.moving.card import copy_card
from ups_data.store.moving.staging import staging_folder
from ups_data.store.moving.writers import Writer, writer_of
from ups_data.store.object_store import ObjectStore, get_if_there
from ups_data.store.openings.making import make_openings
from ups_data.store.root import Root, open_store
from ups_data.store.seal import DIGEST_BYTES, load_seal, object_digest

ASIDE = ".copying"  # in a folder that a dataset is copied to


@dataclass(frozen=True)
class Copied:
    """What a copy did.

    Attributes:
        objects, bytes: that were copied.
        kept: objects that an earlier copy had brought, compared again.
    """

    objects: int
    bytes: int
    kept: int


@dataclass(frozen=True)
class MovedShard:
    """A shard of a dataset, and its path where it is copied to.

    Attributes:
        path, digest, bytes: of the shard, as the manifest has them.
        to: the new path.
    """

    source: ObjectStore
    path: str
    digest: str
    bytes: int
    to: str


@dataclass(frozen=True)
class _Item:
    """One object: where it is and is copied to, its size and SHA-256."""

    source: ObjectStore
    key: str
    to: str
    size: int
    digest: str


def copy_dataset(
    source: Root,
    target: Root,
    *,
    threads: int = 4,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Copied:
    """Copy a dataset: every object is compared with its seal before it is written, the manifest is written last. Its
    card and the record by which an append tells new runs go with it.

        copy_dataset("data/run", "s3://bucket/run")

    After a kill, the same call goes on: objects that are there are read and compared, the others are copied.

    Args:
        source, target: folders, URLs or stores.
        threads: objects at once.
        progress: called with (stored bytes done, stored bytes in all).

    Raises:
        UpsDataError: there is no dataset at `source`, it is damaged, another one lies at `target`, or `target`
            cannot be written to.
    """
    source, target = open_store(source), open_store(target)
    manifest = Manifest.load(source)
    text, record = source.get(MANIFEST, limits.JSON_BYTES), get_if_there(source, RECORD, limits.JSON_BYTES)
    writer = writer_of(target)
    complete = get_if_there(target, MANIFEST, limits.JSON_BYTES)
    if complete is not None and complete != text:
        raise UpsDataError(f"{target} already holds another dataset: choose another place, or remove it first")
    shards = [shard for split in manifest.splits.values() for shard in split.shards]
    moved = [MovedShard(source, shard.path, shard.digest, shard.bytes, shard.path) for shard in shards]
    with copying_shards(moved, target, threads=threads, progress=progress) as copied:
        make_openings(source, manifest, into=target)
        copy_card(source, target, manifest)
        if record is not None:
            target.put(RECORD, record)
        writer.put_new(MANIFEST, text)
    return copied


@contextmanager
def copying_shards(
    shards: Sequence[MovedShard],
    target: ObjectStore,
    *,
    threads: int = 4,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Copied]:
    """Copy shards, each object compared with its seal. What is left to do within the context is done by this process
    alone.

    Raises:
        UpsDataError: a shard is damaged, `target` cannot be written to, or another process copies there.
    """
    writer, total, done = writer_of(target), sum(shard.bytes for shard in shards), 0
    objects = size = kept = 0
    with _aside(target) as folder, ThreadPoolExecutor(threads) as executor:
        for shard in shards:
            there = _there(target, shard.to)
            items = list(_items(shard))
            for part in (items[:-1], items[-1:]):  # the seal, when all that it lists is there
                work = partial(_copy, target, writer, there, folder)
                for item, copied in zip(part, executor.map(work, part), strict=True):
                    objects, size, kept = objects + copied, size + copied * item.size, kept + (not copied)
                    done += item.size
                    progress(done, total)
        yield Copied(objects, size, kept)


def _there(target: ObjectStore, prefix: str) -> dict[str, int]:
    try:
        return dict(target.list(prefix))
    except StoreError:  # a store that cannot be listed gets everything again
        return {}


def _items(shard: MovedShard) -> Iterator[_Item]:
    """The objects of a shard, its seal last."""
    source, path, to = shard.source, shard.path, shard.to
    seal = load_seal(source, path, shard.digest)
    for name, (size, digest) in seal.files.items():
        yield _Item(source, f"{path}/{name}", f"{to}/{name}", size, digest)
    yield _Item(source, f"{path}/{SEAL}", f"{to}/{SEAL}", seal.size, shard.digest.removeprefix("sha256:"))


def _copy(target: ObjectStore, writer: Writer, there: dict[str, int], folder: Path, item: _Item) -> bool:
    """Copy an object unless it is there.

    Raises:
        UpsDataError: it is damaged at the source.
    """
    if there.get(item.to) == item.size and object_digest(target, target.open(item.to, item.size)) == item.digest:
        return False
    aside = folder / hashlib.sha256(item.to.encode()).hexdigest()
    try:
        if _spooled(item, aside) != item.digest:
            called = item.source.name(item.key)
            raise UpsDataError(f"{called} is damaged: copy or make its shard again, then copy the dataset")
        writer.put_file(item.to, aside)
    finally:
        aside.unlink(missing_ok=True)
    return True


def _spooled(item: _Item, aside: Path) -> str:
    """Write an object's bytes into a file. Returns their SHA-256."""
    source, digest = item.source, hashlib.sha256()
    opened = source.open(item.key, item.size)
    try:
        with open(aside, "wb") as file:
            for start in range(0, item.size, DIGEST_BYTES):
                stop = min(start + DIGEST_BYTES, item.size)
                body = source.get_ranges([(opened, np.array([start]), np.array([stop]))]).body(0)
                digest.update(body)
                file.write(body)
    except OSError as error:
        raise UpsDataError(f"{aside} cannot be written ({error.strerror}): make room there") from None
    opened.check_unchanged()
    return digest.hexdigest()


@contextmanager
def _aside(target: ObjectStore) -> Iterator[Path]:
    """A folder for objects on their way, for this process alone."""
    local = isinstance(target, LocalStore)
    folder = target.root / ASIDE if isinstance(target, LocalStore) else staging_folder(f"copy to {target}")
    if os.path.islink(folder):  # what lies in it is removed
        raise UpsDataError(f"{folder}: is a link, which is not followed: remove it, or choose another place")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive(folder / ".lock"):
            for path in folder.iterdir():  # of a copy that was killed
                if path.name != ".lock":
                    path.unlink()
            yield folder
            if local:
                shutil.rmtree(folder)
    except BlockingIOError:
        raise UpsDataError(f"{target}: another copy to this place is under way: wait for its end") from None
