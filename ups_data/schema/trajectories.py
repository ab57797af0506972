"""Which run of the source a trajectory of a split is."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ups_data.atomic import open_regular
from ups_data.errors import MissingObjectError, UpsDataError
from ups_data.schema import limits
from ups_data.schema.file import Readable
from ups_data.schema.specs import ShardSpec, SplitSpec

# The seal of a shard, of which the manifest has the digest; see `ups_data.store.seal`. It lies in the folder of an
# array that every shard has: zarr and xarray warn of other files in a group.
SEAL = "trajectories/offset/checksums.json"
TABLE = "trajectories/zarr.json"


_WINDOW = re.compile(r"(.*)\[(\d{1,10}):(\d{1,10})\]", re.DOTALL)


def window_key(run: str, start: int, stop: int) -> str:
    """What the trajectory of the frames `[start, stop)` of a run is called."""
    return f"{run}[{start}:{stop}]"


def parse_window(key: str) -> tuple[str, tuple[int, int]] | None:
    """The run and the frames that `window_key` was given; None: the key is of another form."""
    match = _WINDOW.fullmatch(key)
    return None if match is None else (match[1], (int(match[2]), int(match[3])))


@dataclass(frozen=True)
class Place:
    """Where a manifest was loaded from, which does not count when manifests are compared."""

    root: str | Path | Readable | None = field(default=None, compare=False)


@dataclass(frozen=True)
class TrajectoryOrigin:
    """Where a trajectory comes from and where it lies.

    Attributes:
        source: the file that it was converted from; "" if it was written from arrays.
        key: what names it there: a group, a number, a folder.
        shard: the path of its shard in the dataset.
        row: its number in that shard.
        steps: its frames.
    """

    source: str
    key: str
    shard: str
    row: int
    steps: int


def origin_of(root: str | Path | Readable, split: SplitSpec, name: str, number: int) -> TrajectoryOrigin:
    """See `Manifest.trajectory`."""
    if not 0 <= number < split.num_trajectories:
        raise UpsDataError(f"no trajectory {number} in split {name!r}: it has 0 to {split.num_trajectories - 1}")
    row = number
    for shard in split.shards:
        if row < len(shard.steps):
            break
        row -= len(shard.steps)
    return _origins_in(root, shard)[row]


def origins_of(root: str | Path | Readable, split: SplitSpec) -> Iterator[TrajectoryOrigin]:
    """See `Manifest.origins`."""
    for shard in split.shards:
        yield from _origins_in(root, shard)


def _origins_in(root: str | Path | Readable, shard: ShardSpec) -> list[TrajectoryOrigin]:
    told = _attributes(root, shard)
    sources, keys = told.get("source"), told.get("key")
    if not (isinstance(sources, list) and isinstance(keys, list) and len(sources) == len(keys) == len(shard.steps)):
        raise UpsDataError(f"shard {shard.path}: does not say where its trajectories come from; make it again")
    named = enumerate(zip(sources, keys, shard.steps, strict=True))
    return [TrajectoryOrigin(str(source), str(key), shard.path, row, steps) for row, (source, key, steps) in named]


def _attributes(root: str | Path | Readable, shard: ShardSpec) -> dict[str, Any]:
    """The attributes of a shard's table of trajectories, compared with the digests that the manifest vouches for."""
    seal = _read(root, f"{shard.path}/{SEAL}", limits.JSON_BYTES)
    if f"sha256:{hashlib.sha256(seal).hexdigest()}" != shard.digest:
        raise UpsDataError(f"shard {shard.path}: its seal is damaged; copy or make the shard again")
    table = _read(root, f"{shard.path}/{TABLE}", limits.METADATA_BYTES)
    try:
        digest = json.loads(seal)["files"][TABLE][1]
        attributes = json.loads(table)["attributes"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        raise UpsDataError(f"shard {shard.path}: {TABLE} cannot be read; copy or make the shard again") from None
    if hashlib.sha256(table).hexdigest() != digest:
        raise UpsDataError(f"shard {shard.path}: {TABLE} is damaged; copy or make the shard again")
    return attributes if isinstance(attributes, dict) else {}


def _read(root: str | Path | Readable, key: str, limit: int) -> bytes:
    try:
        if not isinstance(root, str | Path):
            return root.get(key, limit)
        with open_regular(Path(root) / key) as file:
            return file.read(limit)
    except (OSError, MissingObjectError) as error:
        reason = getattr(error, "strerror", None) or "it is missing"
        raise UpsDataError(f"{root}: {key} cannot be read ({reason}); copy or make the dataset again") from None
