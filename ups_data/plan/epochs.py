"""The order of an epoch, and the batches of every rank."""

from math import gcd

import numpy as np

from ups_data.plan.batches import (
    CANONICAL_RANKS,
    EpochPlan,
    batch_bounds,
    canonical_rank_of_positions,
    canonical_ranks_of,
)
from ups_data.plan.order import EpochOrder
from ups_data.plan.samples import Table


def epoch_order(
    table: Table, *, seed: int, epoch: int, shuffle: bool, canonical: np.ndarray | None = None
) -> np.ndarray:
    """The samples of an epoch in order: (samples,) int64 numbers into the table.

    Args:
        canonical: (samples,) int64, the canonical rank that each position of the order belongs to; None: one for all.
    """
    if not shuffle:
        return np.arange(len(table))
    of_part = None if canonical is None else lambda start, stop: canonical[start:stop]
    return EpochOrder(table, seed=seed, epoch=epoch, canonical=of_part).whole()


def plan_epoch(
    table: Table,
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
    """The batches of one rank for one epoch. Its order is worked out as its batches are asked for.

    Args:
        batch_size: of a rank.
        drop_last: leave out the samples that do not fill a global batch.
        pad: fill the last batch by repetition instead, so that all have one shape: see `EpochPlan.valid`.
        canonical_ranks: the global batches are the same for every number of ranks that divides it.

    Raises:
        UpsDataError: there is not one batch for every rank.
    """
    bounds = batch_bounds(
        len(table),
        batch_size=batch_size,
        world_size=world_size,
        drop_last=drop_last,
        pad=pad,
        canonical_ranks=canonical_ranks,
    )
    size = batch_size * world_size
    parts = gcd(canonical_ranks, size) if pad else None
    if not shuffle:
        return EpochPlan(None, bounds, rank, world_size, size, parts)
    order = EpochOrder(
        table,
        seed=seed,
        epoch=epoch,
        canonical=lambda start, stop: canonical_rank_of_positions(bounds, stop, canonical_ranks, start),
        # One rank has the samples of all: to leave none out costs as much as a short epoch's whole order.
        ranks=None if pad or world_size == 1 else canonical_ranks_of(bounds, rank, world_size, canonical_ranks),
    )
    return EpochPlan(order, bounds, rank, world_size, size, parts)
