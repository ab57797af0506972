"""The order of a mixture: which of several datasets each batch comes from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.hashing import hash_key

_BEGINS = 103  # keeps the choice of this module apart from others with the same seed


@dataclass(frozen=True)
class MixturePlan:
    """Where each global batch of a mixture's epoch comes from: `(batches,)` int64 each, the same on every rank.

    Attributes:
        dataset: number of the dataset that the batch comes from.
        epoch: number of that dataset's own epoch, which follow one another across the epochs of the mixture.
        batch: number of the batch in it.
    """

    dataset: np.ndarray
    epoch: np.ndarray
    batch: np.ndarray

    def __len__(self) -> int:
        return len(self.dataset)


def plan_mixture(
    lengths: Sequence[int], weights: Sequence[float], *, seed: int, epoch: int, epoch_batches: int | None = None
) -> MixturePlan:
    """Which dataset each batch of a mixture comes from.

    Samples of different datasets differ in shape, so a global batch holds samples of one dataset only. Put the batches
    of dataset d on an axis of time, 1 / weight apart, from a start that `seed` draws; merge the datasets along that
    axis; cut the result into epochs of equal length. So among any n batches in a row, dataset d has n × its share, with
    an error below the number of datasets plus one. Every dataset goes through its own epochs, one after another: no
    sample comes twice before all other samples of its dataset have come once.

    Args:
        lengths: batches of one epoch of each dataset, equal on all ranks.
        weights: share of the batches that each dataset gets, up to a common factor.
        epoch_batches: batches of an epoch of the mixture; None: until the first of the datasets has been passed
            through once.

    Raises:
        UpsDataError: there is no dataset, a weight is not positive, or a dataset is empty.
    """
    counts, share = np.asarray(lengths, np.int64), np.asarray(weights, np.float64)
    if not len(counts) or counts.shape != share.shape or not (np.isfinite(share) & (share > 0)).all():
        raise UpsDataError(f"weights {list(weights)} of {len(counts)} dataset(s): give each one a positive number")
    if (counts < 1).any() or (epoch_batches is not None and epoch_batches < 1):
        raise UpsDataError(
            f"the datasets have {list(lengths)} batches, epoch_batches is {epoch_batches}: give at least 1 of each"
        )
    share = share / share.sum()
    size = max(1, int((counts / share).min())) if epoch_batches is None else epoch_batches
    begins = (hash_key(seed, _BEGINS, np.arange(len(counts))) >> np.uint64(11)) / 2.0**53
    # A few more than the epoch can hold on either side, then those that it does.
    first = np.maximum(np.floor(share * epoch * size).astype(np.int64) - len(counts) - 2, 0)
    last = np.ceil(share * (epoch + 1) * size).astype(np.int64) + len(counts) + 2
    dataset = np.repeat(np.arange(len(counts)), last - first)
    number = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])
    times = (number + begins[dataset]) / share[dataset]
    merged = np.lexsort((dataset, times))[epoch * size - first.sum() :][:size]
    dataset, number = dataset[merged], number[merged]
    return MixturePlan(dataset, number // counts[dataset], number % counts[dataset])
