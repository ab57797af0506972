"""The manifest as a file: JSON that begins with the digest of itself."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from ups_data.errors import UpsDataError
from ups_data.schema import limits

MANIFEST = "dataset.json"
VERSION = 2
_HEAD = re.compile(rb'\{\n "digest": "sha256:([0-9a-f]{64})",\n')


def with_digest(text: str) -> bytes:
    """The file of an indented JSON object: what follows the first line is what was digested."""
    body = text.encode()
    assert body.startswith(b"{\n")
    return f'{{\n "digest": "sha256:{hashlib.sha256(body).hexdigest()}",\n'.encode() + body[2:]


def read_manifest(root: str | Path, *, edited: bool) -> dict[str, Any]:
    """The object of `root/dataset.json`, its digest compared and taken out.

    Args:
        edited: the digest need not fit.

    Raises:
        UpsDataError: it is missing, damaged, too large, or of another version.
    """
    path = Path(root) / MANIFEST
    try:
        with open(path, "rb") as file:
            text = file.read(min(os.fstat(file.fileno()).st_size, limits.JSON_BYTES) + 1)
    except FileNotFoundError:
        raise UpsDataError(
            f"{root}: no dataset here ({MANIFEST} is missing); make one with tools/make_shards.py"
        ) from None
    except OSError as e:
        raise UpsDataError(f"{path}: cannot be read ({e.strerror}); copy or make the dataset again") from None
    if len(text) > limits.JSON_BYTES:
        raise UpsDataError(f"{path}: is longer than {limits.JSON_BYTES:,} bytes; make the dataset again, in parts")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise UpsDataError(f"{path}: not JSON ({e}); copy or make the dataset again") from None
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


def _is_whole(text: bytes) -> bool:
    head = _HEAD.match(text)
    if head is None:
        return False
    digest = hashlib.sha256(b"{\n")
    digest.update(memoryview(text)[head.end() :])
    return digest.hexdigest().encode() == head[1]
