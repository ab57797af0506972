"""What a manifest lists, and what is asked of it."""

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ups_data.errors import UpsDataError
from ups_data.schema import limits
from ups_data.schema.masks.spec import MaskSpec
from ups_data.schema.packs import PackSpec, channel_names, first_channels
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


class Contents(Model):
    """The entries of a manifest; see `Manifest`."""

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
    masks: dict[Name | Literal[""], MaskSpec] | None = None
    source: Annotated[dict[Text, Text], Field(max_length=limits.FIELDS)] = Field(default_factory=dict)
    left_out: list[LeftOut] | None = None
    splits: dict[Name, SplitSpec]

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

    def counted_of(self, split: str, set_name: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """`(trajectories,)` int64 each: the fewest and the most points that count in a frame of each trajectory of a
        split; all its points where nothing is masked."""
        fewest, most = [], []
        for shard in self.split(split).shards:
            masks = (shard.masks or {}).get(set_name or "")
            fewest += self.shard_points(shard, set_name) if masks is None else masks.fewest
            most += self.shard_points(shard, set_name) if masks is None else masks.most
        return np.array(fewest, np.int64), np.array(most, np.int64)

    def mask(self, set_name: str | None = None) -> MaskSpec | None:
        """Of a set of points, or of the grid; None: all points count."""
        return (self.masks or {}).get(set_name or "")

    def is_masked(self, split: str, set_name: str | None = None) -> bool:
        """Whether some points of a split do not count in some of its frames."""
        fewest, _ = self.counted_of(split, set_name)
        return bool((fewest < self.points_of(split, set_name)).any())

    def mask_moves(self, set_name: str | None = None) -> bool:
        """Whether which points count changes within a trajectory."""
        mask = self.mask(set_name)
        return mask is not None and mask.moving

    def min_points(self, split: str, set_name: str | None = None) -> int:
        """Points of the smallest trajectory of a split; 0: it has none."""
        points = self.points_of(split, set_name)
        return int(points.min()) if len(points) else 0

    def max_points(self, split: str, set_name: str | None = None) -> int:
        """Points of the largest trajectory of a split; 0: it has none."""
        points = self.points_of(split, set_name)
        return int(points.max()) if len(points) else 0

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

    def frame_bytes(self, field: FieldSpec) -> int:
        """Bytes of one decoded frame of a field; of the largest, if trajectories have different numbers of points."""
        return self._most_points(field.point_set) * field.point_bytes
