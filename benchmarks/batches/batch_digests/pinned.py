"""Digests that are the same on every machine: no value of their datasets was rounded, and every draw is of integers."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from .configurations import CONFIGURATIONS
from .datasets import ensure
from .digests import digests

# All with threads=0, on datasets that `ShardWriter` makes in the blink of an eye.
PINNED = (
    "line lattice",
    "line blocks lz4",
    "linear by epoch",
    "step by epoch",
    "plane blocks",
    "cube stratified",
    "cube blocks float16",
    "horizon of three",
    "inputs",
    "particles blocks",
    "ragged padded",
    "ragged sets in blocks",
    "resumed on other ranks",
    "four ranks padded",
)


def digest(name: str) -> str:
    """SHA-256 of all batches of two epochs of one of the configurations PINNED, on datasets made for it."""
    configuration, folder = CONFIGURATIONS[name], Path(_folder().name)
    ensure(configuration.datasets, folder, None)
    return digests(configuration, folder)["digest"]


def save(path: Path) -> None:
    """Write name → digest of all of PINNED."""
    path.write_text(json.dumps({name: digest(name) for name in PINNED}, indent=1) + "\n")


@cache
def _folder() -> TemporaryDirectory[str]:
    """Of this process's datasets, gone when it ends."""
    return TemporaryDirectory()
