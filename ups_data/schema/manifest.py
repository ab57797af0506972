"""The manifest itself, `dataset.json`."""

import math
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PrivateAttr, ValidationError, model_validator

from ups_data.atomic import replacing
from ups_data.errors import UpsDataError
from ups_data.points.unit import UnitScale
from ups_data.schema import limits
from ups_data.schema.boxes import check_boxes, scale_around
from ups_data.schema.file import MANIFEST, Readable, manifest_name, read_manifest, with_digest
from ups_data.schema.packs import PackSpec, channel_names, check_packs, first_channels
from ups_data.schema.specs import (
    GEOMETRY_FIELDS,
    FieldSpec,
    GridSpec,
    LeftOut,
    Model,
    Name,
    PointsSpec,
    PositiveInt,
    ShardSpec,
    SplitSpec,
    Text,
    TileCount,
)
from ups_data.schema.trajectories import Place, TrajectoryOrigin, origin_of


class Manifest(Model):
    """A dataset: its fields, its geometry, its splits:

        manifest = Manifest.load("data/dr")
        manifest.grid.shape, manifest.field("data").channels
        manifest.split("train").statistics["data"].std

    Attributes:
        fields: every field, in the order in which it was given.
        grid, points, sets: one of them is given: a lattice, one set of points, or several sets by name.
        params: names of the runs' parameters.
        codec: of the stored chunks.
        blocks: B, the number of blocks of a frame; if trajectories have different numbers of points, of the first
            trajectory. 1: frames are stored whole, as they were given.
        block_seed: of the random deal of points to blocks.
        time_units: of the frames' times, where the source says.
        not_stored: variable of the source that is no field → why.
        importance: metric → set of points (`""`: a grid, or the only set) → K, the number of tiles whose importance
            every shard holds, frame by frame, in `importance/<metric>` or `importance/<set>/<metric>`. Tiles are equal
            stretches of a space-filling curve through the points (of the first frame, if they move).
        packs: name → fields that are stored side by side in one array; None: each field has an array of its own.
        source: what the dataset was made from.
        left_out: trajectories that a conversion left out, each with the reason.
        splits: name → split.
    """

    format: Literal["ups_data"] = "ups_data"
    version: Literal[2] = 2
    fields: Annotated[list[FieldSpec], Field(min_length=1, max_length=limits.FIELDS)]
    grid: GridSpec | None = None
    points: PointsSpec | None = None
    sets: dict[Name, PointsSpec] | None = None
    params: Annotated[list[Name], Field(max_length=limits.FIELDS)] = Field(default_factory=list)
    codec: Literal["none", "lz4", "zstd"] = "none"
    blocks: PositiveInt = 1
    block_seed: int = 0
    time_units: Text | None = None
    not_stored: dict[Text, Text] | None = None
    importance: dict[Name, dict[Name | Literal[""], TileCount]] | None = None
    packs: dict[Name, PackSpec] | None = None
    source: Annotated[dict[Text, Text], Field(max_length=limits.FIELDS)] = Field(default_factory=dict)
    left_out: list[LeftOut] | None = None
    splits: dict[Name, SplitSpec]
    _place: Place = PrivateAttr(default_factory=Place)

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        if sum(bool(geometry) for geometry in (self.grid, self.points, self.sets)) != 1:
            raise ValueError("a dataset has either a grid or points, in one set or in several named ones")
        names = [f.name for f in self.fields]
        if len(set(names)) < len(names):
            raise ValueError(f"field names repeat: {names}")
        for f in self.fields:
            if f.point_set not in self.set_names:
                raise ValueError(f"field {f.name!r} lives on {f.point_set!r}, the sets of points are {self.set_names}")
        if self.grid is not None:
            axes, points = len(self.grid.shape), math.prod(self.grid.shape)
            if self.blocks > points or round(self.blocks ** (1 / axes)) ** axes != self.blocks:
                raise ValueError(f"{self.blocks} blocks do not fit a grid of {self.grid.shape}")
        check_packs(self.packs or {}, self.fields, grid=self.grid is not None)
        for metric, tiles in (self.importance or {}).items():
            if not set(tiles) <= {name or "" for name in self.set_names}:
                raise ValueError(f"importance {metric!r} is of {sorted(tiles)}, sets of points are {self.set_names}")
        for split, spec in self.splits.items():
            if set(spec.statistics) != set(names):
                raise ValueError(f"split {split!r} has statistics of {sorted(spec.statistics)}, fields are {names}")
            if set(spec.params) != set(self.params):
                raise ValueError(f"split {split!r} summarises {sorted(spec.params)}, parameters are {self.params}")
            for field in self.fields:
                if not spec.statistics[field.name].have(field.channels):
                    raise ValueError(f"split {split!r}: statistics of {field.name!r} are not of its channels")
            if spec.coords is not None:
                sets = {} if self.grid is not None else {name or "": self.point_set(name) for name in self.set_names}
                check_boxes(split, spec.coords, sets)
            for shard in spec.shards:
                self._check_points(shard)
        self._check_limits()
        return self

    def _check_limits(self) -> None:
        """What a loader would allocate on the manifest's word."""
        shards = [shard for split in self.splits.values() for shard in split.shards]
        if len({shard.path for shard in shards}) < len(shards):
            raise ValueError("a shard is listed twice")
        frames = sum(shard.rows for shard in shards)
        if frames > limits.FRAMES:
            raise ValueError(f"claims {frames:,} frames, the limit is {limits.FRAMES:,}")
        if self.grid is not None and math.prod(self.grid.shape) > limits.POINTS:
            raise ValueError(f"claims a grid of {self.grid.shape}, the limit is {limits.POINTS:,} points")
        for field in self.fields:
            points = math.prod(self.grid.shape) if self.grid is not None else self.point_set(field.point_set).num_points
            if points is None:
                points = max((max((shard.points or {})[field.point_set or ""]) for shard in shards), default=0)
            if points * field.point_bytes > limits.FRAME_BYTES:
                size = points * field.point_bytes
                raise ValueError(f"claims frames of {size:,} bytes, the limit is {limits.FRAME_BYTES:,}")

    def _check_points(self, shard: ShardSpec) -> None:
        ragged = {
            name or "" for name in self.set_names if self.grid is None and self.point_set(name).num_points is None
        }
        listed = shard.points or {}
        if set(listed) != ragged or any(len(n) != len(shard.steps) for n in listed.values()):
            raise ValueError(f"shard {shard.path!r} must list the points of each trajectory of {sorted(ragged)}")

    @property
    def set_names(self) -> list[str | None]:
        """The names of the sets of points; [None] for a grid and for a single set."""
        return [None] if self.sets is None else list(self.sets)

    def point_set(self, name: str | None) -> PointsSpec:
        """The set of points of that name; None: the only one. Raises UpsDataError that lists those there are."""
        if self.grid is not None:
            raise UpsDataError("the dataset is a grid and has no sets of points")
        spec = (self.sets or {}).get(name) if name is not None else self.points
        if spec is None:
            raise UpsDataError(f"no set of points {name!r}: the dataset has {self.set_names}")
        return spec

    @property
    def num_points(self) -> int:
        """N, the points of a frame; of the largest frame, if trajectories have different numbers of points.

        Raises:
            UpsDataError: the dataset has several sets of points, each with its own number.
        """
        if self.sets is not None:
            raise UpsDataError(
                f"the dataset has the sets of points {self.set_names}: ask for the points of one of them"
            )
        return self._most_points(None)

    @property
    def points_of_frame(self) -> int:
        """The points of a frame, those of all sets of points together; of the largest frame, where numbers differ."""
        return sum(self._most_points(name) for name in self.set_names)

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """A frame's shape without channels: a grid's axes, or (N,)."""
        return self.grid.shape if self.grid is not None else (self.num_points,)

    def block_points(self, set_name: str | None = None) -> int:
        """P, slots of a block."""
        if self.grid is not None:
            return -(-math.prod(self.grid.shape) // self.blocks)
        return self.point_set(set_name).block_points

    def num_blocks(self, points: int, set_name: str | None = None) -> int:
        """B, blocks of a trajectory of N points."""
        return self.blocks if self.grid is not None else -(-points // self.block_points(set_name))

    def shard_points(self, shard: ShardSpec, set_name: str | None = None) -> list[int]:
        """Points of each trajectory of a shard."""
        if self.grid is not None:
            return [math.prod(self.grid.shape)] * len(shard.steps)
        count = self.point_set(set_name).num_points
        return (shard.points or {})[set_name or ""] if count is None else [count] * len(shard.steps)

    def points_of(self, split: str, set_name: str | None = None) -> np.ndarray:
        """`(trajectories,)` int64, points of each trajectory of a split."""
        counts = [self.shard_points(s, set_name) for s in self.split(split).shards]
        return np.array([n for shard in counts for n in shard], np.int64)

    def min_points(self, split: str, set_name: str | None = None) -> int:
        """Points of the smallest trajectory of a split."""
        return int(self.points_of(split, set_name).min())

    def max_points(self, split: str, set_name: str | None = None) -> int:
        """Points of the largest trajectory of a split."""
        return int(self.points_of(split, set_name).max())

    def _most_points(self, set_name: str | None) -> int:
        if self.grid is not None:
            return math.prod(self.grid.shape)
        count = self.point_set(set_name).num_points
        return max(self.max_points(split, set_name) for split in self.splits) if count is None else count

    def num_tiles(self, metric: str, set_name: str | None = None) -> int:
        """K, the number of tiles whose importance by that metric is stored.

        Raises:
            UpsDataError: it is not; the message says which are.
        """
        stored = self.importance or {}
        if metric not in stored or (set_name or "") not in stored[metric]:
            have = f"it has {', '.join(stored)}" if stored else "it has none"
            raise UpsDataError(
                f"the dataset does not hold the tiles' importance {metric!r} ({have}): add it with "
                f"`ups-data importance DIR --metrics {metric}`, or use importance_metric='error'"
            )
        return stored[metric][set_name or ""]

    def unit_scale(self, set_name: str | None = None, *, common: bool = False) -> UnitScale | None:
        """How a point set's coordinates are scaled to the box of the training split (or, if there is none, of the first
        split); None: a grid, or a dataset that was written without boxes.

        Args:
            common: to the box around all sets of points, so that distances between points of different sets keep
                their meaning.
        """
        spec = self.splits.get("train", next(iter(self.splits.values())))
        if self.grid is not None or spec.coords is None:
            return None
        names = self.set_names if common else [set_name]
        boxes, specs = [spec.coords[name or ""] for name in names], [self.point_set(name) for name in names]
        return scale_around(boxes, specs, self.point_set(set_name))

    def default_targets(self) -> list[str]:
        """Names of the fields that are predicted unless somebody says which: those that change in time, or all if none
        does; without normals and the sizes of cells, which describe the mesh."""
        fields = [f for f in self.fields if f.name.lower() not in GEOMETRY_FIELDS] or self.fields
        return [f.name for f in fields if not f.static] or [f.name for f in fields]

    def field(self, name: str) -> FieldSpec:
        """The field of that name. Raises UpsDataError that lists the names there are."""
        for f in self.fields:
            if f.name == name:
                return f
        raise UpsDataError(f"no field {name!r}: the dataset has {[f.name for f in self.fields]}")

    def pack_of(self, field: str) -> str | None:
        """The name of the pack that a field is stored in."""
        return next((name for name, pack in (self.packs or {}).items() if field in pack.fields), None)

    def pack_of_points(self, set_name: str | None) -> str | None:
        """The name of the pack that has the coordinates of a set of points beside its fields, in every row."""
        for name, pack in (self.packs or {}).items():
            if pack.coords and self.field(pack.fields[0]).point_set == set_name:
                return name
        return None

    def pack_of_index(self, set_name: str | None) -> str | None:
        """The name of the pack that has the numbers of a set's points beside its fields, in every row."""
        name = None if self.grid is not None else self.pack_of_points(set_name)
        return name if name is not None and (self.packs or {})[name].index else None

    def pack_channels(self, name: str) -> tuple[list[str], dict[str, int]]:
        """The names of a pack's channels, and the first channel of each of its fields."""
        pack = (self.packs or {})[name]
        dim = self.point_set(self.field(pack.fields[0]).point_set).dim if pack.coords else 0
        return channel_names(pack, self.fields, dim), first_channels(pack, self.fields, dim)

    def coords_by_frame(self, set_name: str | None) -> bool:
        """Whether the coordinates of a set of points are stored in a row for each frame, not for each trajectory."""
        return self.point_set(set_name).moving or self.pack_of_points(set_name) is not None

    def split(self, name: str) -> SplitSpec:
        """The split of that name. Raises UpsDataError that lists the splits there are."""
        if name not in self.splits:
            raise UpsDataError(f"no split {name!r}: the dataset has {sorted(self.splits)}")
        return self.splits[name]

    def trajectory(self, split: str, number: int) -> TrajectoryOrigin:
        """Which run of the source a trajectory is: `batch.trajectory` has the numbers.

            manifest.trajectory("valid", 3)  # TrajectoryOrigin(source='runs.h5', key='0042', …)

        The shard's table is read and compared with its digest.

        Raises:
            UpsDataError: there is no such trajectory, the manifest was not loaded from a dataset, or the table is
                damaged.
        """
        if self._place.root is None:
            raise UpsDataError("trajectory: this manifest was not loaded from a dataset: use Manifest.load(root)")
        return origin_of(self._place.root, self.split(split), split, number)

    def frame_bytes(self, field: FieldSpec) -> int:
        """Bytes of one decoded frame of a field; of the largest, if trajectories have different numbers of points."""
        return self._most_points(field.point_set) * field.point_bytes

    @classmethod
    def load(cls, root: str | Path | Readable, *, edited: bool = False) -> "Manifest":
        """Read and validate `dataset.json`.

        Args:
            root: the dataset's folder, or the store that it lies in.
            edited: accept a manifest that was changed by hand; `save` makes it what other readers accept.

        Raises:
            UpsDataError: no dataset there, or a manifest that is damaged, foreign or of another version.
        """
        try:
            manifest = cls.model_validate(read_manifest(root, edited=edited))
            manifest._place = Place(root)
            return manifest
        except ValidationError as e:
            first = e.errors()[0]
            where = ".".join(map(str, first["loc"]))[:200]
            reason = " ".join(first["msg"].removeprefix("Value error, ").split())[:1000]
            raise UpsDataError(
                f"{manifest_name(root)}: {where + ': ' if where else ''}{reason}; make the dataset again"
            ) from None

    def save(self, root: str | Path) -> None:
        """Write `root/dataset.json`, with the digest that `load` compares, in one atomic step."""
        with replacing(Path(root) / MANIFEST) as file:
            file.write(with_digest(self.model_dump_json(indent=1, exclude_none=True)))
