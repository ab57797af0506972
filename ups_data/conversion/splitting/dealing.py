"""A source's trajectories, dealt to splits: by its own, by shares, or by a rule."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ups_data.conversion.appending.base import Base
from ups_data.conversion.shard_plan import Addition, OnError
from ups_data.conversion.shard_task import Job
from ups_data.conversion.source_runs import open_trajectory, unreadable
from ups_data.conversion.splits import assign_splits
from ups_data.conversion.splitting.base import SplitRule
from ups_data.conversion.splitting.cutting.parts import Part, PartsSource
from ups_data.errors import UpsDataError
from ups_data.schema import LeftOut
from ups_data.sources import Source
from ups_data.trajectory import Trajectory


@dataclass(frozen=True)
class Dealt:
    """What is known before anything is planned.

    Attributes:
        parts: the trajectories, if they are parts of the source's.
        splits: of each trajectory.
        outside: runs of which no split takes anything.
        addition: to a dataset that is there.
    """

    parts: tuple[Part, ...] | None
    splits: list[str]
    outside: list[LeftOut]
    addition: Addition | None


@dataclass(frozen=True)
class Dealing:
    """`shares`: split → share, of runs; `rule`: of runs and parts of them. Neither: the source's own, or 80/10/10."""

    shares: Mapping[str, float] | None = None
    rule: SplitRule | None = None

    def told(self) -> dict[str, str]:
        """For the manifest's `source`."""
        return {} if self.rule is None else {"splits": self.rule.words()}

    def deal(self, source: Source, job: Job, base: Base | None) -> Dealt:
        """Go through a source without reading fields; by shares or its own splits, only if there is a dataset already.

        Raises:
            UpsDataError: as `deal`, `assign_splits` and `Base.new_runs`.
        """
        parts: tuple[Part, ...] | None = None
        outside: list[LeftOut] = []
        splits: list[str | None] = source.splits()
        if self.rule is not None:
            parts, outside = deal(self.rule, source, job.path, job.on_error)
            splits = [part.split for part in parts]
        elif base is None or any(splits):
            splits = [*assign_splits(splits, self.shares, job.options.seed)]
        if base is None:
            return Dealt(parts, [split for split in splits if split is not None], outside, None)
        trajectories = source if parts is None else PartsSource(source, parts)
        new = base.new_runs(trajectories, job.path, splits, job.on_error)
        dealt = new.dealt(self.shares, job.options.seed)
        addition = Addition(base.manifest, base.digest, new.numbers, new.like, base.first_places())
        return Dealt(parts, dealt, outside, addition)


def deal(rule: SplitRule, source: Source, path: Path, on_error: OnError) -> tuple[tuple[Part, ...], list[LeftOut]]:
    """The parts that a rule makes of a source's runs, and the runs of which no split takes anything.

    Args:
        on_error: "skip": a run that cannot be opened becomes a part, which is left out when it is reached.

    Raises:
        UpsDataError: a run cannot be opened, the rule does not fit the source, or a split gets nothing.
    """
    own = sorted(split for split in set(source.splits()) if split)
    if own and not rule.overrides:
        raise UpsDataError(f"the source brings its own splits {own}: leave {rule.option} out")
    parts: list[Part] = []
    outside = []
    for number, run in _opened(source, path, on_error):
        found = [Part(number, rule.names[0])] if run is None else _parts(rule, number, run)
        parts += found
        if run is not None and not found:
            outside.append(LeftOut(key=run.key, source=run.source, reason=f"in no split by {rule.words()}"))
    rule.finish(str(path))
    empty = [name for name in rule.names if name not in {part.split for part in parts}]
    if empty:
        raise UpsDataError(
            f"{rule.option}: the split {empty[0]!r} gets nothing of {path}, by {rule.words()}: widen its range, make "
            "the gap smaller, or take it out"
        )
    return tuple(parts), outside


def _opened(source: Source, path: Path, on_error: str) -> Iterator[tuple[int, Trajectory | None]]:
    for number in range(len(source)):
        try:
            yield number, open_trajectory(source, number, path)
        except UpsDataError:
            if on_error == "raise":
                raise
            yield number, None


def _parts(rule: SplitRule, number: int, run: Trajectory) -> list[Part]:
    try:
        return rule.parts(number, run)
    except (UpsDataError, MemoryError):
        raise
    except Exception as error:  # what a reader raises when coordinates are read
        raise unreadable(f"{run.source}: trajectory {run.key!r}", error) from error
