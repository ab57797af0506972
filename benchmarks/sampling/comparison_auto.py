"""How long a run of `query_sample_ratio=auto` takes. It chooses its ratios, so its time is known once it has run."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.sampling.comparison import Variant
from ups_data.errors import UpsDataError
from ups_data.training.noise.measure import RATIOS

GUESS = "0.1"  # the ratio whose steps say how many are tried first
LEAST_USED = 0.9  # of the budget
MOST_TRIES = 6


def to_time(chosen: Iterable[Variant]) -> list[Variant]:
    """The ways whose steps are timed: in the place of `auto`, each ratio that it may choose."""
    found: dict[str, Variant] = {}
    for variant in chosen:
        for one in _of_auto(variant) if variant.is_auto else [variant]:
            found.setdefault(one.name, one)
    return list(found.values())


def _of_auto(variant: Variant) -> list[Variant]:
    return [replace(variant, ratio=f"{ratio:g}") for ratio in (*RATIOS, 1.0)]


def guessed_seconds(variant: Variant, seconds: Mapping[str, float]) -> float:
    """Of a step, before anything is chosen."""
    return seconds[replace(variant, ratio=GUESS).name]


def seconds_taken(variant: Variant, record: Mapping[str, Any], seconds: Mapping[str, float]) -> float:
    """The steps of a run at the times of the ratios that it chose; ratios between those timed lie on a straight line.

    Args:
        record: of the run, with its `epochs` and the `points` that it chose.
        seconds: of a step, by the way's name.

    Raises:
        UpsDataError: it chose another mode.
    """
    timed = {float(one.ratio): seconds[one.name] for one in _of_auto(variant) if one.name in seconds}
    ratios, total = sorted(timed), 0.0
    for epoch in record["epochs"]:
        made = [made for made in record["points"] if made["epoch"] <= epoch["epoch"]][-1]
        if made["mode"] != variant.mode:
            raise UpsDataError(f"{variant.name}: the run chose the mode {made['mode']}, whose steps were not timed")
        total += epoch["steps"] * float(np.interp(made["ratio"], ratios, [timed[ratio] for ratio in ratios]))
    return total


def next_length(steps: int, taken: float, budget: float) -> int | None:
    """How many steps to try next; None if a run of so many seconds fits the budget."""
    if LEAST_USED * budget <= taken <= budget:
        return None
    return max(1, math.floor(steps * 0.985 * budget / taken))
