"""Splits by a parameter of the runs."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ups_data.conversion.splitting.base import SplitRule
from ups_data.conversion.splitting.cutting.parts import Part
from ups_data.conversion.splitting.dates import gap_in
from ups_data.conversion.splitting.intervals import Bounds, check_bounds, interval_of, is_apart, number_of, split_ranges
from ups_data.errors import UpsDataError
from ups_data.trajectory import Trajectory

EXAMPLE = "train=..0.3,valid=0.3.."


@dataclass(frozen=True)
class ByParam(SplitRule):
    """Ranges of a parameter of the runs: `ByParam("nu", "train=..0.3,valid=0.3..")`; `a..b` is `a ≤ x < b`."""

    name: str
    text: str
    gap: str = ""
    option = "--split-param"

    @cached_property
    def _bounds(self) -> list[Bounds]:
        given = split_ranges(self.option, self.text, EXAMPLE)
        found = [interval_of(self.option, split, text, EXAMPLE) for split, text in given]
        bounds = [
            Bounds(
                i.split,
                number_of(self.option, i, i.low, -np.inf),
                number_of(self.option, i, i.high, np.inf),
            )
            for i in found
        ]
        check_bounds(self.option, bounds, found.__getitem__)
        return sorted(bounds, key=lambda bound: list(dict.fromkeys(i.split for i in found)).index(bound.split))

    @property
    def names(self) -> list[str]:
        """See `SplitRule.names`."""
        return list(dict.fromkeys(bound.split for bound in self._bounds))

    def identity(self) -> dict[str, Any]:
        """See `SplitRule.identity`."""
        return {"by": "param", "name": self.name, "text": self.text, "gap": self.gap}

    def words(self) -> str:
        """See `SplitRule.words`."""
        return f"parameter {self.name} {self.text}" + (f", gap {self.gap}" if self.gap else "")

    def parts(self, number: int, run: Trajectory) -> list[Part]:
        """See `SplitRule.parts`.

        Raises:
            UpsDataError: the runs have no such parameter.
        """
        if self.name not in run.params:
            have = ", ".join(run.params) or "none"
            raise UpsDataError(f"--split-param: {run.source}, {run.key}, has no parameter {self.name!r}: it has {have}")
        x, gap = float(run.params[self.name]), gap_in("--split-gap", self.gap, None, f"the parameter {self.name}")
        split = next((b.split for b in self._bounds if b.low <= x < b.high), None)
        return [Part(number, split)] if split is not None and is_apart(x, split, self._bounds, gap) else []
