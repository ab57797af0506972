"""The manifest as a file: JSON that begins with the digest of itself."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any, Protocol

from ups_data.atomic import open_regular
from ups_data.errors import MissingObjectError, UpsDataError
from ups_data.schema import limits
from ups_data.schema.texts.json_text import parse_json

MANIFEST = "dataset.json"
RECORD = "conversion.json"  # beside it: what a conversion read, by which an append tells what is new
VERSION = 2
_HEAD = re.compile(rb'\{\n "digest": "sha256:([0-9a-f]{64})",\n')


def with_digest(text: str) -> bytes:
    """The file of an indented JSON object: what follows the first line is what was digested."""
    body = text.encode()
    assert body.startswith(b"{\n")
    return f'{{\n "digest": "sha256:{hashlib.sha256(body).hexdigest()}",\n'.encode() + body[2:]


class Readable(Protocol):
    """Where a manifest may lie other than in a folder: any `ObjectStore`."""

    def name(self, key: str) -> str:
        """What messages call an object."""
        ...

    def get(self, key: str, limit: int) -> bytes:
        """An object of at most so many bytes."""
        ...


def read_manifest(root: str | Path | Readable, *, edited: bool) -> dict[str, Any]:
    """The object of `dataset.json` in a folder or a store, its digest compared and taken out.

    Args:
        edited: the digest need not fit.

    Raises:
        UpsDataError: it is missing, damaged, too large, or of another version.
    """
    path = manifest_name(root)
    try:
        text = _read(root)
    except (FileNotFoundError, MissingObjectError):
        raise UpsDataError(
            f"{root}: no dataset here ({MANIFEST} is missing); make one with `ups-data convert`"
        ) from None
    except OSError as e:
        raise UpsDataError(f"{path}: cannot be read ({e.strerror}); copy or make the dataset again") from None
    if len(text) > limits.JSON_BYTES:
        raise UpsDataError(f"{path}: is longer than {limits.JSON_BYTES:,} bytes; make the dataset again, in parts")
    try:
        found = parse_json(text)
    except ValueError as e:
        raise UpsDataError(f"{path}: not JSON of a dataset ({e}); copy or make the dataset again") from None
    version = found.get("version") if isinstance(found, dict) else None
    if isinstance(version, int) and version != VERSION:
        age = "an older" if version < VERSION else "a newer"
        raise UpsDataError(f"{path}: made by {age} version of ups_data (format {version}); make the dataset again")
    if not edited and not _is_whole(text):
        raise UpsDataError(
            f"{path}: is damaged or was edited, its digest differs; copy it again, or, if the edit is meant, accept it "
            f"with Manifest.load({str(root)!r}, edited=True).save({str(root)!r})"
        )
    if not isinstance(found, dict):
        raise UpsDataError(f"{path}: no JSON object; copy or make the dataset again")
    found.pop("digest", None)
    return found


def manifest_name(root: str | Path | Readable) -> str:
    """What messages call the manifest."""
    return str(Path(root) / MANIFEST) if isinstance(root, str | Path) else root.name(MANIFEST)


def _read(root: str | Path | Readable) -> bytes:
    if not isinstance(root, str | Path):
        return root.get(MANIFEST, limits.JSON_BYTES)
    folder, path = os.path.realpath(root), Path(root) / MANIFEST
    if os.path.dirname(real := os.path.realpath(path)) != folder and not real.startswith(f"{folder.rstrip('/')}/"):
        raise UpsDataError(f"{path}: is a link that leaves the dataset; copy the files into it again")
    with open_regular(path) as file:
        return file.read(min(os.fstat(file.fileno()).st_size, limits.JSON_BYTES) + 1)


def _is_whole(text: bytes) -> bool:
    head = _HEAD.match(text)
    if head is None:
        return False
    digest = hashlib.sha256(b"{\n")
    digest.update(memoryview(text)[head.end() :])
    return digest.hexdigest().encode() == head[1]
