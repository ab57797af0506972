"""How long a run of `query_sample_ratio=auto` takes. It chooses its ratios, so its time is known once it has run."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.sampling.comparison import Variant
from ups_data.errors import UpsDataError
from ups_data.training.noise.measure import RATIOS
from ups_data.training.points.keys import FREE_MODES

GUESS = "0.1"  # the ratio whose steps say how many are tried first
LEAST_USED, LEAST_OF_ALL = 0.9, 0.7  # of the budget: as soon as it is; of the longest run that fits
MOST_TRIES = 4


def check_named(chosen: Iterable[Variant], budget: float | None) -> None:
    """Refuse runs that choose their ratios where they cannot be compared.

    Raises:
        UpsDataError: without a budget, or without one mode that stays.
    """
    for variant in chosen:
        if variant.is_auto and budget is None:
            raise UpsDataError(f"{variant.name}: what it costs follows from its choices: give --budget SECONDS too")
        if variant.is_auto and variant.mode in FREE_MODES:
            raise UpsDataError(
                f"{variant.name}: such a run chooses the mode too, whose steps are not timed: name another mode, such "
                "as 'stratified auto'"
            )


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


@dataclass
class Lengths:
    """The lengths of one run that were tried, until one fits the budget: what a run chooses, and so the time that it
    takes, changes with its length.

    Attributes:
        steps: to try next, or of the run that counts.
        longest: of those that took no more than the budget: steps, and the seconds that they took.
    """

    steps: int
    budget: float
    tries: int = 0
    longest: tuple[int, float] = (0, 0.0)

    def fits(self, taken: float) -> bool:
        """Whether the search is over: `steps` is then a length that was tried and fits. If not, it is the next one.

        Raises:
            UpsDataError: none fits.
        """
        self.tries += 1
        if self.longest[1] < taken <= self.budget:
            self.longest = self.steps, taken
        with_one_more = taken + taken / self.steps
        if taken <= self.budget < max(taken / LEAST_USED, with_one_more):
            return True
        if self.tries < MOST_TRIES:
            following = math.floor(self.steps * 0.96 * self.budget / taken)
            if following == self.steps:  # of a few steps, 4 % are none
                following = math.floor(self.steps * self.budget / taken)
            self.steps = max(1, following)
            return False
        if self.longest[1] < LEAST_OF_ALL * self.budget:
            raise UpsDataError(
                f"no length that was tried fits into {self.budget:g} s, since the choices change with the length: give "
                "a longer --budget"
            )
        self.steps = self.longest[0]
        return True
