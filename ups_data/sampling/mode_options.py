"""Modes as options: parsing names, mixtures and schedules, and which mode an epoch uses."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ups_data.errors import UpsDataError
from ups_data.sampling.mistakes import known
from ups_data.sampling.mode import Mixture, Mode
from ups_data.sampling.modes.mixture import mixed
from ups_data.sampling.registry import find_mode, mixable_modes, mode_aliases, mode_named, mode_names

ModeSchedule = tuple[tuple[int, str | Mixture], ...]  # (first epoch, mode), ascending


def parse_mode(value: Any) -> str | Mixture:
    """A mode's name, or a mixture given as `{"stratified": 0.7, "importance": 0.3}` or as pairs.

    Raises:
        ValueError: one line.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        return _parse_name(value)
    shares = {parse_mode(mode): share for mode, share in _pairs("mode", value)}
    mixable = mixable_modes()
    for mode, share in shares.items():
        if mode not in mixable:
            raise ValueError(f"mode {mode!r} cannot be part of a mixture: mix {', '.join(mixable)}")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise ValueError(f"mode {mode!r} has share {share!r} of a mixture: give a number above 0 and at most 1")
    total = math.fsum(shares.values())
    if not math.isclose(total, 1.0, abs_tol=1e-6):
        raise ValueError(f"the shares of mode's mixture add up to {total:g}: make them add up to 1")
    if len(shares) == 1:
        return next(iter(shares))
    mixture = tuple((mode, float(shares[mode])) for mode in mixable if mode in shares)
    choosy = [mode for mode, _ in mixture if mode_named(mode).preferred_places is not None]
    if len(choosy) > 1:
        raise ValueError(f"modes {' and '.join(choosy)} of a mixture prefer some points: leave all but one out")
    return mixture


def parse_mode_schedule(value: Any) -> ModeSchedule | None:
    """First epoch → mode, as a mapping or as pairs: `{0: "uniform", 20: "importance"}`.

    Raises:
        ValueError: one line.
    """
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f'mode_schedule is {value!r}: give first epochs and modes, such as {{20: "importance"}}')
    modes: dict[int, str | Mixture] = {}
    for epoch, mode in _pairs("mode_schedule", value):
        number = int(epoch) if isinstance(epoch, str) and epoch.isdigit() else epoch  # JSON's keys are strings
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise ValueError(f"mode_schedule has epoch {epoch!r}: give whole numbers from 0 on")
        modes[number] = parse_mode(mode)
    return tuple(sorted(modes.items(), key=lambda item: item[0])) or None


def mode_at(mode: str | Mixture, mode_schedule: ModeSchedule | None, epoch: float) -> str | Mixture:
    """The mode of the last entry of the schedule that has begun, or `mode` where none has."""
    if mode_schedule is None:
        return mode
    begun = [scheduled for first, scheduled in mode_schedule if first <= epoch]
    return begun[-1] if begun else mode


def record_of(mode: str | Mixture) -> Mode:
    """The mode's record; a mixture is one mode.

    Raises:
        UpsDataError: in a process that does not know the mode.
    """
    return mode_named(mode) if isinstance(mode, str) else mixed(mode)


def names_in(mode: str | Mixture) -> list[str]:
    """The modes that a mode is made of: its own name, or those of a mixture."""
    return [mode] if isinstance(mode, str) else [name for name, _ in mode]


def _parse_name(value: Any) -> str:
    try:
        found = find_mode(value) if isinstance(value, str) else None
    except UpsDataError as error:  # an installed package's mode that cannot be loaded
        raise ValueError(str(error)) from None
    return found.name if found is not None else known("mode", value, mode_names(), mode_aliases())


def _pairs(option: str, value: Any) -> list[tuple[Any, Any]]:
    items = list(value.items() if isinstance(value, Mapping) else value)
    if any(isinstance(item, str) or not isinstance(item, Iterable) or len(list(item)) != 2 for item in items):
        raise ValueError(f"{option} is {value!r}: give a mapping, or pairs")
    if not items:
        raise ValueError(f"{option} is empty: leave it out, or name at least one mode")
    return [(first, second) for first, second in items]
