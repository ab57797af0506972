"""The manifest, `dataset.json`: everything about a dataset that can be known without reading a shard.

The manifest is written last and atomically, so what it lists exists whole. It is validated on reading: it may come
from anywhere.
"""

import json
import math
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ups_data.atomic import replacing
from ups_data.coords import outer_coords
from ups_data.errors import UpsDataError

MANIFEST = "dataset.json"
FORMAT_VERSION = 1

PositiveInt = Annotated[int, Field(gt=0)]
# Points of a frame and frames of a trajectory: their numbers are stored as int32.
Count = Annotated[int, Field(gt=0, lt=2**31)]
# Tiles of a frame, of which a draw looks at every one.
TileCount = Annotated[int, Field(gt=0, le=2**16)]
# A name becomes a folder inside a shard and a key in a batch.
NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}$"
Name = Annotated[str, Field(pattern=NAME)]


class _Model(BaseModel):
    # NaN is a legal statistic of a field that was allowed to hold one.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class FieldSpec(_Model):
    """A named quantity with channels.

    Attributes:
        dtype: as stored; `source_dtype` as it was in the source.
        static: without time: one row per trajectory instead of one per frame.
        chunk_rows: rows of one stored chunk.
        point_set: the set of points that it lives on, where the dataset has several; None: the grid or the only set.
    """

    name: Name
    channels: PositiveInt
    dtype: Literal["float16", "float32"]
    source_dtype: str
    static: bool = False
    chunk_rows: PositiveInt
    point_set: Name | None = None
    units: str | None = None

    @property
    def point_bytes(self) -> int:
        """Bytes of one stored point of one frame."""
        return self.channels * np.dtype(self.dtype).itemsize


class AxisSpec(_Model):
    """One grid axis: its coordinates in physical units, and normalised to [0, 1] as batches carry them."""

    name: Name
    physical: list[float]
    normalised: list[float]
    units: str | None = None
    periodic: bool | None = None

    @model_validator(mode="after")
    def _same_length(self) -> "AxisSpec":
        if len(self.physical) != len(self.normalised) or not self.physical:
            raise ValueError(f"axis {self.name!r}: physical and normalised coordinates differ in number, or are none")
        return self


class GridSpec(_Model):
    """A regular lattice; axes in array order."""

    axes: Annotated[list[AxisSpec], Field(min_length=1, max_length=3)]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(a.physical) for a in self.axes)

    def coords(self) -> np.ndarray:
        """Normalised coordinates (N, d) float32, row-major, components x (last array axis), y, z."""
        return outer_coords([np.asarray(a.normalised, np.float32) for a in self.axes])


class PointsSpec(_Model):
    """A set of points without a lattice; its coordinates are stored.

    Attributes:
        num_points: N, where all trajectories have as many; None: every shard lists its own.
        dim: components of a coordinate.
        moving: coordinates are stored for every frame instead of once for a trajectory.
        block_points: P, slots of a block: N points are in ceil(N / P) blocks. N where it is not given.
    """

    num_points: Count | None = None
    dim: Annotated[int, Field(ge=1, le=3)]
    moving: bool = False
    block_points: Count

    @model_validator(mode="before")
    @classmethod
    def _one_block(cls, given: Any) -> Any:
        if isinstance(given, dict) and "block_points" not in given and "num_points" in given:
            return {**given, "block_points": given["num_points"]}
        return given


class FieldStatistics(_Model):
    """Per channel, over every value of a split; `delta_*` over differences between consecutive steps.

    `std` is the population standard deviation, `rms` the root mean square; units are the field's own.
    """

    count: Annotated[int, Field(ge=0)]
    mean: list[float]
    std: list[float]
    rms: list[float]
    min: list[float]
    max: list[float]
    nonfinite: Annotated[int, Field(ge=0)] = 0
    delta_mean: list[float] | None = None
    delta_std: list[float] | None = None
    delta_rms: list[float] | None = None


class Summary(_Model):
    """Of one number per trajectory or step; `std` is the population standard deviation."""

    mean: float
    std: float
    min: float
    max: float


class ShardSpec(_Model):
    """One zarr group.

    Attributes:
        steps: frames of each of its trajectories, in order.
        points: set (`""`: the only one) → points of each of its trajectories; None where all trajectories have as many.
    """

    path: str
    steps: Annotated[list[Count], Field(min_length=1)]
    points: dict[Name | Literal[""], list[Count]] | None = None
    bytes: Annotated[int, Field(ge=0)]
    digest: str

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path or not pure.parts:
            raise ValueError(f"shard path {path!r} leaves the dataset's folder")
        return path

    @property
    def rows(self) -> int:
        return sum(self.steps)


class SplitSpec(_Model):
    """A split: its shards, the statistics of its fields, its parameters over trajectories, and the time between steps
    (None where no trajectory has two)."""

    shards: list[ShardSpec]
    statistics: dict[str, FieldStatistics]
    params: dict[str, Summary] = {}
    time_step: Summary | None = None

    @property
    def num_trajectories(self) -> int:
        return sum(len(s.steps) for s in self.shards)


class Manifest(_Model):
    """A dataset: its fields, its geometry, its splits.

    Attributes:
        grid, points, sets: one of them: a lattice, one set of points, or several by name.
        blocks: B, blocks of a grid; of points, of the first trajectory. 1: frames are stored whole, as they were given.
        block_seed: of the deal of points to blocks.
        importance: metric → set of points (`""`: a grid, or the only set) → K, tiles of which every shard holds the
            importance, frame by frame, in `importance/<metric>` or `importance/<set>/<metric>`. Tiles are equal
            stretches of a space-filling curve through the points (of the first frame, where they move).
    """

    format: Literal["ups_data"] = "ups_data"
    version: Literal[1] = 1
    fields: Annotated[list[FieldSpec], Field(min_length=1)]
    grid: GridSpec | None = None
    points: PointsSpec | None = None
    sets: dict[Name, PointsSpec] | None = None
    params: list[Name] = []
    codec: Literal["none", "lz4", "zstd"] = "none"
    blocks: PositiveInt = 1
    block_seed: int = 0
    importance: dict[Name, dict[Name | Literal[""], TileCount]] | None = None
    source: dict[str, str] = {}
    splits: dict[Name, SplitSpec]

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
        for metric, tiles in (self.importance or {}).items():
            if not set(tiles) <= {name or "" for name in self.set_names}:
                raise ValueError(f"importance {metric!r} is of {sorted(tiles)}, sets of points are {self.set_names}")
        for split, spec in self.splits.items():
            if set(spec.statistics) != set(names):
                raise ValueError(f"split {split!r} has statistics of {sorted(spec.statistics)}, fields are {names}")
            if set(spec.params) != set(self.params):
                raise ValueError(f"split {split!r} summarises {sorted(spec.params)}, parameters are {self.params}")
            for shard in spec.shards:
                self._check_points(shard)
        return self

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
        """N, points of a frame: of the largest one, where trajectories differ.

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
        """K, tiles of which the importance by that metric is stored.

        Raises:
            UpsDataError: it is not; the message says which are.
        """
        stored = self.importance or {}
        if metric not in stored or (set_name or "") not in stored[metric]:
            have = f"it has {', '.join(stored)}" if stored else "it has none"
            raise UpsDataError(
                f"the dataset does not hold the tiles' importance {metric!r} ({have}): add it with "
                f"tools/add_importance.py ROOT --metrics {metric}, or use importance_metric='error'"
            )
        return stored[metric][set_name or ""]

    def field(self, name: str) -> FieldSpec:
        """The field of that name. Raises UpsDataError that lists the names there are."""
        for f in self.fields:
            if f.name == name:
                return f
        raise UpsDataError(f"no field {name!r}: the dataset has {[f.name for f in self.fields]}")

    def split(self, name: str) -> SplitSpec:
        """The split of that name. Raises UpsDataError that lists the splits there are."""
        if name not in self.splits:
            raise UpsDataError(f"no split {name!r}: the dataset has {sorted(self.splits)}")
        return self.splits[name]

    def first_trajectories(self, split: str) -> list[int]:
        """For each shard of a split, the number of its first trajectory within the split."""
        return [0, *accumulate(len(s.steps) for s in self.split(split).shards)][:-1]

    def frame_bytes(self, field: FieldSpec) -> int:
        """Bytes of one decoded frame of a field: of the largest one, where trajectories differ."""
        return self._most_points(field.point_set) * field.point_bytes

    @classmethod
    def load(cls, root: str | Path) -> "Manifest":
        """Read and validate `root/dataset.json`.

        Raises:
            UpsDataError: no dataset there, or a manifest that is damaged, foreign or newer than this version.
        """
        path = Path(root) / MANIFEST
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            raise UpsDataError(
                f"{root}: no dataset here ({MANIFEST} is missing); make one with tools/make_shards.py"
            ) from None
        try:
            return cls.model_validate(json.loads(text))
        except ValidationError as e:
            first = e.errors()[0]
            where = ".".join(map(str, first["loc"]))
            reason = first["msg"].removeprefix("Value error, ")
            raise UpsDataError(f"{path}: {where + ': ' if where else ''}{reason}; make the dataset again") from None
        except ValueError as e:
            raise UpsDataError(f"{path}: not JSON ({e}); make the dataset again") from None

    def save(self, root: str | Path) -> None:
        """Write `root/dataset.json` in one atomic step."""
        with replacing(Path(root) / MANIFEST) as file:
            file.write(self.model_dump_json(indent=1, exclude_none=True).encode())
