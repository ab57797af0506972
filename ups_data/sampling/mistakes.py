"""What is wrong with an option, in one line and in the user's words."""

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError


def known(option: str, value: Any, allowed: Sequence[str], aliases: Sequence[str] = ()) -> Any:
    """The value, if it is one of those allowed.

    Raises:
        ValueError: one line with the nearest of those allowed and their aliases.
    """
    if isinstance(value, str) and value in allowed:
        return value
    near = difflib.get_close_matches(str(value), [*allowed, *aliases], n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"{option} {value!r} is not known: {hint}Give one of {', '.join(allowed)}")


def one_line(error: ValidationError, options: Sequence[str]) -> str:
    """The first complaint of pydantic's.

    Args:
        options: all that there are.
    """
    first = error.errors()[0]
    option = ".".join(str(part) for part in first["loc"])
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(option, options, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"options are {', '.join(options)}"
        return f"option {option!r} is not known: {hint}"
    return f"{option} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"
