"""The parts of a manifest: fields, geometry, statistics, shards, splits."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator, model_validator

from ups_data.errors import UpsDataError
from ups_data.points.coords import outer_coords
from ups_data.schema import limits
from ups_data.schema.file import MANIFEST

PositiveInt = Annotated[int, Field(gt=0)]
# Points of a frame and frames of a trajectory: their numbers are stored as int32.
Count = Annotated[int, Field(gt=0, lt=2**31)]
# Tiles of a frame, of which a draw looks at every one.
TileCount = Annotated[int, Field(gt=0, le=2**16)]
# A name becomes a folder inside a shard and a key in a batch.
NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}$"
Name = Annotated[str, Field(pattern=NAME)]


def is_name(text: str) -> bool:
    """Whether a text can be the name of a field, a parameter, a set of points or a split."""
    return re.fullmatch(NAME, text) is not None


def check_split_name(name: str) -> str:
    """The name itself.

    Raises:
        UpsDataError: it cannot name a split, which is a folder beside the manifest.
    """
    if not isinstance(name, str) or not is_name(name) or name == MANIFEST:
        raise UpsDataError(
            f"the split {name!r} cannot name a folder of the dataset: use letters, digits and _ . + -, and begin with "
            "a letter, a digit or _"
        )
    return name


# Fields of these names describe a mesh, in any case of letters.
GEOMETRY_FIELDS = {"normal", "normals", "area", "areas", "volumes"} | {
    f"{of}_{kind}" for of in ("cell", "point") for kind in ("volume", "area", "length")
}
# What only people read.
Text = Annotated[str, Field(max_length=limits.TEXT)]


class Model(BaseModel):
    """Strict and immutable."""

    # NaN is a legal statistic of a field that was allowed to hold one.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class FieldSpec(Model):
    """A named quantity with channels.

    Attributes:
        dtype: as stored; `source_dtype` as it was in the source.
        static: without time: one row per trajectory instead of one per frame.
        chunk_rows: rows of one stored chunk; those of a pack, if the field is stored in one, are the pack's own.
        point_set: the set of points that the field lives on, if the dataset has several; None: the grid or the only
            set.
        units: such as "m/s"; None: the source does not say.
    """

    name: Name
    channels: Annotated[int, Field(gt=0, le=limits.CHANNELS)]
    dtype: Literal["float16", "float32"]
    source_dtype: Text
    static: bool = False
    chunk_rows: Count
    point_set: Name | None = None
    units: Text | None = None

    @property
    def point_bytes(self) -> int:
        """Bytes of one stored point of one frame."""
        return self.channels * np.dtype(self.dtype).itemsize


class AxisSpec(Model):
    """One grid axis: its coordinates in physical units, and normalised to [0, 1] as batches carry them."""

    name: Name
    physical: list[FiniteFloat]
    normalised: list[FiniteFloat]
    units: Text | None = None
    periodic: bool | None = None

    @model_validator(mode="after")
    def _same_length(self) -> "AxisSpec":
        if len(self.physical) != len(self.normalised) or not self.physical:
            raise ValueError(f"axis {self.name!r}: physical and normalised coordinates differ in number, or are none")
        return self


class GridSpec(Model):
    """A regular lattice; axes in array order."""

    axes: Annotated[list[AxisSpec], Field(min_length=1, max_length=3)]

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each axis, in array order."""
        return tuple(len(a.physical) for a in self.axes)

    def coords(self) -> np.ndarray:
        """Normalised coordinates (N, d) float32, row-major, components x (last array axis), y, z."""
        return outer_coords([np.asarray(a.normalised, np.float32) for a in self.axes])


class PointsSpec(Model):
    """A set of points without a lattice; its coordinates are stored.

    Attributes:
        num_points: N, if all trajectories have the same number of points; None: every shard lists its own numbers.
        dim: components of a coordinate.
        moving: coordinates are stored for every frame instead of once for a trajectory.
        block_points: P, slots of a block: N points are in ceil(N / P) blocks. By default N.
        origin: what was subtracted from coordinates that float32 could not tell apart; None: nothing.
    """

    num_points: Count | None = None
    dim: Annotated[int, Field(ge=1, le=3)]
    moving: bool = False
    block_points: Count
    origin: Annotated[list[FiniteFloat], Field(max_length=3)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_block(cls, given: Any) -> Any:
        if isinstance(given, dict) and "block_points" not in given and "num_points" in given:
            return {**given, "block_points": given["num_points"]}
        return given


class FieldStatistics(Model):
    """Per channel, over every value of a split; `delta_*` over differences between consecutive steps.

    `std` is the population standard deviation, `rms` the root mean square; units are the field's own. `counts` is given
    where channels differ in the number of their finite values, whose largest is `count`; `delta_counts` are the numbers
    of differences (None: a dataset of a version that did not say).
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
    counts: list[int] | None = None
    delta_counts: list[int] | None = None

    def have(self, channels: int) -> bool:
        """Whether they are of so many channels."""
        given: list[list[float] | list[int] | None] = [self.mean, self.std, self.rms, self.min, self.max]
        given += [self.delta_mean, self.delta_std, self.delta_rms, self.counts, self.delta_counts]
        return all(numbers is None or len(numbers) == channels for numbers in given)


class PointStatistics(Model):
    """Where the points of a set are, per component, over all points and frames of a split, as they are stored: in the
    source's units, less `PointsSpec.origin`. `min` and `max` are the corners of their box, `std` is the population
    standard deviation."""

    min: Annotated[list[float], Field(max_length=3)]
    max: Annotated[list[float], Field(max_length=3)]
    mean: Annotated[list[float], Field(max_length=3)]
    std: Annotated[list[float], Field(max_length=3)]


class Summary(Model):
    """Statistics of one number per trajectory or step; `std` is the population standard deviation."""

    mean: float
    std: float
    min: float
    max: float


class ShardMasks(Model):
    """Of one set of points in one shard.

    Attributes:
        rows: how many different masks the shard holds in `masks/…/counted`; which one a frame has is in the table
            `trajectories/mask…`, -1 if all of its points count.
        fewest, most: of each trajectory, over its frames, the points that count.
        moving: whether they change within a trajectory.
    """

    rows: Count
    fewest: list[Count]
    most: list[Count]
    moving: bool = False


class ShardSpec(Model):
    """One zarr group.

    Attributes:
        steps: frames of each of its trajectories, in order.
        points: set (`""`: the only one) → points of each of its trajectories; None where all trajectories have as many.
        masks: set (`""`: a grid, or the only one) → which of its points count; sets whose points all do are left out.
    """

    path: Text
    steps: Annotated[list[Count], Field(min_length=1)]
    points: dict[Name | Literal[""], list[Count]] | None = None
    masks: dict[Name | Literal[""], ShardMasks] | None = None
    bytes: Annotated[int, Field(ge=0)]
    digest: Text

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        pure = PurePosixPath(path)
        if not path.isprintable():
            raise ValueError(f"shard path {path!r} has characters that cannot be shown")
        if pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path or not pure.parts:
            raise ValueError(f"shard path {path!r} leaves the dataset's folder")
        return path

    @property
    def rows(self) -> int:
        """Frames of all trajectories of the shard."""
        return sum(self.steps)


class SplitSpec(Model):
    """A split: its shards, the statistics of its fields, its parameters over trajectories, and the time between steps
    (None where no trajectory has two).

    Attributes:
        coords: set of points (`""`: the only one) → where its points are; None: a grid, or a dataset of a version that
            did not say.
    """

    shards: list[ShardSpec]
    statistics: dict[str, FieldStatistics]
    params: dict[str, Summary] = {}
    time_step: Summary | None = None
    coords: dict[Name | Literal[""], PointStatistics] | None = None

    @property
    def num_trajectories(self) -> int:
        """Trajectories of all shards of the split."""
        return sum(len(s.steps) for s in self.shards)


class LeftOut(Model):
    """A trajectory of the source that the dataset does not hold, because it could not be read or stored."""

    key: str
    source: str
    reason: str
