"""Dates that bound a split, as numbers of a trajectory's own times."""

import re
from typing import Literal

from ups_data.errors import UpsDataError
from ups_data.sources.netcdf.times import SECONDS, UNITS, seconds_between
from ups_data.trajectory import Trajectory

_DATE = re.compile(r"(\d{1,4})(?:-(\d{1,2})(?:-(\d{1,2})(?:[T ](\d{1,2})(?::(\d{2})(?::(\d{2}))?)?)?)?)?")
_GAP = re.compile(r"\s*([0-9.eE+-]+)\s*([a-z]*)\s*")
_BY_NAME = {name: unit for unit, names in UNITS.items() for name in names}
DAY = 86400.0


def time_of(option: str, text: str, side: Literal["low", "high"], run: Trajectory) -> float:
    """A date as a time of the run. `2015` is all of that year: it begins with its first second, and ends with its last.

    Raises:
        UpsDataError: it is no date of the run's calendar, or the run's times are in no known unit.
    """
    match = _DATE.fullmatch(text.strip())
    if match is None:
        raise UpsDataError(
            f"{option}: the times of {run.source} are dates, {text!r} is none: write 2015, 2015-06, 2015-06-15 or "
            "2015-06-15T12:00"
        )
    unit = SECONDS.get(run.time_units or "")
    if unit is None or run.start is None:
        raise UpsDataError(
            f"{option}: {run.source} counts its times in {run.time_units}, not in a unit of known length"
        )
    year, month, day, *clock = (None if part is None else int(part) for part in match.groups())
    assert year is not None
    more = 0.0
    if side == "high" and clock[0] is None:  # to the end of the year, the month or the day
        if day is not None:
            more = DAY
        elif month is not None:
            year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        else:
            year += 1
    numbers = [part or 0 for part in clock]
    date = f"{year:04d}-{month or 1:02d}-{day or 1:02d}T{numbers[0]:02d}:{numbers[1]:02d}:{numbers[2]:02d}"
    try:
        return (seconds_between(run.start, date, run.calendar or "standard") + more) / unit
    except ValueError as error:
        raise UpsDataError(f"{option}: {text!r} is no date of the calendar of {run.source} ({error})") from None


def gap_in(option: str, text: str, units: str | None, where: str) -> float:
    """A gap such as `0.5` or `30 days` in some units; "": none.

    Raises:
        UpsDataError: it is negative or no number, or its unit cannot be compared with those.
    """
    match = _GAP.fullmatch(text or "0")
    try:
        value = float(match[1]) if match else float("nan")
    except ValueError:
        value = float("nan")
    if match is None or not 0 <= value < float("inf"):
        raise UpsDataError(f"{option} {text!r}: give a number, 0 or more, or one with a unit, as 30 days")
    if not match[2]:
        return value
    unit = _BY_NAME.get(match[2])
    if unit is None or units not in SECONDS:
        raise UpsDataError(
            f"{option} {text!r}: {where} counts in {units or 'no unit'}, which this cannot be compared with: give a "
            "number alone"
        )
    return value * SECONDS[unit] / SECONDS[units]
