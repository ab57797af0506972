"""The manifest itself, `dataset.json`."""

import math
from collections.abc import Iterator
from pathlib import Path

from pydantic import PrivateAttr, ValidationError, model_validator

from ups_data.atomic import replacing
from ups_data.errors import UpsDataError
from ups_data.points.unit import UnitScale
from ups_data.schema import limits
from ups_data.schema.boxes import check_boxes, scale_around
from ups_data.schema.contents import Contents
from ups_data.schema.file import MANIFEST, Readable, manifest_name, read_manifest, with_digest
from ups_data.schema.masks.spec import check_masks
from ups_data.schema.packs import check_packs
from ups_data.schema.specs import ShardSpec
from ups_data.schema.trajectories import Place, TrajectoryOrigin, origin_of, origins_of


class Manifest(Contents):
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
        masks: set of points (`""`: a grid, or the only set) → what is at points that do not count; None: all count.
        source: what the dataset was made from.
        left_out: trajectories that a conversion left out, each with the reason.
        splits: name → split.
    """

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
        shards = [shard for split in self.splits.values() for shard in split.shards]
        check_masks(self.masks or {}, shards, {name or "" for name in self.set_names})
        for metric, tiles in (self.importance or {}).items():
            if not set(tiles) <= {name or "" for name in self.set_names}:
                raise ValueError(f"importance {metric!r} is of {sorted(tiles)}, sets of points are {self.set_names}")
        for split, spec in self.splits.items():
            if set(spec.statistics) != set(names):
                raise ValueError(f"split {split!r} has statistics of {sorted(spec.statistics)}, fields are {names}")
            if set(spec.params) != set(self.params):
                raise ValueError(f"split {split!r} summarises {sorted(spec.params)}, parameters are {self.params}")
            if spec.coords is not None:
                sets = {} if self.grid is not None else {name or "": self.point_set(name) for name in self.set_names}
                check_boxes(split, spec.coords, sets)
            for shard in spec.shards:
                self._check_points(shard)
        self._check_limits()
        for split, spec in self.splits.items():
            for field in self.fields:
                if not spec.statistics[field.name].have(field.channels):
                    raise ValueError(f"split {split!r}: statistics of {field.name!r} are not of its channels")
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

    def origins(self, split: str) -> Iterator[TrajectoryOrigin]:
        """Which runs of the source the trajectories of a split are, in order; each shard's table is read once.

        Raises:
            UpsDataError: as `trajectory`.
        """
        if self._place.root is None:
            raise UpsDataError("origins: this manifest was not loaded from a dataset: use Manifest.load(root)")
        return origins_of(self._place.root, self.split(split))

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
            file.write(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The file, with the digest that `load` compares."""
        return with_digest(self.model_dump_json(indent=1, exclude_none=True))
