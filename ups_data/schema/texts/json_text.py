"""JSON from anywhere: looked at before it is made into objects, which take far more memory than the text."""

import json
from typing import Any

from ups_data.schema import limits


def parse_json(text: bytes) -> Any:
    """What a text of JSON holds.

    Raises:
        ValueError: it is none, too deep, or holds more than anybody writes.
    """
    check_size(text)
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("lists within lists, too many to follow") from None


def check_size(text: bytes) -> None:
    """Count what a text of JSON holds.

    Raises:
        ValueError: more than anybody writes.
    """
    # Strings may hold these characters too, so honest files may seem to hold a little more than they do.
    lists = text.count(b"[") + text.count(b"{")
    counts = {"values": (text.count(b",") + lists, limits.JSON_VALUES)}
    counts["keys and lists"] = (text.count(b":") + lists, limits.JSON_KEYS)
    for what, (count, limit) in counts.items():
        if count > limit:
            raise ValueError(f"about {count:,} {what}, the limit is {limit:,}")
