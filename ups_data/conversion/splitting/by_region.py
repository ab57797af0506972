"""Splits by region: boxes on coordinates."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ups_data.conversion.splitting.base import SplitRule
from ups_data.conversion.splitting.cutting.parts import Part
from ups_data.conversion.splitting.cutting.regions import Box, Region, points_in
from ups_data.conversion.splitting.dates import gap_in
from ups_data.conversion.splitting.intervals import Bounds, check_bounds, interval_of, number_of, split_ranges
from ups_data.errors import UpsDataError
from ups_data.trajectory import Trajectory

EXAMPLE = "train=x:..0.7,valid=x:0.7../y:0..0.5"


@dataclass(frozen=True)
class ByRegion(SplitRule):
    """Boxes on coordinates, cut out of every run: `ByRegion("train=x:..0.7,valid=x:0.7../y:0..0.5", gap="0.05")`.

    A box is axes with ranges, with `/` between them; an axis that is not named is not bounded. What is cut out of a
    grid is a cloud of its points. Of splits that are named later, points within the gap of a box before are left out.
    """

    text: str
    gap: str = ""
    option = "--split-region"

    @cached_property
    def _boxes(self) -> list[tuple[str, Box]]:
        found = [(split, self._box(split, text)) for split, text in split_ranges(self.option, self.text, EXAMPLE)]
        for place, (split, box) in enumerate(found):
            if any(split != other and box.touches(theirs) for other, theirs in found[:place]):
                raise UpsDataError(f"{self.option} {self.text!r}: the region of {split!r} overlaps one before it")
        return found

    def _box(self, split: str, text: str) -> Box:
        ranges = []
        for piece in text.split("/"):
            axis, colon, given = piece.partition(":")
            if not colon:
                raise UpsDataError(f"{self.option} {split}={text}: name an axis and its range, as in {EXAMPLE}")
            one = interval_of(self.option, split, given, EXAMPLE)
            low, high = (
                number_of(self.option, one, one.low, -np.inf),
                number_of(self.option, one, one.high, np.inf),
            )
            check_bounds(self.option, [Bounds(split, low, high)], lambda _, piece=piece: piece)  # type: ignore[misc]
            ranges.append((axis.strip(), low, high))
        return Box(tuple(ranges))

    @property
    def names(self) -> list[str]:
        """See `SplitRule.names`."""
        return list(dict.fromkeys(split for split, _ in self._boxes))

    def identity(self) -> dict[str, Any]:
        """See `SplitRule.identity`."""
        return {"by": "region", "text": self.text, "gap": self.gap}

    def words(self) -> str:
        """See `SplitRule.words`."""
        return f"region {self.text}" + (f", gap {self.gap}" if self.gap else "")

    @cached_property
    def _regions(self) -> dict[str, Region]:
        gap = gap_in("--split-gap", self.gap, None, "a region")
        found: dict[str, Region] = {}
        before: tuple[Box, ...] = ()
        for name in self.names:
            boxes = tuple(box for split, box in self._boxes if split == name)
            found[name] = Region(boxes, before, gap)
            before = (*before, *boxes)
        return found

    def parts(self, number: int, run: Trajectory) -> list[Part]:
        """See `SplitRule.parts`: of those splits in which every set of points has some.

        Raises:
            UpsDataError: points move, or an axis is not there.
        """
        return [
            Part(number, name, region=region)
            for name, region in self._regions.items()
            if all(len(numbers) for numbers in points_in(run, region).values())
        ]
