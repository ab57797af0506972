"""Splits by windows of time, with a gap between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ups_data.conversion.splitting.base import SplitRule
from ups_data.conversion.splitting.cutting.parts import Part, frames_of
from ups_data.conversion.splitting.dates import gap_in, time_of
from ups_data.conversion.splitting.intervals import (
    Bounds,
    Interval,
    check_bounds,
    interval_of,
    is_apart,
    number_of,
    split_ranges,
)
from ups_data.errors import UpsDataError
from ups_data.trajectory import Trajectory

EXAMPLE = "train=..2015,valid=2016.."


@dataclass(frozen=True)
class ByTime(SplitRule):
    """Windows of time, cut out of every run. Splits that are named later give way by the gap to those before.

        ByTime("train=..2015,valid=2016..", gap="30 days")

    Args:
        text: dates where the source's times count since one, numbers of its unit otherwise; `a..b` is `a ≤ t < b`, and
            a date without a clock means the whole of its year, month or day. A split may be named several times.
        gap: in the unit of the source's times, or with one.
    """

    text: str
    gap: str = ""
    option = "--split-time"

    @cached_property
    def _intervals(self) -> list[Interval]:
        given = split_ranges(self.option, self.text, EXAMPLE)
        return [interval_of(self.option, split, text, EXAMPLE) for split, text in given]

    @property
    def names(self) -> list[str]:
        """See `SplitRule.names`."""
        return list(dict.fromkeys(i.split for i in self._intervals))

    def identity(self) -> dict[str, Any]:
        """See `SplitRule.identity`."""
        return {"by": "time", "text": self.text, "gap": self.gap}

    def words(self) -> str:
        """See `SplitRule.words`."""
        return f"time {self.text}" + (f", gap {self.gap}" if self.gap else "")

    def parts(self, number: int, run: Trajectory) -> list[Part]:
        """See `SplitRule.parts`.

        Raises:
            UpsDataError: times do not increase, a bound is no time of this source, or windows overlap.
        """
        steps = frames_of(run)
        times = np.arange(steps, dtype=np.float64) if run.time is None else np.asarray(run.time, np.float64)
        if not (np.diff(times) > 0).all():
            raise UpsDataError(
                f"--split-time: the times of {run.source}, {run.key}, do not increase: put the frames in order of time"
            )
        bounds = self._bounds(run)
        gap = gap_in("--split-gap", self.gap, run.time_units, run.source)
        found = []
        for bound in bounds:
            inside = (times >= bound.low) & (times < bound.high)
            inside &= [is_apart(t, bound.split, self._ordered(bounds), gap) for t in times.tolist()]
            edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
            found += [Part(number, bound.split, (int(a), int(b))) for a, b in edges.reshape(-1, 2)]
        if [(part.frames) for part in found] == [(0, steps)]:
            return [Part(number, found[0].split)]
        return sorted(found, key=lambda part: part.frames or (0, 0))

    def _ordered(self, bounds: Sequence[Bounds]) -> list[Bounds]:
        """By the splits' order: windows of the splits before come first."""
        return sorted(bounds, key=lambda bound: self.names.index(bound.split))

    def _bounds(self, run: Trajectory) -> list[Bounds]:
        found = [Bounds(i.split, self._time(i, i.low, run), self._time(i, i.high, run)) for i in self._intervals]
        check_bounds(self.option, found, self._intervals.__getitem__)
        return found

    def _time(self, interval: Interval, text: str, run: Trajectory) -> float:
        side = "low" if text is interval.low else "high"
        end = -np.inf if side == "low" else np.inf
        if not text:
            return end
        if run.start is not None:
            return time_of(self.option, text, "low" if side == "low" else "high", run)
        try:
            return number_of(self.option, interval, text, end)
        except UpsDataError as error:
            raise UpsDataError(
                f"{error}; the times of {run.source} have no date (cftime reads those of NetCDF)"
            ) from None
