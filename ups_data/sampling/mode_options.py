"""The names of the modes, mixtures of them, and which one an epoch uses."""

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

Mode = Literal["full", "uniform", "stratified", "lattice", "blocks", "importance"]
Mixture = tuple[tuple[Mode, float], ...]  # (mode, share of the queries), the shares' sum is 1
ModeSchedule = tuple[tuple[int, Mode | Mixture], ...]  # (first epoch, mode), ascending

ALIASES = {"random": "uniform"}
MIXABLE = ("importance", "stratified", "uniform")  # in the order in which they are drawn


def known(option: str, value: Any, allowed: tuple[str, ...]) -> Any:
    """The value, if it is one of those allowed.

    Raises:
        ValueError: one line with the nearest of those allowed.
    """
    if isinstance(value, str) and value in allowed:
        return value
    near = difflib.get_close_matches(str(value), [*allowed, *ALIASES] if option == "mode" else allowed, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"{option} {value!r} is not known: {hint}Give one of {', '.join(allowed)}")


def parse_mode(value: Any) -> Mode | Mixture:
    """A mode's name, or a mixture given as `{"stratified": 0.7, "importance": 0.3}` or as pairs.

    Raises:
        ValueError: one line.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        return known("mode", ALIASES.get(value, value) if isinstance(value, str) else value, get_args(Mode))
    shares = {parse_mode(mode): share for mode, share in _pairs("mode", value)}
    for mode, share in shares.items():
        if mode not in MIXABLE:
            raise ValueError(f"mode {mode!r} cannot be part of a mixture: mix {', '.join(MIXABLE)}")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise ValueError(f"mode {mode!r} has share {share!r} of a mixture: give a number above 0 and at most 1")
    total = math.fsum(shares.values())
    if not math.isclose(total, 1.0, abs_tol=1e-6):
        raise ValueError(f"the shares of mode's mixture add up to {total:g}: make them add up to 1")
    if len(shares) == 1:
        return next(iter(shares))
    return tuple((mode, float(shares[mode])) for mode in MIXABLE if mode in shares)


def parse_mode_schedule(value: Any) -> ModeSchedule | None:
    """First epoch → mode, as a mapping or as pairs: `{0: "uniform", 20: "importance"}`.

    Raises:
        ValueError: one line.
    """
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f'mode_schedule is {value!r}: give first epochs and modes, such as {{20: "importance"}}')
    modes: dict[int, Mode | Mixture] = {}
    for epoch, mode in _pairs("mode_schedule", value):
        number = int(epoch) if isinstance(epoch, str) and epoch.isdigit() else epoch  # JSON's keys are strings
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise ValueError(f"mode_schedule has epoch {epoch!r}: give whole numbers from 0 on")
        modes[number] = parse_mode(mode)
    return tuple(sorted(modes.items(), key=lambda item: item[0])) or None


def mode_at(mode: Mode | Mixture, mode_schedule: ModeSchedule | None, epoch: float) -> Mode | Mixture:
    """The mode of the last entry of the schedule that has begun, or `mode` where none has."""
    begun = [scheduled for first, scheduled in mode_schedule or () if first <= epoch]
    return begun[-1] if begun else mode


def looks_at_importance(mode: Mode | Mixture) -> bool:
    """Whether a draw in this mode asks for the importance of tiles."""
    return mode == "importance" or (isinstance(mode, tuple) and "importance" in dict(mode))


def _pairs(option: str, value: Any) -> list[tuple[Any, Any]]:
    items = list(value.items() if isinstance(value, Mapping) else value)
    if any(isinstance(item, str) or not isinstance(item, Iterable) or len(list(item)) != 2 for item in items):
        raise ValueError(f"{option} is {value!r}: give a mapping, or pairs")
    if not items:
        raise ValueError(f"{option} is empty: leave it out, or name at least one mode")
    return [(first, second) for first, second in items]
