"""What is known of a shard once it is written, and the manifest that it makes with others."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ups_data.errors import UpsDataError
from ups_data.schema import Manifest, PointStatistics, ShardSpec, SplitSpec, limits
from ups_data.store.sealing import seal_path
from ups_data.writing.folders import read_own
from ups_data.writing.importance import Importance
from ups_data.writing.layout import Layout
from ups_data.writing.statistics import FieldMoments, Moments

USUAL_SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class WrittenShard:
    """A finished shard and what it adds to the statistics of its split.

    Attributes:
        spec: with the points of each trajectory of every set, also where all have as many.
        fields: name → moments.
        params: of the parameters, one channel each.
        time_step: of the time between steps.
        coords: set of points (`""`: the only one) → moments of its coordinates as they are stored; {}: a grid.
    """

    spec: ShardSpec
    fields: Mapping[str, FieldMoments]
    params: Moments
    time_step: Moments
    coords: Mapping[str, Moments]

    def to_json(self) -> dict[str, Any]:
        """As plain values, every bit kept."""
        return {
            "spec": self.spec.model_dump(),
            "fields": {name: moments.to_json() for name, moments in self.fields.items()},
            "params": self.params.to_json(),
            "time_step": self.time_step.to_json(),
            "coords": {name: moments.to_json() for name, moments in self.coords.items()},
        }

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> "WrittenShard":
        """What `to_json` gave. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            ShardSpec.model_validate(given["spec"]),
            {name: FieldMoments.from_json(moments) for name, moments in given["fields"].items()},
            Moments.from_json(given["params"]),
            Moments.from_json(given["time_step"]),
            {name: Moments.from_json(moments) for name, moments in given["coords"].items()},
        )

    def fits(self, layout: Layout) -> bool:
        """Whether it can be of a dataset of that layout; it may have been read from anywhere."""
        points = {name or "" for name in layout.points}
        counts = self.spec.points or {}
        return (
            {name: (m.values.channels, m.deltas.channels) for name, m in self.fields.items()}
            == {spec.name: (spec.channels, spec.channels) for spec in layout.specs}
            and (self.params.channels, self.time_step.channels) == (len(layout.params), 1)
            and set(counts) == points
            and {name: m.channels for name, m in self.coords.items()}
            == {name or "": spec.dim for name, spec in layout.points.items()}
            and all(len(numbers) == len(self.spec.steps) for numbers in counts.values())
        )


def dataset_manifest(
    layout: Layout, importance: Importance, source: Mapping[str, str], splits: Mapping[str, Sequence[WrittenShard]]
) -> Manifest:
    """The manifest of a dataset of these shards; the order of a split's shards decides the last bits of its statistics.

    Args:
        splits: name → shards, at least one.

    Raises:
        UpsDataError: more frames, points or names than a manifest may list.
    """
    written = [shard for shards in splits.values() for shard in shards]
    ragged = [
        name
        for name, points in layout.points.items()
        if any(n != points.num_points for shard in written for n in (shard.spec.points or {})[name or ""])
    ]
    specs = {name: _split_spec(splits[name], layout, ragged) for name in sorted(splits, key=usual_order)}
    try:
        manifest = layout.manifest(dict(source), specs, ragged=ragged)
    except ValidationError as error:
        raise UpsDataError(f"no dataset can hold this: {first_reason(error)}: convert or write it in parts") from None
    return manifest.model_copy(update={"importance": importance.listed()})


def is_whole(out: Path, spec: ShardSpec) -> bool:
    """Whether a shard has the seal that is listed, and its files the size that is.

    What else is in the files is not read: whether that is intact, `ups_data.store.verify` says.
    """
    shard = out / spec.path
    try:
        digest = hashlib.sha256(read_own(seal_path(shard), limits.JSON_BYTES)).hexdigest()
        return f"sha256:{digest}" == spec.digest and sum(f.stat().st_size for f in files_of(shard)) == spec.bytes
    except (OSError, ValueError):
        return False


def first_reason(error: ValidationError) -> str:
    """The first thing that is wrong, on one line."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))[:200]
    return f"{where + ': ' if where else ''}{' '.join(first['msg'].removeprefix('Value error, ').split())[:1000]}"


def files_of(shard: Path) -> Iterator[Path]:
    """All files below a folder."""
    return (path for path in shard.rglob("*") if not path.is_dir())


def point_counts(counts: Mapping[str | None, list[int]]) -> dict[str, list[int]]:
    """Points of each trajectory by set, with the names of a `ShardSpec`."""
    return {name or "": numbers for name, numbers in counts.items()}


def usual_order(split: str) -> tuple[int, str]:
    """A key that sorts splits: train, valid, test, then the others by name."""
    return (USUAL_SPLITS.index(split) if split in USUAL_SPLITS else len(USUAL_SPLITS), split)


def _split_spec(written: Sequence[WrittenShard], layout: Layout, ragged: Sequence[str | None]) -> SplitSpec:
    fields = {s.name: FieldMoments(s.channels) for s in layout.specs}
    params, time_step = Moments(len(layout.params)), Moments(1)
    coords = {name or "": Moments(spec.dim) for name, spec in layout.points.items()}
    shards = []
    for shard in written:
        for name, moments in shard.fields.items():
            fields[name].merge(moments)
        for name, moments_of_set in shard.coords.items():
            coords[name].merge(moments_of_set)
        params.merge(shard.params)
        time_step.merge(shard.time_step)
        points = {name or "": (shard.spec.points or {})[name or ""] for name in ragged}
        shards.append(shard.spec.model_copy(update={"points": points or None}))
    return SplitSpec(
        shards=shards,
        statistics={name: moments.statistics() for name, moments in fields.items()},
        params=dict(zip(layout.params, params.summaries(), strict=True)),
        time_step=time_step.summaries()[0] if time_step.count[0] else None,
        coords={name: _where(moments) for name, moments in coords.items()} or None,
    )


def _where(coords: Moments) -> PointStatistics:
    """Of moments of coordinates."""
    return PointStatistics(
        min=coords.min.tolist(), max=coords.max.tolist(), mean=coords.mean.tolist(), std=coords.std.tolist()
    )
