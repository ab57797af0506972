"""The order of everything: pure functions of (manifest, seed, epoch, rank, world size, batch size).

Invariants:
- Nothing here reads a shard, knows a thread or depends on how fast anything is.
- The global batches of an epoch depend on (manifest, seed, epoch, global batch size, `canonical_ranks`) only: they are
  the same for every number of ranks that divides `canonical_ranks`, and a rank takes its part of each.
- Every rank gets the same number of batches. Without `drop_last`, every sample is in exactly one batch; with `pad`,
  every batch has the same size, and a mask tells the samples from the repetitions that fill it.
- What an epoch costs at its beginning depends on the number of windows, not of samples: the order is worked out as it
  is reached.
- A reader that keeps two groups in memory reads every chunk once, on every rank: the windows that a rank uses come
  group after group, and no group is larger than `GROUP_BYTES`, or than its only window.

Training order is shuffled on two levels. A *window* is a run of consecutive rows of a shard, whole trajectories where
they are not too long. Windows are permuted over the split and taken in groups of up to `GROUP_BYTES`; samples are
permuted inside a group. That second permutation keeps ranks apart: a group's samples, window after window, are cut into
a stretch for each of `canonical_ranks`, every global batch takes its share from each stretch, and each of R real ranks
serves the stretches of `canonical_ranks / R` canonical ones. So a rank decodes about 1/R of the windows, where it would
decode nearly all if any rank could get any sample.
"""

from ups_data.plan.batches import CANONICAL_RANKS, EpochPlan, SomeBatches, batch_bounds
from ups_data.plan.epochs import epoch_order, plan_epoch
from ups_data.plan.mixture import MixturePlan, plan_mixture
from ups_data.plan.samples import SampleTable, Table, TrajectoryTable, repeated, sample_table

__all__ = [
    "CANONICAL_RANKS",
    "EpochPlan",
    "MixturePlan",
    "SampleTable",
    "SomeBatches",
    "Table",
    "TrajectoryTable",
    "batch_bounds",
    "epoch_order",
    "plan_epoch",
    "plan_mixture",
    "repeated",
    "sample_table",
]
