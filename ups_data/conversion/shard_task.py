"""One task of a conversion: a shard, written aside."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ups_data.conversion.shard_plan import OnError, PlannedShard
from ups_data.conversion.source_runs import left_out, open_run
from ups_data.conversion.splitting.cutting.parts import Part, PartsSource
from ups_data.errors import UpsDataError
from ups_data.schema import LeftOut
from ups_data.sources import DEFAULTS, Source, SourceOptions, open_source, register_source, registered
from ups_data.writing.layout import Layout
from ups_data.writing.options import WriteOptions
from ups_data.writing.run import Run
from ups_data.writing.shard.frames import stored_frames
from ups_data.writing.shard.masks import masks_of
from ups_data.writing.shard.open_shard import OpenShard
from ups_data.writing.shard.written import WrittenShard


@dataclass(frozen=True)
class Job:
    """What every task needs.

    Attributes:
        like: the trajectory that all others must be like.
        parts: the trajectories, if they are parts of the source's runs.
    """

    path: Path
    format: str | None
    options: WriteOptions
    like: int
    on_error: OnError
    reading: SourceOptions = DEFAULTS
    formats: tuple[type[Source], ...] = field(default_factory=registered)  # a worker imports them by being given this
    parts: tuple[Part, ...] | None = None

    def taking(self, like: int) -> "Job":
        """The same with another trajectory that all must be like."""
        return replace(self, like=like)

    def trajectories(self, source: Source | None = None) -> Source:
        """The trajectories as they are numbered; `source`: as it is opened already."""
        if source is None:
            source = open_source(self.path, self.format, keep_damaged=self.on_error == "skip", options=self.reading)
        return source if self.parts is None else PartsSource(source, self.parts)


@dataclass(frozen=True)
class Made:
    """`written`: None where no trajectory was left. `left_out`: number → what could not be stored."""

    written: WrittenShard | None
    left_out: dict[int, LeftOut]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "written": None if self.written is None else self.written.to_json(),
            "left_out": {str(number): entry.model_dump() for number, entry in self.left_out.items()},
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Made":
        """What `to_json` gave. Raises KeyError, TypeError, ValueError or AttributeError for anything else."""
        left_out = {int(n): LeftOut.model_validate(entry) for n, entry in record["left_out"].items()}
        return cls(None if record["written"] is None else WrittenShard.from_json(record["written"]), left_out)

    def is_of(self, shard: PlannedShard) -> bool:
        """Whether it can be of a planned shard; it may have been read from anywhere."""
        stored = [n for n in shard.trajectories if n not in self.left_out]
        if not set(self.left_out) <= set(shard.trajectories) or (self.written is None) != (not stored):
            return False
        spec = None if self.written is None else self.written.spec
        return spec is None or (spec.path, len(spec.steps)) == (shard.path, len(stored))


class ShardMaker:
    """Writes the shards of a conversion, one after another.

    Args:
        source: as it is opened already; None opens it again.
    """

    def __init__(self, job: Job, source: Source | None = None) -> None:
        self._job = job
        for known in job.formats:
            register_source(known)
        self._source = job.trajectories(source)
        first = open_run(self._source, job.like, job.path)
        self.layout = Layout(first, job.options)
        self.layout.take_origins(first)
        self.importance = self.layout.importance()

    def make(self, shard: PlannedShard, aside: Path, progress: Callable[[int], None]) -> Made:
        """Write the shard to the folder `aside`. A trajectory that fails half way is left out by starting it over.

        Args:
            progress: called with the trajectories done.

        Raises:
            UpsDataError: a trajectory cannot be stored, where that is not skipped.
            OSError: the shard cannot be written.
        """
        out: dict[int, LeftOut] = {}
        while True:
            numbers = [n for n in shard.trajectories if n not in out]
            if not numbers:
                return Made(None, out)
            open_shard = OpenShard(aside, shard.split, self.layout, self.importance, self._job.options.allow_nonfinite)
            try:
                for place, number in enumerate(numbers):
                    if not self._try(number, open_shard.add, out):
                        for later in numbers[place + 1 :]:  # all at once: each time costs a new start
                            self._try(later, self._look_through, out)
                        break
                    progress(len(out) + place + 1)
                else:
                    return Made(open_shard.finish(shard.path), out)
            except BaseException:
                open_shard.abort()
                raise
            open_shard.abort()

    def _try(self, number: int, store: Callable[[Run], None], out: dict[int, LeftOut]) -> bool:
        run = None
        try:
            run = open_run(self._source, number, self._job.path)
            self.layout.check(run)
            store(run)
        except UpsDataError as error:
            if self._job.on_error == "raise":
                raise
            out[number] = left_out(run, number, self._job.path, error)
            return False
        return True

    def _look_through(self, run: Run) -> None:
        """Everything that storing it would read."""
        self.layout.deal(run)
        masks = masks_of(run, self.layout)
        for _ in stored_frames(run, self.layout, self._job.options.allow_nonfinite, masks):
            pass
        for name in run.coords:
            for step in range(run.steps if run.moving(name) else 1):
                run.coords_at(name, step, step + 1)
