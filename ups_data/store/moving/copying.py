"""A dataset from one store to another, compared with its seals on the way."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ups_data.atomic import exclusive
from ups_data.errors import MissingObjectError, StoreError, UpsDataError
from ups_data.schema import MANIFEST, Manifest, limits
from ups_data.schema.trajectories import SEAL
from ups_data.store.local import LocalStore
from ups_data.store.moving.card import copy_card
from ups_data.store.moving.staging import staging_folder
from ups_data.store.moving.writers import Writer, writer_of
from ups_data.store.object_store import ObjectStore
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
class _Item:
    """One object: its key, size and SHA-256."""

    key: str
    size: int
    digest: str


def copy_dataset(
    source: Root,
    target: Root,
    *,
    threads: int = 4,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Copied:
    """Copy a dataset: every object is compared with its seal before it is written, the manifest is written last.

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
    text = source.get(MANIFEST, limits.JSON_BYTES)
    writer = writer_of(target)
    complete = _manifest_of(target)
    if complete is not None and complete != text:
        raise UpsDataError(f"{target} already holds another dataset: choose another place, or remove it first")
    shards = [shard for split in manifest.splits.values() for shard in split.shards]
    total, done = sum(shard.bytes for shard in shards), 0
    objects = size = kept = 0
    with _aside(target) as folder, ThreadPoolExecutor(threads) as executor:
        for shard in shards:
            there = _there(target, shard.path)
            items = list(_items(source, shard.path, shard.digest))
            for part in (items[:-1], items[-1:]):  # the seal, when all that it lists is there
                work = partial(_copy, source, target, writer, there, folder)
                for item, copied in zip(part, executor.map(work, part), strict=True):
                    objects, size, kept = objects + copied, size + copied * item.size, kept + (not copied)
                    done += item.size
                    progress(done, total)
        make_openings(source, manifest, into=target)
        copy_card(source, target, manifest)
        writer.put_new(MANIFEST, text)
    return Copied(objects, size, kept)


def _manifest_of(target: ObjectStore) -> bytes | None:
    try:
        return target.get(MANIFEST, limits.JSON_BYTES)
    except MissingObjectError:
        return None


def _there(target: ObjectStore, prefix: str) -> dict[str, int]:
    try:
        return dict(target.list(prefix))
    except StoreError:  # a store that cannot be listed gets everything again
        return {}


def _items(source: ObjectStore, path: str, digest: str) -> Iterator[_Item]:
    """The objects of a shard, its seal last."""
    seal = load_seal(source, path, digest)
    for name, (size, of_file) in seal.files.items():
        yield _Item(f"{path}/{name}", size, of_file)
    yield _Item(f"{path}/{SEAL}", seal.size, digest.removeprefix("sha256:"))


def _copy(
    source: ObjectStore, target: ObjectStore, writer: Writer, there: dict[str, int], folder: Path, item: _Item
) -> bool:
    """Copy an object unless it is there.

    Raises:
        UpsDataError: it is damaged at the source.
    """
    if there.get(item.key) == item.size and object_digest(target, target.open(item.key, item.size)) == item.digest:
        return False
    aside = folder / hashlib.sha256(item.key.encode()).hexdigest()
    try:
        if _spooled(source, item, aside) != item.digest:
            called = source.name(item.key)
            raise UpsDataError(f"{called} is damaged: copy or make its shard again, then copy the dataset")
        writer.put_file(item.key, aside)
    finally:
        aside.unlink(missing_ok=True)
    return True


def _spooled(source: ObjectStore, item: _Item, aside: Path) -> str:
    """Write an object's bytes into a file. Returns their SHA-256."""
    digest, opened = hashlib.sha256(), source.open(item.key, item.size)
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
