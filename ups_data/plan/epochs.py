"""The order of an epoch, and the batches of every rank."""

from enum import IntEnum
from math import gcd

import numpy as np

from ups_data.hashing import hash_key
from ups_data.plan.batches import CANONICAL_RANKS, EpochPlan, batch_bounds, canonical_rank_of_positions, fill
from ups_data.plan.samples import SampleTable, groups


class _Purpose(IntEnum):
    """Keeps the two permutations of an epoch independent."""

    WINDOWS = 101
    SAMPLES = 102


def epoch_order(
    table: SampleTable, *, seed: int, epoch: int, shuffle: bool, canonical: np.ndarray | None = None
) -> np.ndarray:
    """The samples of an epoch in order: (samples,) int64 numbers into the table.

    Args:
        canonical: (samples,) int64, the canonical rank that each position of the order belongs to; None: one for all.
    """
    if not shuffle:
        return np.arange(len(table))
    windows = np.argsort(hash_key(seed, epoch, _Purpose.WINDOWS, np.arange(len(table.window_bytes))), kind="stable")
    place = np.empty_like(windows)
    place[windows] = np.arange(len(windows))
    laid = np.argsort(place[table.window], kind="stable")  # samples, window after window
    group = groups(table.window_bytes[windows])[place[table.window[laid]]]
    canonical = np.zeros_like(laid) if canonical is None else canonical
    # A group's positions are those where its samples lie now; the first stretch goes to those of canonical rank 0, …
    positions = np.lexsort((canonical, group))
    shuffled = np.lexsort((hash_key(seed, epoch, _Purpose.SAMPLES, laid), canonical[positions], group))
    order = np.empty_like(laid)
    order[positions] = laid[shuffled]
    return order


def plan_epoch(
    table: SampleTable,
    *,
    seed: int,
    epoch: int,
    batch_size: int,
    rank: int = 0,
    world_size: int = 1,
    shuffle: bool = True,
    drop_last: bool = True,
    pad: bool = False,
    canonical_ranks: int = CANONICAL_RANKS,
) -> EpochPlan:
    """The batches of one rank for one epoch.

    Args:
        batch_size: of a rank.
        drop_last: leave out the samples that do not fill a global batch.
        pad: fill the last batch by repetition instead, so that all have one shape: see `EpochPlan.valid`.
        canonical_ranks: the global batches are the same for every number of ranks that divides it.

    Raises:
        UpsDataError: there is not one batch for every rank.
    """
    size = batch_size * world_size
    bounds = batch_bounds(
        len(table),
        batch_size=batch_size,
        world_size=world_size,
        drop_last=drop_last,
        pad=pad,
        canonical_ranks=canonical_ranks,
    )
    canonical = canonical_rank_of_positions(bounds, len(table), canonical_ranks)
    order = epoch_order(table, seed=seed, epoch=epoch, shuffle=shuffle, canonical=canonical)
    if not pad:
        return EpochPlan(order, bounds, rank, world_size)
    chosen, mask = fill(bounds, size, gcd(canonical_ranks, size))
    return EpochPlan(order[chosen], np.arange(len(bounds)) * size, rank, world_size, mask)
