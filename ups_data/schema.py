"""The manifest, `dataset.json`: everything about a dataset that can be known without reading a shard.

The manifest is written last and atomically, so what it lists exists whole. It is validated on reading: it may come
from anywhere.
"""

import json
import math
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ups_data.atomic import replacing
from ups_data.coords import outer_coords
from ups_data.errors import UpsDataError

MANIFEST = "dataset.json"
FORMAT_VERSION = 1

PositiveInt = Annotated[int, Field(gt=0)]
# A name becomes a folder inside a shard and a key in a batch.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$", max_length=100)]


class _Model(BaseModel):
    # NaN is a legal statistic of a field that was allowed to hold one.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class FieldSpec(_Model):
    """A named quantity with channels.

    Attributes:
        dtype: as stored; `source_dtype` as it was in the source.
        static: without time: one row per trajectory instead of one per frame.
        chunk_rows: rows of one stored chunk.
    """

    name: Name
    channels: PositiveInt
    dtype: Literal["float16", "float32"]
    source_dtype: str
    static: bool = False
    chunk_rows: PositiveInt
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
    """Points without a lattice: coordinates are stored, one set per trajectory or one shared by all."""

    num_points: PositiveInt
    dim: Annotated[int, Field(ge=1, le=3)]


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
    """One zarr group. `steps` holds the number of frames of each of its trajectories, in order."""

    path: str
    steps: Annotated[list[PositiveInt], Field(min_length=1)]
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
    """A dataset: its fields, its geometry, its splits."""

    format: Literal["ups_data"] = "ups_data"
    version: Literal[1] = 1
    fields: Annotated[list[FieldSpec], Field(min_length=1)]
    grid: GridSpec | None = None
    points: PointsSpec | None = None
    params: list[Name] = []
    codec: Literal["none", "lz4", "zstd"] = "none"
    blocks: PositiveInt = 1
    source: dict[str, str] = {}
    splits: dict[Name, SplitSpec]

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        if (self.grid is None) == (self.points is None):
            raise ValueError("a dataset has either a grid or points")
        names = [f.name for f in self.fields]
        if len(set(names)) < len(names):
            raise ValueError(f"field names repeat: {names}")
        for split, spec in self.splits.items():
            if set(spec.statistics) != set(names):
                raise ValueError(f"split {split!r} has statistics of {sorted(spec.statistics)}, fields are {names}")
            if set(spec.params) != set(self.params):
                raise ValueError(f"split {split!r} summarises {sorted(spec.params)}, parameters are {self.params}")
        return self

    @property
    def num_points(self) -> int:
        """N, points of a frame."""
        if self.grid is not None:
            return math.prod(self.grid.shape)
        assert self.points is not None
        return self.points.num_points

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """A frame's shape as stored, without channels."""
        return self.grid.shape if self.grid is not None else (self.num_points,)

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
        """Bytes of one decoded frame of a field."""
        return self.num_points * field.point_bytes

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
