"""Which trajectories go into which shard, decided before any is written."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from ups_data.conversion.fingerprint import Identity
from ups_data.conversion.source_runs import left_out, open_run, outline
from ups_data.errors import UpsDataError
from ups_data.schema import LeftOut, Manifest, ShardSpec, check_split_name, limits
from ups_data.schema.specs import Model, Name
from ups_data.schema.texts.json_text import check_size
from ups_data.sources import Source
from ups_data.writing.layout import Layout
from ups_data.writing.options import WriteOptions
from ups_data.writing.run import Run
from ups_data.writing.shard.written import WrittenShard, dataset_manifest, point_counts, usual_order
from ups_data.writing.statistics import FieldMoments, Moments

OnError = Literal["raise", "skip"]
Number = Annotated[int, Field(ge=0)]  # of a trajectory in the source


def shard_path(split: str, place: int) -> str:
    """Where a split's shard of that number lies in the dataset."""
    return f"{split}/shard-{place:06d}.zarr"


class PlannedShard(Model):
    """`path`: in the dataset. `trajectories`: numbers in the source, in order. `bytes`: of their fields, decoded."""

    split: Name
    path: str
    trajectories: Annotated[list[Number], Field(min_length=1)]
    bytes: Annotated[int, Field(ge=0)] = 0


class Plan(Model):
    """A conversion, shard by shard. It is read back from a folder that may come from anywhere.

    Attributes:
        like: the trajectory that all others must be like.
        left_out: number → trajectories that no shard holds.
        not_stored: variable of the source that is no field → why.
        base: digest of the manifest of the dataset that these shards are appended to; None: there is none.
        places: split → shards that the dataset has of it already.
    """

    identity: Identity
    like: Number
    shards: list[PlannedShard]
    left_out: dict[Number, LeftOut]
    not_stored: dict[str, str] = Field(default_factory=dict)
    base: str | None = None
    places: dict[Name, Number] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> "Plan":
        places: Counter[str] = Counter(self.places)
        for shard in self.shards:
            check_split_name(shard.split)
            if shard.path != shard_path(shard.split, places[shard.split]):
                raise ValueError(f"the path {shard.path!r} is not that of a shard of {shard.split!r}")
            places[shard.split] += 1
        numbers = [n for shard in self.shards for n in shard.trajectories] + list(self.left_out)
        if len(set(numbers)) < len(numbers):
            raise ValueError("a trajectory is planned twice")
        return self

    def is_of(self, splits: Sequence[str]) -> bool:
        """Whether it deals trajectories to these splits, one for each."""
        return self.like < len(splits) and all(
            number < len(splits) and splits[number] == shard.split
            for shard in self.shards
            for number in shard.trajectories
        )

    @property
    def trajectories(self) -> int:
        """Of all shards."""
        return sum(len(shard.trajectories) for shard in self.shards)


@dataclass(frozen=True)
class Addition:
    """What a plan of an append begins with.

    Attributes:
        base: the dataset's manifest; `digest` of it.
        numbers: of the trajectories to add.
        like: number of the trajectory that all must be like.
        places: split → shards that the dataset has of it.
    """

    base: Manifest
    digest: str
    numbers: Sequence[int]
    like: int
    places: Mapping[str, int]


def make_plan(
    source: Source,
    path: Path,
    identity: Identity,
    splits: Sequence[str],
    options: WriteOptions,
    on_error: OnError,
    addition: Addition | None = None,
) -> Plan:
    """Go through the source's trajectories without reading their fields.

    A trajectory goes to the open shard of its split, which is closed once it holds `shard_bytes`. All must be like the
    first one; with "skip", like the first of the most common kind, and others are left out.

    Args:
        splits: of each trajectory.
        addition: to a dataset that is there.

    Raises:
        UpsDataError: a trajectory cannot be opened or is unlike the others ("raise"), or none is left.
    """
    runs: dict[int, Run] = {}
    out: dict[int, LeftOut] = {}
    first: UpsDataError | None = None
    for number in range(len(source)) if addition is None else addition.numbers:
        try:
            runs[number] = outline(open_run(source, number, path))
        except UpsDataError as error:
            if on_error == "raise":
                raise
            first = first or error
            out[number] = left_out(None, number, path, error)
    if not runs and addition is None:
        raise UpsDataError(f"{path}: none of its {len(source)} trajectories can be read; the first: {first}")
    like = _like(runs, on_error) if addition is None else addition.like
    layout = Layout(runs[like] if like in runs else outline(open_run(source, like, path)), options)
    for number, run in list(runs.items()):
        try:
            layout.check(run)
        except UpsDataError as error:
            if on_error == "raise":
                raise
            out[number] = left_out(run, number, path, error)
            del runs[number]
    not_stored = {name: reason for run in runs.values() for name, reason in run.left_out.items()}
    sizes = {number: _decoded_bytes(run, layout) for number, run in runs.items()}
    base, digest, places = (addition.base, addition.digest, addition.places) if addition else (None, None, {})
    shards = _shards(sizes, splits, options.shard_bytes, places)
    _check_manifest(runs, layout, shards, base)
    return Plan(
        identity=identity,
        like=like,
        shards=shards,
        left_out=out,
        not_stored=not_stored,
        base=digest,
        places=dict(places),
    )


def _like(runs: Mapping[int, Run], on_error: OnError) -> int:
    """The trajectory that all must be like."""
    if on_error == "raise":
        return next(iter(runs))
    kinds = {number: _kind(run) for number, run in runs.items()}
    kind = Counter(kinds.values()).most_common(1)[0][0]
    return next(number for number in runs if kinds[number] == kind)


def _check_manifest(
    runs: Mapping[int, Run], layout: Layout, shards: Sequence[PlannedShard], base: Manifest | None
) -> None:
    """Make the manifest as it will be, but for statistics: what it may not hold is refused before hours of writing."""
    drafts: dict[str, list[WrittenShard]] = {}
    for shard in shards:
        planned = [runs[number] for number in shard.trajectories]
        points = {name: [run.num_points(name) for run in planned] for name in layout.points}
        spec = ShardSpec(
            path=shard.path,
            steps=[run.steps for run in planned],
            points=point_counts(points) if points else None,
            bytes=shard.bytes,
            digest="sha256:" + 64 * "0",
        )
        moments = {s.name: FieldMoments(s.channels) for s in layout.specs}
        coords = {name or "": Moments(points.dim) for name, points in layout.points.items()}
        for of_set in coords.values():
            of_set.update(np.zeros((1, of_set.channels)))  # a box there must be
        draft = WrittenShard(spec, moments, Moments(len(layout.params)), Moments(1), coords)
        drafts.setdefault(shard.split, []).append(draft)
    text = dataset_manifest(layout, layout.importance(), {}, drafts, base).model_dump_json(indent=1, exclude_none=True)
    remedy = "convert the source in parts, or into larger shards (--shard-mb)"
    if len(text) > limits.JSON_BYTES:
        raise UpsDataError(
            f"the manifest would be {len(text):,} bytes long, the limit is {limits.JSON_BYTES:,}: {remedy}"
        )
    try:
        check_size(text.encode())
    except ValueError as error:
        raise UpsDataError(f"the manifest would hold {error}: {remedy}") from None


def _shards(
    sizes: Mapping[int, int], splits: Sequence[str], shard_bytes: int, places: Mapping[str, int]
) -> list[PlannedShard]:
    shards: dict[str, list[list[int]]] = {}
    filled: dict[str, int] = {}
    for number, size in sizes.items():
        split = splits[number]
        if filled.get(split, shard_bytes) >= shard_bytes:
            shards.setdefault(split, []).append([])
            filled[split] = 0
        shards[split][-1].append(number)
        filled[split] += size
    # Split by split: what is compressed from end to end is then read once for each, not once for each shard.
    return [
        PlannedShard(
            split=split,
            path=shard_path(split, place),
            trajectories=numbers,
            bytes=sum(sizes[number] for number in numbers),
        )
        for split in sorted(shards, key=usual_order)
        for place, numbers in enumerate(shards[split], places.get(split, 0))
    ]


def _decoded_bytes(run: Run, layout: Layout) -> int:
    arrays = {**run.fields, **run.static}
    return sum(math.prod(arrays[s.name].shape) * np.dtype(s.dtype).itemsize for s in layout.specs)


def _kind(run: Run) -> tuple[Any, ...]:
    """Equal for trajectories that fit into one dataset."""
    fields = []
    for name, array in {**run.fields, **run.static}.items():
        frame = array.shape[-1:] if run.coords else array.shape[0 if name in run.static else 1 :]
        fields.append((name, name in run.static, run.set_of[name], frame, array.dtype.str))
    sets = [(name, array.shape[-1], len(array.shape)) for name, array in run.coords.items()]
    axes = None if run.axes is None else tuple(np.asarray(a.coordinates).tobytes() for a in run.axes)
    return tuple(sorted(fields)), tuple(sets), axes, tuple(sorted(run.params))
