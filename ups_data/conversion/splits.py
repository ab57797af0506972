"""Which split each trajectory goes into."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.hashing import hash_key
from ups_data.schema import check_split_name

DEFAULT_SPLIT = {"train": 0.8, "valid": 0.1, "test": 0.1}


def check_shares(shares: Mapping[str, float]) -> None:
    """Refuse what cannot be shares of a dataset's splits.

    Raises:
        UpsDataError: a name that cannot be a folder's, or shares that are not positive numbers adding up to 1.
    """
    for name in shares:
        check_split_name(name)
    try:
        values = np.array(list(shares.values()), np.float64)
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if not np.isfinite(values).all() or (values < 0).any() or abs(values.sum() - 1) > 1e-6:
        raise UpsDataError(f"split shares {dict(shares)} must be positive and add up to 1")


def assign_splits(given: Sequence[str | None], shares: Mapping[str, float] | None, seed: int) -> list[str]:
    """The split of every trajectory: the source's own, or shares of a seeded permutation.

    Shares become whole numbers by largest remainder; a split with a share above zero gets at least one trajectory
    where there are enough.

    Raises:
        UpsDataError: as `check_shares`; shares where the source brings its own splits, or splits of its own that
            cannot be folders of the dataset.
    """
    if any(given):
        if shares is not None:
            raise UpsDataError(
                f"the source brings its own splits {sorted(Counter(filter(None, given)))}: leave --split out"
            )
        if not all(given):
            raise UpsDataError("the source assigns only some of its trajectories to a split: move the others too")
        return [check_split_name(s) for s in given if s is not None]
    shares = DEFAULT_SPLIT if shares is None else shares
    check_shares(shares)
    values = np.array(list(shares.values()), np.float64)
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
