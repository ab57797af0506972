"""The dataset that runs are appended to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ups_data.conversion.appending.record import Record
from ups_data.conversion.fingerprint import Identity
from ups_data.conversion.source_runs import open_trajectory
from ups_data.conversion.splits import assign_more
from ups_data.conversion.splitting.cutting.parts import frames_of
from ups_data.errors import UpsDataError
from ups_data.schema import LeftOut, Manifest
from ups_data.sources import Source
from ups_data.writing.joining.schemas import difference
from ups_data.writing.layout import Layout

OTHERWISE = "convert the new files into a dataset of their own, and join the two with `ups-data merge`"


@dataclass(frozen=True)
class Base:
    """A complete dataset.

    Attributes:
        name: what messages call it.
        digest: of its manifest.
        record: of the conversion that made it, or appended to it last.
    """

    name: str
    manifest: Manifest
    digest: str
    record: Record | None

    def check(self, identity: Identity) -> None:
        """Whether the same command was given, and every file that it was made from is still there.

        Raises:
            UpsDataError: neither.
        """
        if self.record is None:
            raise UpsDataError(
                f"{self.name} already holds a dataset, which does not say what it was converted from: choose another "
                f"folder, or remove it first; to append to it, {OTHERWISE}"
            )
        change = self.record.identity.change_but_for_new_files(identity)
        if change is not None:
            raise UpsDataError(
                f"{self.name} already holds a dataset, and {change}: choose another folder, or remove it first; to "
                f"append to it, give the same command with all files as they were and new ones beside them, or "
                f"{OTHERWISE}"
            )

    def new_runs(self, source: Source, path: Path, splits: Sequence[str | None], on_error: str) -> "NewRuns":
        """Which of a source's trajectories the dataset does not have.

        Args:
            source: with the trajectories of the dataset, and others.
            splits: of each by the rule; None: a share decides.

        Raises:
            UpsDataError: a trajectory of the dataset is gone or would move, or one cannot be opened ("raise").
        """
        assert self.record is not None
        where, known = self._known(), {(e.source, e.key) for e in self.manifest.left_out or ()}
        found: list[int] = []
        old: list[str | None] = list(splits)
        like = None
        for number in range(len(source)):
            try:
                run = open_trajectory(source, number, path)
            except UpsDataError:
                if on_error == "raise":
                    raise
                found.append(number)
                continue
            name = (run.source, run.key)
            like = number if name == self.record.like else like
            if name in known:
                continue
            if name not in where:
                found.append(number)
                continue
            split, steps = where.pop(name)
            if splits[number] not in (None, split):
                raise UpsDataError(
                    f"{self.name}: {run.key} of {run.source} is in the split {split!r} and would move to "
                    f"{splits[number]!r}: leave it where it was"
                )
            if frames_of(run) != steps:
                raise UpsDataError(
                    f"{self.name}: {run.key} of {run.source} had {steps} frames and has {frames_of(run)}: what is "
                    f"stored does not grow; {OTHERWISE}"
                )
            old[number] = split
        if where:
            source_of, key = next(iter(where))
            raise UpsDataError(f"{self.name}: {key} of {source_of} is not in the source any more; {OTHERWISE}")
        if like is None:
            raise UpsDataError(f"{self.name}: {self.record.like[1]}, which all runs are like, is gone; {OTHERWISE}")
        return NewRuns(found, old, like)

    def check_schema(self, layout: Layout, importance: Mapping[str, Mapping[str, int]] | None) -> None:
        """Whether trajectories of that layout fit into the dataset.

        Raises:
            UpsDataError: they do not.
        """
        new = layout.manifest({}, {}, ragged=(), masks=None).model_copy(update={"importance": importance})
        told = difference(self.manifest, new)
        if told is not None:
            raise UpsDataError(f"{self.name}: nothing can be appended to it, {told}: convert anew")

    def left_out(self, path: Path) -> list[LeftOut]:
        """Those that are not listed again: what could not be opened has a new number."""
        listed = self.manifest.left_out or []
        return [e for e in listed if e.source != str(path) or not e.key.startswith("number ")]

    def first_places(self) -> dict[str, int]:
        """Split → the number of its next shard."""
        places = {}
        for name, split in self.manifest.splits.items():
            numbers = [Path(shard.path).stem.rpartition("-")[2] for shard in split.shards]
            places[name] = max([len(numbers), *(int(n) + 1 for n in numbers if n.isdecimal() and len(n) < 10)])
        return places

    def _known(self) -> dict[tuple[str, str], tuple[str, int]]:
        """Source and key → split and frames."""
        found: dict[tuple[str, str], tuple[str, int]] = {}
        for split in self.manifest.splits:
            for origin in self.manifest.origins(split):
                name = (origin.source, origin.key)
                if name in found:
                    raise UpsDataError(
                        f"{self.name}: holds two trajectories {origin.key} of {origin.source}, which cannot be told "
                        f"apart: {OTHERWISE}"
                    )
                found[name] = (split, origin.steps)
        return found


@dataclass(frozen=True)
class NewRuns:
    """Attributes:
    numbers: of the trajectories that are new, in order.
    splits: of each trajectory; None: a share decides.
    like: number of the trajectory that all are like.
    """

    numbers: list[int]
    splits: list[str | None]
    like: int

    def dealt(self, shares: Mapping[str, float] | None, seed: int) -> list[str]:
        """The split of each trajectory; the old ones stay where they are."""
        return assign_more(self.splits, self.numbers, shares, seed)
