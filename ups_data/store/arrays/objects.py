"""Objects of a stored array, opened, with the index at the end of each read and checked."""

from collections.abc import Sequence
from dataclasses import dataclass

import crc32c
import numpy as np
from numpy.typing import NDArray

from ups_data.errors import StoreError, UpsDataError, WrongSizeError
from ups_data.store.arrays import codecs
from ups_data.store.arrays.metadata import ABSENT
from ups_data.store.object_store import AGAIN, Object, ObjectStore


@dataclass(frozen=True)
class Listed:
    """An object of an array, before it is opened.

    Attributes:
        key: in the store.
        size: in bytes; None: not known.
        crcs: `(chunks + 1,)`, of its chunks and of its index, as the seal has them; None: not known.
        digest: SHA-256 of all of it, as the seal has it; empty: not known.
    """

    key: str
    size: int | None = None
    crcs: NDArray[np.uint32] | None = None
    digest: str = ""


class StoredObject:
    """The chunks packed in one object, as the zarr v3 sharding codec lays them out.

    Attributes:
        object: in the store.
        offsets, lengths: `(chunks,)` int64, of each stored chunk in bytes, its checksum counted in; -1 where it is
            absent.
        full: whether no chunk is absent.
        crcs: `(chunks,)` of the chunks as the seal has them; None: not known.
        checked: `(chunks,)` bool, whether a chunk need not be compared with its checksum any more.
        all_checked: whether it is known that none need.

    Args:
        tail: the index, with its checksum.
        name: what messages call the object.

    Raises:
        UpsDataError: the index is damaged, of another object, or points outside the object.
    """

    def __init__(self, opened: Object, tail: memoryview, crcs: NDArray[np.uint32] | None, name: str) -> None:
        copy = bytes(tail)  # what is checked is what is used, whatever happens to a mapped file
        index, stored = copy[: -codecs.CHECKSUM_BYTES], copy[-codecs.CHECKSUM_BYTES :]
        crc = crc32c.crc32c(index)
        if crc.to_bytes(4, "little") != stored or (crcs is not None and crc != crcs[-1]):
            raise UpsDataError(f"the index of {name} is damaged; {AGAIN}")
        table = np.frombuffer(index, "<u8").reshape(-1, 2)
        present = table[table[:, 0] != ABSENT]
        limit = np.uint64(opened.size - len(tail))
        if ((present > limit) | (present.sum(1, keepdims=True) > limit)).any() or (present[:, 1] < 4).any():
            raise UpsDataError(f"the index of {name} points outside it; {AGAIN}")
        self.object = opened
        self.offsets: NDArray[np.int64] = table[:, 0].astype(np.int64)  # ABSENT is -1 as a signed number
        self.lengths: NDArray[np.int64] = table[:, 1].astype(np.int64)
        self.full = len(present) == len(table)
        self.crcs = None if crcs is None else crcs[:-1]
        self.checked, self.all_checked = np.zeros(len(table), bool), False
        if crcs is not None:
            opened.know_chunks(self.offsets, self.lengths, crcs, copy)

    def check_unchanged(self, where: str) -> None:
        """See `Object`; `where` says what lies in it."""
        try:
            self.object.check_unchanged()
        except StoreError as error:
            raise UpsDataError(f"{where}: {error}") from None


def open_objects(store: ObjectStore, listed: Sequence[Listed], chunks: int, where: str) -> list[StoredObject]:
    """Open objects of so many chunks each, and read their indexes, all at once.

    Raises:
        UpsDataError: one is missing, or its index is damaged, of another object, or points outside it.
    """
    length = 16 * chunks + codecs.CHECKSUM_BYTES
    try:
        opened = [_opened(store, entry) for entry in listed]
        for found in opened:
            if found.size < length:
                raise UpsDataError(f"the index of {store.name(found.key)} is damaged; {AGAIN}")
        tails = store.get_tails(opened, length)
        return [
            _stored(store, found, tails.body(number), entry)
            for number, (entry, found) in enumerate(zip(listed, opened, strict=True))
        ]
    except WrongSizeError as error:  # a cut object has lost its index first
        raise UpsDataError(f"{where}: the index of {error}") from None
    except UpsDataError as error:
        raise UpsDataError(f"{where}: {error}") from None


def _opened(store: ObjectStore, entry: Listed) -> Object:
    if entry.digest and entry.size is not None:
        return store.open_sealed(entry.key, entry.size, entry.digest)
    return store.open(entry.key, entry.size)


def _stored(store: ObjectStore, opened: Object, tail: memoryview, entry: Listed) -> StoredObject:
    name = store.name(entry.key)
    try:
        return StoredObject(opened, tail, entry.crcs, name)
    except UpsDataError:
        if store.zero_copy:
            raise
        end = np.array([opened.size])
        again = store.get_again([(opened, end - len(tail), end)])  # damaged on the way, perhaps
        return StoredObject(opened, again.body(0), entry.crcs, name)
