"""Where an axis has its ticks, and what they say."""

import math
from collections.abc import Sequence


class Axis:
    """From values to positions between 0 and 1.

    Args:
        values: finite numbers, at least one; for a logarithmic axis, above 0.
        log: whether the axis is logarithmic.
        from_zero: whether a linear axis begins at 0.
        whole: whether a linear axis has ticks at whole numbers only.
    """

    def __init__(
        self, values: Sequence[float], *, log: bool = False, from_zero: bool = False, whole: bool = False
    ) -> None:
        self.log, self.whole = log, whole
        low, high = min(values), max(values)
        if log:
            low, high = math.log10(low), math.log10(high)
            margin = max(0.04 * (high - low), 0.02)
            self.low, self.high = low - margin, high + margin
        else:
            low = min(low, 0.0) if from_zero else low
            high += 0.06 * (high - low) if from_zero else 0.0
            self.low, self.high = low, high if high > low else low + (abs(low) or 1.0)

    def place(self, value: float) -> float:
        """0 at the axis's low end, 1 at its high end."""
        return ((math.log10(value) if self.log else value) - self.low) / (self.high - self.low)

    def ticks(self, most: int) -> list[float]:
        """At most so many round values, give or take one."""
        return self._decades(most) if self.log else self._steps(most)

    def _steps(self, most: int) -> list[float]:
        raw = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
        step = math.ceil(step) if self.whole else step
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def _decades(self, most: int) -> list[float]:
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        for factors in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
            ticks = [factor * 10.0**decade for decade in decades for factor in factors]
            inside = [tick for tick in ticks if self.low <= math.log10(tick) <= self.high]
            if len(inside) <= most:
                break
        if len(inside) < 2:  # less than from one round value to the next
            linear = Axis([10**self.low, 10**self.high])
            return [tick for tick in linear.ticks(most) if tick > 0]
        return inside[:: -(-len(inside) // most)]


def told(value: float) -> str:
    """A tick's value, short: 0.05, 1,500, 3 × 10⁻⁵."""
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)) + 1e-9)
    if -4 <= power < 6:
        digits = max(0, 2 - power)
        text = f"{value:,.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa = f"{value / 10**power:.2g}"
    raised = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if mantissa == "1" else f"{mantissa} × 10{raised}"
