"""What all trajectories of a dataset share, taken from the first one and demanded of the others."""

from collections.abc import Collection

import numpy as np
from pydantic import ValidationError

from ups_data.errors import UpsDataError
from ups_data.points.blocks import Blocks, grid_blocks, point_blocks
from ups_data.schema import FieldSpec, GridSpec, Manifest, MaskSpec, PointsSpec, SplitSpec, limits
from ups_data.trajectory import ArrayLike
from ups_data.writing import chunks
from ups_data.writing.axes import grid_spec, same_axis, unit_axes
from ups_data.writing.casting import stored_dtype
from ups_data.writing.importance import Importance, check_metrics
from ups_data.writing.options import WriteOptions
from ups_data.writing.run import Run
from ups_data.writing.shard.packs import packs_of

# Decoded bytes of a chunk of whole frames.
CHUNK_BYTES = chunks.WHOLE_FRAMES
# Of a trajectory of points: a first trajectory of a few points would cut a large one into crumbs.
MAX_BLOCKS = 2**14


class Layout:
    """What all trajectories share: fields, geometry, parameters. Taken from the first one.

    Args:
        options: of what is written; its `blocks` is, for points, of the first trajectory, which fixes the slots of a
            block: P = ceil(N / B).

    Raises:
        UpsDataError: the first trajectory's fields, grid or coordinates cannot be stored, or B does not fit its grid.
    """

    def __init__(self, run: Run, options: WriteOptions) -> None:
        self.options = options
        self.codec, self.blocks, self.seed, self._cast = options.codec, options.blocks, options.seed, options.cast
        try:
            self._read(run)
        except ValidationError as error:
            reason = " ".join(error.errors()[0]["msg"].removeprefix("Value error, ").split())[:1000]
            raise UpsDataError(f"{run.where} cannot be stored: {reason}") from None

    def _read(self, run: Run) -> None:
        """Take what all share from the first trajectory."""
        run.take_mask(self.options.mask)
        self.params, self.time_units = list(run.params), run.time_units
        self.grid: GridSpec | None = None
        self.points: dict[str | None, PointsSpec] = {}
        self.origins: dict[str | None, np.ndarray] = {}
        if run.coords:
            self.points = {name: self._points_spec(run, name) for name in run.coords}
        else:
            self._frame_shape = tuple(next(iter(run.fields.values())).shape[1:-1])
            self._axes = list(run.axes) if run.axes is not None else unit_axes(self._frame_shape)
            self.grid = grid_spec(run, self._axes, self._frame_shape)
            self._grid_blocks = (
                None if self.blocks == 1 else grid_blocks(self._frame_shape, self.blocks, seed=self.seed)
            )
        self.specs = [self._field_spec(n, a, run, static=False) for n, a in run.fields.items()]
        self.specs += [self._field_spec(n, a, run, static=True) for n, a in run.static.items()]
        self.packs = packs_of(self.specs, self, run.steps) if self.options.pack else {}

    def deal(self, run: Run) -> dict[str | None, Blocks | None]:
        """Set of points → how a trajectory's points are dealt; None where frames are stored as they are.

        Moving points keep the blocks of their first frame.

        Raises:
            UpsDataError: coordinates that are not finite, or far more points than the first trajectory had.
        """
        if not self.points:
            return {None: self._grid_blocks}
        for name, spec in self.points.items():
            if -(-run.num_points(name) // spec.block_points) > MAX_BLOCKS:
                raise UpsDataError(
                    f"{run.where} has {run.num_points(name):,} points in blocks of {spec.block_points}, the size that "
                    f"the first trajectory gave them: more than {MAX_BLOCKS:,} blocks; store fewer (--blocks)"
                )
        return {
            name: point_blocks(run.coords_at(name, 0, 1)[0], block_points=spec.block_points, seed=self.seed)
            for name, spec in self.points.items()
        }

    def chunk_shape(self, spec: FieldSpec) -> tuple[int, ...]:
        """Of a field: rows, then a grid's axes or the slots of a block, then channels."""
        return (spec.chunk_rows, *self.chunk_points(spec.point_set), spec.channels)

    def chunk_points(self, set_name: str | None) -> tuple[int, ...]:
        """A grid's axes, or the slots of a block."""
        if self.grid is not None and self.blocks == 1:
            return self._frame_shape
        return (self.block_points(set_name),)

    def block_points(self, set_name: str | None) -> int:
        """P, slots of a block; of a grid without blocks, all its points."""
        if self.points:
            return self.points[set_name].block_points
        return -(-int(np.prod(self._frame_shape)) // self.blocks)

    def set_of_pack(self, name: str) -> str | None:
        """The set of points of a pack's fields."""
        first = self.packs[name].fields[0]
        return next(spec.point_set for spec in self.specs if spec.name == first)

    def pack_of_points(self, set_name: str | None) -> str | None:
        """The pack that has the coordinates of a set of points beside its fields."""
        return next((n for n, p in self.packs.items() if p.coords and self.set_of_pack(n) == set_name), None)

    def coords_chunk_rows(self, set_name: str | None, steps: int) -> int:
        """Rows of a chunk of a set's coordinates."""
        spec = self.points[set_name]
        return self.chunk_rows(spec.block_points * spec.dim * 4, steps) if spec.moving else 1

    def dimension_names(self, spec: FieldSpec) -> tuple[str, ...]:
        """Of a field's array, for xarray."""
        return self.dimensions(spec, spec.name)

    def dimensions(self, spec: FieldSpec, array: str) -> tuple[str, ...]:
        """Of an array of that name whose rows are those of a field, for xarray."""
        whole_grid = self.grid is not None and self.blocks == 1
        axes = [a.name for a in self.grid.axes] if self.grid and whole_grid else [point_dimension(spec.point_set)]
        # xarray takes a variable named like one of its dimensions for that dimension's coordinates.
        names = {s.name for s in self.specs}
        axes = [f"{a}_axis" if a in names else a for a in axes]
        return ("trajectory" if spec.static else "row", *axes, f"{array}_channel")

    def take_origins(self, run: Run) -> None:
        """The origins of the points' coordinates, from the first trajectory; only where its arrays can be read."""
        found = {name: run.origin_of(name) for name in self.points}
        self.origins = {name: origin for name, origin in found.items() if origin is not None}
        self.points = {
            name: spec.model_copy(update={"origin": self.origins[name].tolist()}) if name in self.origins else spec
            for name, spec in self.points.items()
        }

    def check(self, run: Run) -> None:
        """Refuse a trajectory that is not like the first one."""
        run.origins = self.origins
        run.take_mask(self.options.mask)
        if run.time_units != self.time_units:
            raise UpsDataError(
                f"the times of {run.where} are in {run.time_units or 'no unit'}, the first trajectory's in "
                f"{self.time_units or 'no unit'}: give both the same unit of time"
            )
        given = {**run.fields, **run.static}
        if set(given) != {s.name for s in self.specs}:
            raise UpsDataError(
                f"{run.where} has the fields {sorted(given)}, the first one had {sorted(s.name for s in self.specs)}: "
                "give every trajectory the same"
            )
        if set(run.coords) != set(self.points):
            has, had = ([n or "points" for n in names] or ["a grid"] for names in (run.coords, self.points))
            raise UpsDataError(
                f"{run.where} has {', '.join(has)}, the first one had {', '.join(had)}: put them into different "
                "datasets"
            )
        for spec in self.specs:
            self._check_field(spec, given[spec.name], run)
        if sorted(run.params) != sorted(self.params):
            raise UpsDataError(
                f"{run.where} has the parameters {sorted(run.params)}, the first one had {sorted(self.params)}: "
                "give every trajectory the same"
            )
        for name, points in self.points.items():
            if (run.coords[name].shape[-1], run.moving(name)) != (points.dim, points.moving):
                raise UpsDataError(
                    f"coords of {run.where} have shape {run.coords[name].shape}, the first ones had {points.dim} "
                    f"components and were {'moving' if points.moving else 'the same for all frames'}: put them into "
                    "different datasets"
                )
        if self.grid is not None and run.axes is not None:
            has, had = [a.name for a in run.axes], [a.name for a in self._axes]
            if has != had:
                raise UpsDataError(
                    f"{run.where} has the axes {', '.join(has)}, the first trajectory had {', '.join(had)}: transpose "
                    "one of them, so that the order is the same"
                )
            for mine, theirs in zip(self._axes, run.axes, strict=True):
                if not same_axis(mine.coordinates, theirs.coordinates):
                    raise UpsDataError(
                        f"axis {theirs.name!r} of {run.where} differs from the first trajectory's: put runs of "
                        "different grids into different datasets"
                    )

    def importance(self) -> Importance:
        """Of the tiles of these fields and points."""
        return Importance(
            check_metrics(self.options.importance),
            self.specs,
            self.grid,
            {n: p.num_points or 0 for n, p in self.points.items()},
        )

    def manifest(
        self,
        source: dict[str, str],
        splits: dict[str, SplitSpec],
        *,
        ragged: Collection[str | None],
        masks: dict[str, MaskSpec] | None = None,
    ) -> Manifest:
        """The dataset's, but for its importance; `ragged`: sets of points whose number differs between trajectories."""
        points = {
            name: spec.model_copy(update={"num_points": None}) if name in ragged else spec
            for name, spec in self.points.items()
        }
        return Manifest(
            fields=self.specs,
            grid=self.grid,
            points=points.get(None),
            sets={name: spec for name, spec in points.items() if name is not None} or None,
            params=self.params,
            codec=self.codec,  # type: ignore[arg-type]  # one of CODECS
            blocks=self.blocks,
            block_seed=self.seed,
            packs=self.packs or None,
            masks=masks,
            time_units=self.time_units,
            source=source,
            splits=splits,
        )

    def _points_spec(self, run: Run, name: str | None) -> PointsSpec:
        count = run.num_points(name)
        return PointsSpec(
            num_points=count,
            dim=run.coords[name].shape[-1],
            moving=run.moving(name),
            block_points=-(-count // self.blocks),
        )

    def _field_spec(self, name: str, array: ArrayLike, run: Run, *, static: bool) -> FieldSpec:
        dtype = stored_dtype(array.dtype, self._cast, f"field {name!r} of {run.where}")
        steps = 1 if static else run.steps
        set_name = run.set_of[name]
        block_bytes = self.block_points(set_name) * array.shape[-1] * dtype.itemsize
        if block_bytes > limits.CHUNK_BYTES:
            raise UpsDataError(
                f"a frame of field {name!r} of {run.where} has blocks of {block_bytes / 2**30:.1f} GiB, a chunk holds "
                f"less than 2 GiB: store it in more blocks (--blocks)"
            )
        return FieldSpec(
            name=name,
            channels=array.shape[-1],
            dtype=dtype.name,  # type: ignore[arg-type]  # one of STORED
            source_dtype=array.dtype.newbyteorder("=").name,
            static=static,
            chunk_rows=self.chunk_rows(block_bytes, steps),
            point_set=set_name,
            units=run.units.get(name),
        )

    def chunk_rows(self, block_bytes: int, steps: int) -> int:
        """Rows of a chunk, of blocks of so many bytes."""
        if self.blocks > 1:
            return chunks.rows_of_block_chunk(block_bytes, steps)
        if self.points:
            return chunks.rows_of_block_chunk(block_bytes, steps, CHUNK_BYTES)
        return chunks.rows_of_chunk(block_bytes, steps, CHUNK_BYTES)

    def _check_field(self, spec: FieldSpec, array: ArrayLike, run: Run) -> None:
        if run.set_of[spec.name] != spec.point_set or (spec.name in run.static) != spec.static:
            raise UpsDataError(
                f"field {spec.name!r} of {run.where} is of another kind than the first trajectory's: put it on the "
                "same points, and in time as there"
            )
        shape = tuple(array.shape[0 if spec.static else 1 :])
        expected = (*(shape[:-1] if self.points else self._frame_shape), spec.channels)
        if shape != expected:
            raise UpsDataError(
                f"field {spec.name!r} of {run.where} has shape {shape}, the first trajectory had "
                f"{expected}: put runs of different shapes into different datasets"
            )
        units = run.units.get(spec.name)
        if units is not None and spec.units is not None and units != spec.units:
            raise UpsDataError(
                f"field {spec.name!r} of {run.where} is in {units}, the first trajectory's is in {spec.units}: "
                "give both the same units, or put them into different datasets"
            )
        source_dtype = array.dtype.newbyteorder("=").name
        if self._cast is None and source_dtype != spec.source_dtype:
            raise UpsDataError(
                f"field {spec.name!r} of {run.where} is {source_dtype}, it was {spec.source_dtype} before: convert it "
                "to one dtype"
            )


def point_dimension(set_name: str | None) -> str:
    """The name of the axis along which points are stored."""
    return "point" if set_name is None else f"{set_name}_point"


def points_folder(set_name: str | None) -> str:
    """Where a set of points lies in a shard."""
    return "points" if set_name is None else f"points/{set_name}"
