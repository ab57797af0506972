"""What is known of a shard once it is written, and the manifest that it makes with others."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ups_data.errors import UpsDataError
from ups_data.schema import Manifest, MaskSpec, ShardSpec, SplitSpec, limits
from ups_data.store.sealing import seal_path
from ups_data.writing.folders import read_own
from ups_data.writing.importance import Importance
from ups_data.writing.joining.pooling import SplitMoments, moments_of
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
    layout: Layout,
    importance: Importance,
    source: Mapping[str, str],
    splits: Mapping[str, Sequence[WrittenShard]],
    base: Manifest | None = None,
) -> Manifest:
    """The manifest of a dataset of these shards; the order of a split's shards decides the last bits of its statistics.

    Args:
        splits: name → shards, at least one.
        base: a dataset of the same layout, whose shards come before these.

    Raises:
        UpsDataError: more frames, points or names than a manifest may list.
    """
    written = [shard for shards in splits.values() for shard in shards]
    ragged = [
        name
        for name, points in layout.points.items()
        if any(n != points.num_points for shard in written for n in (shard.spec.points or {})[name or ""])
        or (base is not None and base.point_set(name).num_points != points.num_points)
    ]
    names = sorted({*splits, *(base.splits if base is not None else ())}, key=usual_order)
    try:
        specs = {name: _split_spec(splits.get(name, ()), layout, ragged, base, name) for name in names}
        manifest = layout.manifest(dict(source), specs, ragged=ragged, masks=_masks(layout, written, base))
    except ValidationError as error:
        raise UpsDataError(f"no dataset can hold this: {first_reason(error)}: convert or write it in parts") from None
    return manifest.model_copy(update={"importance": importance.listed()})


def _masks(layout: Layout, written: Sequence[WrittenShard], base: Manifest | None) -> dict[str, MaskSpec] | None:
    """Of the sets of points of which some do not count in some frame.

    Args:
        base: of the dataset that the shards are added to.
    """
    moving = {name: mask.moving for name, mask in ((base.masks if base is not None else None) or {}).items()}
    for shard in written:
        for name, masks in (shard.spec.masks or {}).items():
            moving[name] = moving.get(name, False) or masks.moving
    fill = None if layout.options.keeps_nan else layout.options.mask_fill
    return {name: MaskSpec(fill=fill, moving=moves) for name, moves in moving.items()} or None


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


def sync_shard(shard: Path) -> None:
    """Have its files on the disk: a record that survives a power cut must not outlive what it records."""
    for file in files_of(shard):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def point_counts(counts: Mapping[str | None, list[int]]) -> dict[str, list[int]]:
    """Points of each trajectory by set, with the names of a `ShardSpec`."""
    return {name or "": numbers for name, numbers in counts.items()}


def usual_order(split: str) -> tuple[int, str]:
    """A key that sorts splits: train, valid, test, then the others by name."""
    return (USUAL_SPLITS.index(split) if split in USUAL_SPLITS else len(USUAL_SPLITS), split)


def _split_spec(
    written: Sequence[WrittenShard], layout: Layout, ragged: Sequence[str | None], base: Manifest | None, name: str
) -> SplitSpec:
    shards = []
    if base is not None and name in base.splits:
        moments = moments_of(base, name)
        for shard in base.splits[name].shards:
            counts = {key or "": base.shard_points(shard, key) for key in ragged}
            shards.append(shard.model_copy(update={"points": counts or None}))
    else:
        moments = SplitMoments(
            {s.name: FieldMoments(s.channels) for s in layout.specs},
            Moments(len(layout.params)),
            Moments(1),
            {key or "": Moments(spec.dim) for key, spec in layout.points.items()},
        )
    for new in written:
        moments.take(new)
        points = {key or "": (new.spec.points or {})[key or ""] for key in ragged}
        shards.append(new.spec.model_copy(update={"points": points or None}))
    return moments.spec(shards, layout.params)
