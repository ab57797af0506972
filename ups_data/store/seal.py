"""The seal of a shard: one file that lists what all the others hold.

The manifest has the digest of the seal; the seal has size and digest of every other file, and of every object in this
project's layout the crc32c of its index and of each chunk. So whatever a loader reads is compared with what was written
there: a chunk, an object, an array or a shard in another's place is as wrong as one with a flipped bit.

The chunks' checksums are those that are stored behind them, read back when the shard is finished.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ups_data.atomic import replacing
from ups_data.errors import UpsDataError
from ups_data.schema import limits
from ups_data.store.arrays import codecs
from ups_data.store.arrays.metadata import ARRAY, DirectLayout, direct_layout, object_name, parsed

# In the folder of an array that every shard has: zarr and xarray warn of other files in a group's.
SEAL = "trajectories/offset/checksums.json"
FORMER_SEAL = "checksums.json"
AGAIN = "copy or make the shard again"


class _Stored(BaseModel):
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
        shard: its folder.
        root: of the dataset; no file may lie outside, whatever links lead there. None: not asked for.
        files: name → (bytes, SHA-256), all but the seal's own.
        chunks: array → `(objects * (chunks + 1),)` uint32; see `_Stored`.
    """

    shard: Path
    root: Path | None
    files: dict[str, tuple[int, str]]
    chunks: dict[str, NDArray[np.uint32]]

    def array(self, name: str) -> "ArraySeal":
        """That of one array."""
        return ArraySeal(self, name)

    def read(self, name: str, *, where: str, limit: int = limits.METADATA_BYTES) -> bytes:
        """A small file, compared with its digest.

        Raises:
            UpsDataError: it is missing, damaged or unknown; `where` names it.
        """
        path = self.shard / name
        size, digest = self.files.get(name, (0, ""))
        if not digest or size > limit:
            wrong = "is not among the files that the shard lists" if not digest else f"claims {size:,} bytes"
            raise UpsDataError(f"{where}: {path} {wrong}; {AGAIN}")
        data = read_bounded(inside(self.root, path, where), size, where)
        if hashlib.sha256(data).hexdigest() != digest:
            raise UpsDataError(f"{where}: {path} is damaged; {AGAIN}")
        return data

    def names(self, array: str) -> list[str]:
        """The files of an array."""
        return [name for name in self.files if name.startswith(f"{array}/")]


@dataclass(frozen=True)
class ArraySeal:
    """The part of a seal that is one array's."""

    seal: Seal
    name: str

    def read(self, name: str, *, where: str) -> bytes:
        return self.seal.read(f"{self.name}/{name}", where=where)

    @property
    def folder(self) -> Path:
        return self.seal.shard / self.name

    def check(self, name: str, *, where: str) -> None:
        """Compare a file of any size with its digest, which is listed."""
        path = inside(self.seal.root, self.folder / name, where)
        try:
            intact = _size_and_digest(path) == self.seal.files[f"{self.name}/{name}"]
        except OSError as error:
            raise UpsDataError(f"{where}: {path} cannot be read ({error.strerror}); {AGAIN}") from None
        if not intact:
            raise UpsDataError(f"{where}: {path} is damaged; {AGAIN}")

    def lists(self, name: str) -> bool:
        return f"{self.name}/{name}" in self.seal.files

    def object(self, number: int, chunks: int, path: Path, where: str) -> tuple[int, NDArray[np.uint32]]:
        """Size of an object in bytes, and `(chunks + 1,)` checksums: of its chunks and of its index."""
        crcs = self.seal.chunks.get(self.name, np.empty(0, np.uint32))
        crcs = crcs[number * (chunks + 1) : (number + 1) * (chunks + 1)]
        size, digest = self.seal.files.get(path.relative_to(self.seal.shard).as_posix(), (0, ""))
        if not digest or len(crcs) != chunks + 1:
            raise UpsDataError(f"{where}: {path} is not among the objects that the shard lists; {AGAIN}")
        inside(self.seal.root, path, where)
        return size, crcs


def load_seal(shard: Path, digest: str, root: Path | None = None) -> Seal:
    """Read a shard's seal.

    Args:
        digest: of the seal, as the manifest has it.

    Raises:
        UpsDataError: it is missing, or not the one that the manifest means: damaged, or of another shard.
    """
    path, where = seal_path(shard), f"shard {shard}"
    data = read_bounded(inside(root, path, where), limits.JSON_BYTES, where)
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise UpsDataError(f"{where}: is not the one that the manifest lists ({path.name} differs); {AGAIN}")
    try:
        stored = _Stored.model_validate(parsed(data, path, where))
        chunks = {n: np.frombuffer(base64.b64decode(text, validate=True), "<u4") for n, text in stored.arrays.items()}
    except (ValidationError, ValueError) as error:
        if isinstance(error, UpsDataError):
            raise
        raise UpsDataError(f"{where}: {path.name} is not a shard's; make the dataset again") from None
    return Seal(shard, root, stored.files, chunks)


def write_seal(shard: Path, linked: Seal | None = None) -> tuple[int, str]:
    """Seal a shard whose files are all there.

    Args:
        linked: the seal of a shard whose files are linked here; what it says of them is taken over.

    Returns:
        size of the shard in bytes, and the digest of the seal: for the manifest.
    """
    files = {}
    for name in sorted(file_names(shard)):
        known = linked is not None and name in linked.files and os.path.samefile(linked.shard / name, shard / name)
        files[name] = linked.files[name] if linked is not None and known else _size_and_digest(shard / name)
    arrays = {}
    for name in files:
        if name.endswith(f"/{ARRAY}"):
            array = name.removesuffix(f"/{ARRAY}")
            layout = direct_layout(json.loads((shard / name).read_bytes()))
            if linked is not None and files[name] == linked.files.get(name) and array in linked.chunks:
                arrays[array] = _text(linked.chunks[array])
            elif layout is not None:
                objects = range(-(-layout.shape[0] // (layout.object_rows * layout.chunk_shape[0])))
                crcs = [_checksums(shard / array / object_name(n, len(layout.shape)), layout) for n in objects]
                arrays[array] = _text(np.concatenate(crcs))
    data = json.dumps(_Stored(arrays=arrays, files=files).model_dump(), separators=(",", ":"), sort_keys=True).encode()
    with replacing(shard / SEAL) as file:
        file.write(data)
    return sum(size for size, _ in files.values()) + len(data), f"sha256:{hashlib.sha256(data).hexdigest()}"


def sealed(shard: Path) -> tuple[int, str]:
    """What `write_seal` returned of a shard that has its seal."""
    data = seal_path(shard).read_bytes()
    files = _Stored.model_validate_json(data).files
    return sum(size for size, _ in files.values()) + len(data), f"sha256:{hashlib.sha256(data).hexdigest()}"


def seal_path(shard: Path) -> Path:
    """Where a shard has its seal."""
    path, former = shard / SEAL, shard / FORMER_SEAL
    return path if path.exists() or not former.exists() else former


def file_names(shard: Path) -> Iterator[str]:
    """The files of a shard but for its seal."""
    seal = seal_path(shard)
    return (p.relative_to(shard).as_posix() for p in shard.rglob("*") if p != seal and not p.is_dir())


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inside(root: Path | None, path: Path, where: str) -> Path:
    """The path itself.

    Raises:
        UpsDataError: links lead out of the dataset.
    """
    if root is not None:
        top, real = os.path.realpath(root), os.path.realpath(path)
        if os.path.commonpath([top, real]) != top:
            raise UpsDataError(f"{where}: {path} is a link that leaves the dataset; copy the files into it again")
    return path


def read_bounded(path: Path, limit: int, where: str) -> bytes:
    """A file of at most so many bytes.

    Raises:
        UpsDataError: it is longer, missing, or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            # `read` takes memory for all that it is asked for.
            data = file.read(min(os.fstat(file.fileno()).st_size, limit) + 1)
    except FileNotFoundError:
        raise UpsDataError(f"{where}: {path} is missing; {AGAIN}") from None
    except OSError as error:
        raise UpsDataError(f"{where}: {path} cannot be read ({error.strerror}); {AGAIN}") from None
    if len(data) > limit:
        raise UpsDataError(f"{where}: {path} is damaged, it is longer than {limit:,} bytes; {AGAIN}")
    return data


def _size_and_digest(path: Path) -> tuple[int, str]:
    return path.stat().st_size, file_digest(path)


def _text(crcs: NDArray[np.uint32]) -> str:
    return base64.b64encode(crcs.astype("<u4").tobytes()).decode()


def _checksums(path: Path, layout: DirectLayout) -> NDArray[np.uint32]:
    """`(chunks + 1,)`, as they are stored in an object."""
    chunks = layout.object_rows * layout.blocks
    crcs = np.zeros(chunks + 1, np.uint32)
    with open(path, "rb", buffering=0) as file:
        file.seek(-(16 * chunks + codecs.CHECKSUM_BYTES), os.SEEK_END)
        index = file.read()
        crcs[-1] = int.from_bytes(index[-codecs.CHECKSUM_BYTES :], "little")
        offsets, lengths = np.frombuffer(index[: -codecs.CHECKSUM_BYTES], "<u8").astype(np.int64).reshape(-1, 2).T
        for place in np.flatnonzero(offsets >= 0):
            end = int(offsets[place] + lengths[place])
            crcs[place] = int.from_bytes(os.pread(file.fileno(), 4, end - codecs.CHECKSUM_BYTES), "little")
    return crcs
