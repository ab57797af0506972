"""What a user decides about how a source is read, whatever its format."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceOptions:
    """Every source is made with one of these; most formats need none of it."""


DEFAULTS = SourceOptions()
