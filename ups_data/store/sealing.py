"""Sealing a shard that was written: its seal lists what all its other files hold, see `seal`."""

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ups_data.atomic import replacing
from ups_data.schema.texts.json_text import parse_json
from ups_data.schema.trajectories import SEAL
from ups_data.store.arrays import codecs
from ups_data.store.arrays.metadata import ARRAY, DirectLayout, direct_layout, object_name
from ups_data.store.seal import Seal, StoredSeal


def write_seal(
    shard: Path, linked: Seal | None = None, *, known: Mapping[str, tuple[int, str]] | None = None
) -> tuple[int, str]:
    """Seal a shard whose files are all there.

    Args:
        known: file → its size and digest, of those that need not be read for it.
        linked: the seal of a shard whose files are linked here; what it says of them is taken over.

    Returns:
        size of the shard in bytes, and the digest of the seal: for the manifest.
    """
    files, known = {}, known or {}
    for name in sorted(file_names(shard)):
        files[name] = known.get(name) or _listed_in(linked, shard, name) or _size_and_digest(shard / name)
    arrays = {}
    for name in files:
        if name.endswith(f"/{ARRAY}"):
            array = name.removesuffix(f"/{ARRAY}")
            layout = direct_layout(parse_json((shard / name).read_bytes()))
            if linked is not None and files[name] == linked.files.get(name) and array in linked.chunks:
                arrays[array] = _text(linked.chunks[array])
            elif layout is not None:
                objects = range(-(-layout.shape[0] // (layout.object_rows * layout.chunk_shape[0])))
                crcs = [_checksums(shard / array / object_name(n, len(layout.shape)), layout) for n in objects]
                arrays[array] = _text(np.concatenate(crcs))
    stored = StoredSeal(arrays=arrays, files=files).model_dump()
    data = json.dumps(stored, separators=(",", ":"), sort_keys=True).encode()
    with replacing(shard / SEAL) as file:
        file.write(data)
    return sum(size for size, _ in files.values()) + len(data), f"sha256:{hashlib.sha256(data).hexdigest()}"


def _listed_in(linked: Seal | None, shard: Path, name: str) -> tuple[int, str] | None:
    """What the seal of a shard whose files are linked says of a file, if it is the same file."""
    if linked is None or name not in linked.files:
        return None
    path = linked.store.local_path(f"{linked.key}/{name}")
    return linked.files[name] if path is not None and os.path.samefile(path, shard / name) else None


def sealed(shard: Path) -> tuple[int, str]:
    """What `write_seal` returned of a shard that has its seal."""
    data = seal_path(shard).read_bytes()
    files = StoredSeal.model_validate_json(data).files
    return sum(size for size, _ in files.values()) + len(data), f"sha256:{hashlib.sha256(data).hexdigest()}"


def seal_path(shard: Path) -> Path:
    """Where a shard has its seal."""
    return shard / SEAL


def file_names(shard: Path) -> Iterator[str]:
    """The files of a shard but for its seal."""
    seal = seal_path(shard)
    return (p.relative_to(shard).as_posix() for p in shard.rglob("*") if p != seal and not p.is_dir())


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
