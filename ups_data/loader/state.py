"""What defines the batches of a loader, so that a state is continued by the same run only.

Number of ranks, worker processes, threads, memory and place of the dataset do not count: none of them changes a global
batch.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ups_data.errors import UpsDataError
from ups_data.loader.pipeline import SampleSource
from ups_data.loader.selection import scale_of
from ups_data.sampling import QuerySampling
from ups_data.schema import Manifest

VERSION = 2
SCALE = "scale of coordinates"


def identity(source: SampleSource) -> dict[str, Any]:
    """Name → number, string, list or None: equal where all global batches are."""
    bounds = source.bounds
    found: dict[str, Any] = {
        "dataset": dataset_digest(source.manifest, source.options.split),
        "split": source.options.split,
        "samples": len(source.table),
        "global_batch_size": source.options.batch_size * source.ranks.world_size,
        "batches": len(bounds) - 1,
        "last_batch": int(bounds[-1] - bounds[-2]),
        "input_fields": sorted(name for s in source.selections for name in s.input_fields),
        "target_fields": sorted(name for s in source.selections for name in s.target_fields),
        **source.options.identity(),
    }
    for selection in source.selections:
        of_set = "" if selection.set_name is None else f"[{selection.set_name}]"
        found |= _options(f"sampling{of_set}", selection.sampling)
        if selection.inputs is None:
            found[f"inputs{of_set}"] = "dense" if selection.encodes else "none"
        found |= _options(f"inputs{of_set}", selection.inputs)
        scale = scale_of(source.manifest, selection.set_name, source.options.coords)
        if scale is not None:  # the training split's, which may have got more trajectories
            found[f"{SCALE}{of_set}"] = [*scale.low, scale.length]
    return found


def _options(name: str, sampling: QuerySampling | None) -> dict[str, Any]:
    """The options that are not as by default, so that an option that is new changes no old state."""
    given = {} if sampling is None else sampling.model_dump(mode="json", exclude_defaults=True)
    return {f"{name}.{option}": value for option, value in given.items()}


def dataset_digest(manifest: Manifest, split: str) -> str:
    """Of all that a split's batches are made from: its shards' digests, fields, geometry, blocks."""
    newer = {name for name in ("packs",) if getattr(manifest, name) is None}  # older states do not know them
    content = manifest.model_dump(mode="json", exclude={"splits", "source", *newer})
    content["shards"] = [s.model_dump(mode="json", exclude={"path", "bytes"}) for s in manifest.split(split).shards]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def differences(then: Mapping[str, Any], now: Mapping[str, Any], where: str = "") -> list[str]:
    """In words, what of the identity is not as it was."""
    missing = object()
    told = []
    for name in [*now, *(n for n in then if n not in now)]:
        before, after = then.get(name, missing), now.get(name, missing)
        if before is missing and name.startswith(SCALE):
            continue  # of a version that did not say
        if before != after:
            words = ("not given" if value is missing else repr(value) for value in (before, after))
            told.append(f"{where}{name} was {' and is '.join(words)}")
    return told


def check_state(state: Mapping[str, Any], differ: list[str], batches: int) -> tuple[int, int]:
    """Epoch and batch to go on from.

    Args:
        differ: of this run and the state's.
        batches: of an epoch.

    Raises:
        UpsDataError: anything differs, or the state is none.
    """
    if state.get("version") != VERSION:
        raise UpsDataError(
            f"the loader's state is of version {state.get('version')}, this is version {VERSION}: start the epoch over "
            "with set_epoch"
        )
    epoch, batch = state.get("epoch"), state.get("batch")
    if differ:
        raise UpsDataError(
            f"the loader's state is of another run: {'; '.join(differ)}: give what it was, or leave the state and call "
            f"set_epoch({epoch}) to begin an epoch with what is new"
        )
    if not (isinstance(epoch, int) and isinstance(batch, int) and epoch >= 0 and 0 <= batch < batches):
        raise UpsDataError(
            f"the loader's state names batch {batch} of epoch {epoch}, an epoch has {batches}: it is damaged, start an "
            "epoch over with set_epoch"
        )
    return epoch, batch
