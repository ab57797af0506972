"""The seal of a shard: one file that lists what all the others hold.

The manifest has the digest of the seal; the seal has size and digest of every other file, and of every object in this
project's layout the crc32c of its index and of each chunk. So whatever a loader reads is compared with what was written
there: a chunk, an object, an array or a shard in another's place is as wrong as one with a flipped bit.

The chunks' checksums are those that are stored behind them, read back when the shard is finished.
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ups_data.errors import StoreError, UpsDataError
from ups_data.schema import limits
from ups_data.schema.trajectories import SEAL
from ups_data.store.arrays.metadata import parsed
from ups_data.store.arrays.objects import Listed
from ups_data.store.object_store import AGAIN, Object, ObjectStore

DIGEST_BYTES = 8 * 1024**2  # of an object, read at once where it is digested


class StoredSeal(BaseModel):
    """The file: `arrays` has the checksums of each array's chunks as base64 of little-endian uint32, object by object,
    an object's index behind its chunks; 0 for absent chunks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    arrays: dict[str, str]
    files: dict[str, tuple[Annotated[int, Field(ge=0)], Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]]


@dataclass(frozen=True)
class Seal:
    """What a shard holds.

    Attributes:
        store: of the dataset.
        key: of the shard in it.
        files: name → (bytes, SHA-256), all but the seal's own.
        chunks: array → `(objects * (chunks + 1),)` uint32; see `StoredSeal`.
        size: of the seal itself, in bytes.
    """

    store: ObjectStore
    key: str
    files: dict[str, tuple[int, str]]
    chunks: dict[str, NDArray[np.uint32]]
    size: int

    def array(self, name: str) -> "ArraySeal":
        """That of one array."""
        return ArraySeal(self, name)

    def read(self, name: str, *, where: str, limit: int = limits.METADATA_BYTES) -> bytes:
        """A small file, compared with its digest.

        Raises:
            UpsDataError: it is missing, damaged or unknown; `where` names it.
        """
        called = self.name(name)
        size, digest = self.files.get(name, (0, ""))
        if not digest or size > limit:
            wrong = "is not among the files that the shard lists" if not digest else f"claims {size:,} bytes"
            raise UpsDataError(f"{where}: {called} {wrong}; {AGAIN}")
        data = get(self.store, f"{self.key}/{name}", size, where)
        if hashlib.sha256(data).hexdigest() != digest:
            raise UpsDataError(f"{where}: {called} is damaged; {AGAIN}")
        return data

    def name(self, name: str) -> str:
        """What messages call a file of the shard."""
        return self.store.name(f"{self.key}/{name}")

    def names(self, array: str) -> list[str]:
        """The files of an array."""
        return [name for name in self.files if name.startswith(f"{array}/")]


@dataclass(frozen=True)
class ArraySeal:
    """The part of a seal that is one array's, `array`."""

    seal: Seal
    array: str

    def read(self, name: str, *, where: str) -> bytes:
        """A small file of the array, compared with its digest; see `Seal.read`."""
        return self.seal.read(f"{self.array}/{name}", where=where)

    def check(self, name: str, *, where: str) -> None:
        """Compare a file of any size with its digest, which is listed."""
        file = f"{self.array}/{name}"
        size, digest = self.seal.files[file]
        try:
            intact = object_digest(self.seal.store, self.seal.store.open(f"{self.seal.key}/{file}", size)) == digest
        except StoreError as error:
            raise UpsDataError(f"{where}: {error}") from None
        if not intact:
            raise UpsDataError(f"{where}: {self.seal.name(file)} is damaged; {AGAIN}")

    def lists(self, name: str) -> bool:
        """Whether the seal lists a file of that name."""
        return f"{self.array}/{name}" in self.seal.files

    def object(self, number: int, chunks: int, name: str, where: str) -> Listed:
        """What the seal says of an object of the array, of so many chunks."""
        crcs = self.seal.chunks.get(self.array, np.empty(0, np.uint32))
        crcs = crcs[number * (chunks + 1) : (number + 1) * (chunks + 1)]
        file = f"{self.array}/{name}"
        size, digest = self.seal.files.get(file, (0, ""))
        if not digest or len(crcs) != chunks + 1:
            raise UpsDataError(
                f"{where}: {self.seal.name(file)} is not among the objects that the shard lists; {AGAIN}"
            )
        return Listed(f"{self.seal.key}/{file}", size, crcs, digest)


def load_seal(store: ObjectStore, key: str, digest: str) -> Seal:
    """Read a shard's seal.

    Args:
        key: of the shard.
        digest: of the seal, as the manifest has it.

    Raises:
        UpsDataError: it is missing, or not the one that the manifest means: damaged, or of another shard.
    """
    where = f"shard {store.name(key)}"
    try:
        data = store.get(f"{key}/{SEAL}", limits.JSON_BYTES)
    except StoreError as error:
        raise UpsDataError(f"{where}: {error}") from None
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise UpsDataError(f"{where}: is not the one that the manifest lists (checksums.json differs); {AGAIN}")
    try:
        stored = StoredSeal.model_validate(parsed(data, store.name(f"{key}/{SEAL}"), where))
        chunks = {n: np.frombuffer(base64.b64decode(text, validate=True), "<u4") for n, text in stored.arrays.items()}
    except (ValidationError, ValueError) as error:
        if isinstance(error, UpsDataError):
            raise
        raise UpsDataError(f"{where}: checksums.json is not a shard's; make the dataset again") from None
    return Seal(store, key, stored.files, chunks, len(data))


def get(store: ObjectStore, key: str, limit: int, where: str) -> bytes:
    """A small object; errors begin with `where`."""
    try:
        return store.get(key, limit)
    except StoreError as error:
        raise UpsDataError(f"{where}: {error}") from None


def object_digest(store: ObjectStore, opened: Object) -> str:
    """SHA-256 of an object of any size.

    Raises:
        StoreError: it cannot be read, or changed meanwhile.
    """
    digest = hashlib.sha256()
    for start in range(0, opened.size, DIGEST_BYTES):
        stop = min(start + DIGEST_BYTES, opened.size)
        digest.update(store.get_ranges([(opened, np.array([start]), np.array([stop]))]).body(0))
    opened.check_unchanged()
    return digest.hexdigest()
