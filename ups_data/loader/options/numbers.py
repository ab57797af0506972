"""Whole numbers among the options: what is none is refused, not rounded, and no more than arrays can count."""

import operator
from typing import Any

from ups_data.errors import UpsDataError

COUNT, BYTES = 2**31 - 1, 2**62
# What an option may be at most, where it is not COUNT. A seed may be any number.
MOST: dict[str, int | None] = {
    "seed": None,
    "threads": 1024,
    "num_workers": 1024,
    "prefetch": 10**6,
    "canonical_ranks": 2**16,
    "repeats": 10**6,
    "batch_size": 10**7,
}


def whole(name: str, value: Any, least: float | None) -> int:
    """The number that an option is.

    Raises:
        UpsDataError: it is none, is too small, or too large.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise UpsDataError(f"{name} is {value!r}: give a whole number") from None
    if least is not None and number < least:
        raise UpsDataError(f"{name} is {number}: give at least {least:g}")
    most = BYTES if name.endswith("_bytes") else MOST.get(name, COUNT)
    if most is not None and number > most:
        raise UpsDataError(f"{name} is {number}: give at most {most}")
    return number
