"""What a sink is, and the flat form of what it gets."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Sink = Callable[[int, Mapping[str, Any]], None]
"""Called as `sink(step, values)`, `step` being how many optimiser steps were taken. Which values there are:

| when | values |
| --- | --- |
| before the first step | `untrained_nrmse`, `persistence_nrmse` (both None without validation) |
| after every step | `epoch`, `step` (in the epoch, from 0), `queries`, `lr`, `loss` (terms and `total`), `seconds`, |
| | `machine` (`wait_share` of the step's time, `memory_mb` so far, `read_mb` so far), if there are sinks beside |
| | the console and `metrics.jsonl` |
| after a validation | `epoch`, `valid_nrmse`, `valid_fields` (field → nRMSE), `pictures` (name → PNG file) if drawn |
| after an epoch | `epoch`, `summary` (the epoch's entry of `history.json`) |

A run that goes on from a checkpoint gives the steps since that checkpoint again, with the same numbers but for
`seconds` and `machine`.
"""


def scalars(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in nested values, with a path each.

    >>> dict(scalars({"epoch": 3, "loss": {"total": 0.5, "prediction": 0.4}, "note": None}))
    {'epoch': 3.0, 'loss/total': 0.5, 'loss/prediction': 0.4}
    """
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from scalars(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            yield f"{prefix}{name}", float(value)


def pictures(values: Mapping[str, Any]) -> dict[str, Path]:
    """The pictures among values, name → PNG file; none, mostly."""
    return dict(values.get("pictures") or {})
