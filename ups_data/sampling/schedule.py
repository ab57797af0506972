"""How the ratio (queries ÷ points) changes from epoch to epoch."""

import math
from typing import Literal

Schedule = Literal["constant", "linear", "cosine"]


def ratio_at(
    schedule: Schedule, epoch: int, start_ratio: float, end_ratio: float, start_epoch: int, end_epoch: int
) -> float:
    """The ratio of one epoch.

    `start_ratio` up to `start_epoch`, `end_ratio` from `end_epoch` on. Between them, with
    p = (epoch - start_epoch) / (end_epoch - start_epoch):

    - `linear`: start + (end - start) p
    - `cosine`: end + (start - end) (1 + cos(π p)) / 2 (Loshchilov & Hutter, SGDR, 2017)
    - `constant`: start_ratio at every epoch.
    """
    if schedule == "constant":
        return start_ratio
    if epoch >= end_epoch:
        return end_ratio
    if epoch <= start_epoch:
        return start_ratio
    p = (epoch - start_epoch) / (end_epoch - start_epoch)
    if schedule == "linear":
        return start_ratio + (end_ratio - start_ratio) * p
    return end_ratio + (start_ratio - end_ratio) * 0.5 * (1.0 + math.cos(math.pi * p))
