"""From a source of raw simulations to a dataset of shards."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.hashing import hash_key
from ups_data.schema import Manifest
from ups_data.shards.writer import ShardWriter
from ups_data.sources import open_source

DEFAULT_SPLIT = {"train": 0.8, "valid": 0.1, "test": 0.1}


def convert(
    path: str | Path,
    out: str | Path,
    *,
    format: str | None = None,
    split: Mapping[str, float] | None = None,
    seed: int = 0,
    codec: str = "none",
    cast: str | None = None,
    blocks: int = 1,
    allow_nonfinite: bool = False,
    importance: Sequence[str] = (),
    shard_bytes: int = 512 * 1024**2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Manifest:
    """Convert a file or folder of simulations, a trajectory at a time and each trajectory a few frames at a time.

    Args:
        path: the source; its format is recognised from its content unless `format` names it.
        out: folder of the dataset.
        split: split → share of the trajectories; None: the source's own splits, or 80/10/10. Which trajectory goes
            where depends on `seed` and their number only.
        blocks: of every frame; see `ShardWriter`. They are dealt by `seed` too.
        importance: metrics by which tiles' importance is stored; see `ShardWriter`.
        progress: called with (trajectories done, trajectories in all).

    Raises:
        UpsDataError: the source cannot be read or does not fit; `out` is left as it was.
    """
    source = open_source(path, format)
    splits = assign_splits(source.splits(), split, seed)
    try:
        with ShardWriter(
            out,
            blocks=blocks,
            seed=seed,
            codec=codec,
            cast=cast,
            allow_nonfinite=allow_nonfinite,
            importance=importance,
            shard_bytes=shard_bytes,
            source={"path": str(path), "format": source.format},
        ) as writer:
            for number, run in enumerate(source):
                writer.add(
                    run.fields,
                    split=splits[number],
                    time=run.time,
                    params=run.params,
                    coords=run.coords,
                    static=run.static,
                    sets=run.sets,
                    axes=run.axes,
                    key=run.key,
                    source=run.source,
                )
                progress(number + 1, len(source))
    except UpsDataError as e:
        # The writer knows the field and the trajectory, the reader's user wants the file as well.
        raise e if str(path) in str(e) or str(out) in str(e) else UpsDataError(f"{path}: {e}") from None
    return Manifest.load(out)


def assign_splits(given: Sequence[str | None], shares: Mapping[str, float] | None, seed: int) -> list[str]:
    """The split of every trajectory: the source's own, or shares of a seeded permutation.

    Shares become whole numbers by largest remainder; a split with a share above zero gets at least one trajectory
    where there are enough.

    Raises:
        UpsDataError: shares that do not add up to 1, or shares where the source brings its own splits.
    """
    if any(given):
        if shares is not None:
            raise UpsDataError(
                f"the source brings its own splits {sorted(Counter(filter(None, given)))}: leave --split out"
            )
        if not all(given):
            raise UpsDataError("the source assigns only some of its trajectories to a split: move the others too")
        return [s for s in given if s is not None]
    shares = DEFAULT_SPLIT if shares is None else shares
    values = np.array(list(shares.values()), np.float64)
    if (values < 0).any() or abs(values.sum() - 1) > 1e-6:
        raise UpsDataError(f"split shares {dict(shares)} must be positive and add up to 1")
    total = len(given)
    counts = np.floor(values * total + 1e-9).astype(int)
    remainder = values * total - counts
    for i in np.argsort(-remainder, kind="stable")[: total - counts.sum()]:
        counts[i] += 1
    for i in np.flatnonzero((counts == 0) & (values > 0)):
        if counts.max() > 1:
            counts[counts.argmax()] -= 1
            counts[i] += 1
    order = np.argsort(hash_key(seed, np.arange(total)), kind="stable")
    names = np.repeat(np.array(list(shares), object), counts)
    splits = np.empty(total, object)
    splits[order] = names
    return splits.tolist()
