"""How the ratio (queries ÷ points) changes in the course of a training run."""

import math
from collections.abc import Mapping
from typing import Literal, get_args

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


def check_ramp(schedule: Schedule, ramp: Mapping[str, float | None], numbers: Mapping[str, float | None]) -> None:
    """See that a schedule has a start and an end, and a constant one has none.

    Args:
        ramp: option → value, of those that a schedule needs.
        numbers: likewise, of those that go with a constant schedule only.

    Raises:
        ValueError: one line.
    """
    if schedule == "constant":
        given = [name for name, value in ramp.items() if value is not None]
        if given:
            others = ", ".join(s for s in get_args(Schedule) if s != "constant")
            raise ValueError(f"{given[0]} has no effect on a constant schedule: set schedule to {others}")
        return
    missing = [name for name, value in ramp.items() if value is None]
    if missing:
        them = "it" if len(missing) == 1 else "them"
        raise ValueError(f"schedule {schedule!r} needs {' and '.join(missing)}: give {them}")
    for name, value in numbers.items():
        if value is not None:
            raise ValueError(f"{name} and schedule {schedule!r} are both given: leave {name} out")
