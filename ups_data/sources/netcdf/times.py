"""CF's times: numbers in a unit since a date, or dates written as numbers."""

import importlib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import units_of

# unit → its length in seconds
SECONDS = {
    **{"seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86400.0, "weeks": 604800.0},
    **{"milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9},
}
# unit → how CF files write it
UNITS = {
    "seconds": ("seconds", "second", "secs", "sec", "s"),
    "minutes": ("minutes", "minute", "mins", "min"),
    "hours": ("hours", "hour", "hrs", "hr", "h"),
    "days": ("days", "day", "d"),
    "weeks": ("weeks", "week"),
    "milliseconds": ("milliseconds", "millisecond", "msecs", "msec", "ms"),
    "microseconds": ("microseconds", "microsecond", "us"),
    "nanoseconds": ("nanoseconds", "nanosecond", "ns"),
}
_BY_NAME = {name: unit for unit, names in UNITS.items() for name in names}
_SINCE = re.compile(r"\s*(\S+)\s+since\s+(.+)", re.IGNORECASE)
_DATES = re.compile(r"\s*day as %Y%m%d(\.%f)?\s*", re.IGNORECASE)


def times_of(
    where: str, values: np.ndarray, attributes: Mapping[str, Any]
) -> tuple[np.ndarray, str | None, str | None]:
    """Times in float64, their unit, and the date of time zero.

    Times since a date are relative to the first frame, so that those of frames seconds apart differ in float32 too. The
    calendar matters for that date only: no unit here is as long as a month.

    Raises:
        UpsDataError: they are no numbers, not finite, or count in months or years.
    """
    if values.dtype.kind not in "iuf" or values.ndim != 1:
        raise UpsDataError(f"{where} holds {values.dtype} of shape {values.shape}, a number for each frame is expected")
    if not np.isfinite(values).all():
        raise UpsDataError(f"{where} holds times that are NaN or Inf: repair them")
    text = units_of(attributes.get("units"))
    if text is None:
        return values, None, None
    if _DATES.fullmatch(text):
        return _from_dates(where, values)
    since = _SINCE.fullmatch(text)
    if since is None:
        return values, _BY_NAME.get(text.lower(), text), None
    unit = _BY_NAME.get(since[1].lower())
    if unit is None:
        raise UpsDataError(f"{where} counts in {since[1]}, whose length differs: write days since {since[2]}")
    return (values - values[0]).astype(np.float64), unit, _date(values[0], f"{unit} since {since[2]}", attributes)


def date_of(value: Any, attributes: Mapping[str, Any]) -> str | None:
    """The date of a number that counts since a date; None where it does not, or cannot be told."""
    return _date(value, str(attributes.get("units", "")), attributes)


def seconds_between(first: str, second: str, calendar: str) -> float:
    """From one date, as this module writes them, to another of the same calendar.

    Raises:
        UpsDataError: cftime, which knows calendars, is not installed.
    """
    try:
        cftime = importlib.import_module("cftime")
    except ImportError as error:
        raise UpsDataError("dates are compared by cftime, which is not installed: pip install cftime") from error
    found = []
    for text in (first, second):
        numbers = [int(n) for n in re.findall(r"[0-9]+", text)]
        numbers = [*numbers, *[0] * (7 - len(numbers))]
        found.append(cftime.datetime(*numbers[:7], calendar=calendar))
    return (found[1] - found[0]).total_seconds()


def _date(value: Any, units: str, attributes: Mapping[str, Any]) -> str | None:
    """The date in the file's calendar; None if cftime, which knows them, is not installed or does not know it."""
    try:
        cftime = importlib.import_module("cftime")
        return cftime.num2date(value, units, str(attributes.get("calendar", "standard"))).isoformat()
    except (ImportError, ValueError, OverflowError):
        return None


def _from_dates(where: str, values: np.ndarray) -> tuple[np.ndarray, str, str]:
    """`20000131.25` is six o'clock of the last day of January."""
    whole = np.floor(values).astype(np.int64)
    try:
        days = [datetime.strptime(f"{day:08d}", "%Y%m%d") for day in whole.tolist()]
    except ValueError as error:
        raise UpsDataError(f"{where} holds a number that is no date: repair it ({error})") from error
    moments = [day + timedelta(days=float(part)) for day, part in zip(days, values - whole, strict=True)]
    times = np.array([(moment - moments[0]) / timedelta(days=1) for moment in moments])
    return times, "days", moments[0].isoformat(timespec="seconds")
