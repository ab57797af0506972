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
        UpsDataError: as `check_shares`; shares where the source brings its own splits, splits of its own that cannot be
            folders of the dataset, or too few trajectories for the splits that were asked for.
    """
    if any(given):
        if shares is not None:
            raise UpsDataError(
                f"the source brings its own splits {sorted(Counter(filter(None, given)))}: leave --split out"
            )
        if not all(given):
            raise UpsDataError("the source assigns only some of its trajectories to a split: move the others too")
        return [check_split_name(s) for s in given if s is not None]
    shares, explicit = DEFAULT_SPLIT if shares is None else shares, shares is not None
    counts = _counts(shares, len(given))
    empty = [name for name, share in shares.items() if share > 0 and not counts[name]]
    if explicit and empty:
        raise UpsDataError(
            f"split shares {dict(shares)}: {empty[0]!r} gets none of {len(given)} trajectories: give fewer splits"
        )
    names = np.repeat(np.array(list(shares), object), list(counts.values()))
    splits = np.empty(len(given), object)
    splits[_order(len(given), seed)] = names
    return splits.tolist()


def assign_more(
    given: Sequence[str | None], new: Sequence[int], shares: Mapping[str, float] | None, seed: int
) -> list[str]:
    """The split of every trajectory, where some have theirs already and stay there.

    By shares, each of the others goes to the split that lacks most of what it would have of all of them.

    Args:
        given: the splits; None: by shares.
        new: numbers of the trajectories that may lack one.

    Raises:
        UpsDataError: as `check_shares`, or a split that cannot be a folder of the dataset.
    """
    splits = list(given)
    shares = DEFAULT_SPLIT if shares is None else shares
    have = Counter(split for split in splits if split is not None)
    open_numbers = set(new) & {number for number, split in enumerate(splits) if split is None}
    wanted = _counts(shares, sum(have.values()) + len(open_numbers))
    for number in _order(len(splits), seed).tolist():
        if number in open_numbers:
            split = max(wanted, key=lambda name: wanted[name] - have[name])
            splits[number] = split
            have[split] += 1
    # Whatever is neither new nor in a split is left out: where it would lie is of no account.
    return [check_split_name(split if split is not None else next(iter(shares))) for split in splits]


def _counts(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Shares as whole numbers, by largest remainder; a share above zero gets at least one where there are enough."""
    check_shares(shares)
    values = np.array(list(shares.values()), np.float64)
    counts = np.floor(values * total + 1e-9).astype(int)
    remainder = values * total - counts
    for i in np.argsort(-remainder, kind="stable")[: total - counts.sum()]:
        counts[i] += 1
    for i in np.flatnonzero((counts == 0) & (values > 0)):
        if counts.max() > 1:
            counts[counts.argmax()] -= 1
            counts[i] += 1
    return dict(zip(shares, counts.tolist(), strict=True))


def _order(total: int, seed: int) -> np.ndarray:
    """A permutation."""
    return np.argsort(hash_key(seed, np.arange(total)), kind="stable")
