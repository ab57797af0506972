"""How the ratio (queries ÷ points) changes in the course of a training run."""

import math
from typing import Literal

Schedule = Literal["constant", "linear", "cosine", "exponential", "step"]


def ratio_at(
    schedule: Schedule,
    epoch: float,
    start_ratio: float,
    end_ratio: float,
    start_epoch: int,
    end_epoch: int,
    jumps: int = 4,
) -> float:
    """The ratio at one moment, a whole epoch or a fraction of one.

    `start_ratio` up to `start_epoch`, `end_ratio` from `end_epoch` on. Between them, with
    p = (epoch - start_epoch) / (end_epoch - start_epoch):

    - `linear`: start + (end - start) p
    - `cosine`: end + (start - end) (1 + cos(π p)) / 2 (Loshchilov & Hutter, SGDR, 2017)
    - `exponential`: start (end / start)^p, the same factor every epoch
    - `step`: start + (end - start) floor(p n) / n with n = `jumps`: n equal jumps, evenly spaced, the last at end_epoch
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
    if schedule == "exponential":
        return start_ratio * (end_ratio / start_ratio) ** p
    if schedule == "step":
        # Multiplied before divided, so that a jump due at a whole epoch comes at that epoch.
        passed = math.floor(jumps * (epoch - start_epoch) / (end_epoch - start_epoch))
        return start_ratio + (end_ratio - start_ratio) * (passed / jumps)
    return end_ratio + (start_ratio - end_ratio) * 0.5 * (1.0 + math.cos(math.pi * p))
