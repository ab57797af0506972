"""Ranges of splits: `train=..0.3,valid=0.3..0.4` and the gap between them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ups_data.errors import UpsDataError
from ups_data.schema import check_split_name

_RANGE = re.compile(r"(.*?)(?:\.\.\.?|…)(.*)")


@dataclass(frozen=True)
class Interval:
    """From `low` on, up to but without `high`, as they were written; "": without end."""

    split: str
    low: str
    high: str

    def __str__(self) -> str:
        return f"{self.split}={self.low}..{self.high}"


@dataclass(frozen=True)
class Bounds:
    """An interval in numbers: `low ≤ x < high`."""

    split: str
    low: float
    high: float


def split_ranges(option: str, text: str, example: str) -> list[tuple[str, str]]:
    """`train=A,valid=B` as (split, what it is given) in order; a split may be named several times.

    Raises:
        UpsDataError: it is not written so, or names a split that cannot be a folder.
    """
    found = []
    for piece in text.split(","):
        name, equals, given = piece.partition("=")
        if not equals or not given.strip():
            raise UpsDataError(f"{option} {text!r}: write it as {example}")
        found.append((check_split_name(name.strip()), given.strip()))
    return found


def interval_of(option: str, split: str, text: str, example: str) -> Interval:
    """`2015..2016` of a split.

    Raises:
        UpsDataError: it is not written so.
    """
    match = _RANGE.fullmatch(text)
    if match is None or not (match[1].strip() or match[2].strip()):
        raise UpsDataError(f"{option} {split}={text}: write a range, as in {example}")
    return Interval(split, match[1].strip(), match[2].strip())


def number_of(option: str, interval: object, text: str, default: float) -> float:
    """A bound as a number.

    Raises:
        UpsDataError: it is none.
    """
    try:
        value = float(text) if text else default
    except ValueError:
        value = float("nan")
    if value != value:
        raise UpsDataError(f"{option} {interval}: {text!r} is no number: give one, or nothing for no end")
    return value


def check_bounds(option: str, bounds: Sequence[Bounds], told: Callable[[int], object]) -> None:
    """Refuse what is empty, and what two splits would share.

    Args:
        told: number → what messages call that range.

    Raises:
        UpsDataError: a range is empty, or ranges of two splits overlap.
    """
    for place, one in enumerate(bounds):
        if not one.low < one.high:
            raise UpsDataError(f"{option} {told(place)}: is empty, its end does not lie after its beginning")
        for before, other in enumerate(bounds[:place]):
            if one.split != other.split and one.low < other.high and other.low < one.high:
                raise UpsDataError(f"{option} {told(before)} and {told(place)} overlap: give each value to one split")


def is_apart(x: float, split: str, bounds: Sequence[Bounds], gap: float) -> bool:
    """Whether a value of a split is farther than the gap from everything that belongs to splits named before it."""
    for other in bounds:
        if other.split == split:
            break
        if other.low - gap <= x < other.high + gap:
            return False
    return True
