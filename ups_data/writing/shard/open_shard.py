"""One shard as it is written, in a folder aside."""

import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.points.blocks import Blocks
from ups_data.schema import FieldSpec, ShardSpec
from ups_data.schema.packs import MOST_POINTS, channel_names
from ups_data.store.arrays.metadata import MASKS, array_name, mask_name
from ups_data.store.sealing import write_seal
from ups_data.writing.importance import Importance, RunImportance, array_options, group_names
from ups_data.writing.layout import Layout, point_dimension, points_folder
from ups_data.writing.run import Run
from ups_data.writing.shard.array_writer import ArrayWriter
from ups_data.writing.shard.digests import Digests
from ups_data.writing.shard.frames import pieces, stored_frames
from ups_data.writing.shard.masks import MaskWriter, masks_of
from ups_data.writing.shard.pack_writer import COORDS, INDEX, PackWriter
from ups_data.writing.shard.tables import write_tables
from ups_data.writing.shard.written import WrittenShard, point_counts
from ups_data.writing.statistics import FieldMoments, Moments

# One object of the store; several where a shard's field is larger.
OBJECT_BYTES = 512 * 1024**2


class OpenShard:
    """A shard that takes trajectories until it is finished. Its bytes depend on them and on the layout, no more.

    Args:
        aside: folder to write it in; one that is there is replaced.

    Attributes:
        bytes: decoded bytes of its fields.
    """

    def __init__(self, aside: Path, split: str, layout: Layout, importance: Importance, allow_nonfinite: bool) -> None:
        self.aside, self._split, self._layout, self._allow_nonfinite = aside, split, layout, allow_nonfinite
        self._importance = importance
        self._moments = {s.name: FieldMoments(s.channels) for s in layout.specs}
        self._coords = {name or "": Moments(spec.dim) for name, spec in layout.points.items()}
        self._params, self._time_step = Moments(len(layout.params)), Moments(1)
        self._arrays: dict[str, ArrayWriter] = {}
        self._packs: dict[str, PackWriter] = {}  # by the names of their arrays
        self._pack_of = {field: name for name, pack in layout.packs.items() for field in pack.fields}
        self._masks = MaskWriter(self._open_mask)
        self._digests = Digests()
        self._runs: list[Run] = []
        self._counts: dict[str | None, list[int]] = {}
        self._torn = ""  # the trajectory of which only a part was stored
        self.bytes = 0

    def add(self, run: Run) -> None:
        """Append one trajectory.

        Raises:
            UpsDataError: of its values; the shard can no more be finished if a part of it is already stored.
        """
        self._check_whole()
        deal = self._layout.deal(run)
        importance = self._importance_of(run)
        masks = masks_of(run, self._layout)
        for spec in self._layout.specs:
            self._moments[spec.name].start_trajectory()
        for spec, frames, counted in stored_frames(run, self._layout, self._allow_nonfinite, masks):
            if not self._arrays:
                self._open(run, deal)
            if not self._torn:
                self._start_packs(run, deal)
            self._torn = run.where
            self._append(spec, frames, counted, deal[spec.point_set], importance.get(spec.point_set))
            del frames  # or it would lie in memory beside the next piece
        for name in run.coords:
            self._append_points(run, name, deal[name])
        self._masks.add(masks, deal, {name: run.points_of(name) for name in deal}, run.steps)
        if self._layout.params:
            self._params.update(np.array([[run.params[p] for p in self._layout.params]]))
        if run.steps > 1:
            self._time_step.update(np.diff(run.time)[:, None])
        run.let_go()
        self._runs.append(run)
        self._torn = ""

    def _check_whole(self) -> None:
        if self._torn:
            raise UpsDataError(f"{self.aside}: holds a part of {self._torn}, which could not be added: write it again")

    def _append(
        self,
        spec: FieldSpec,
        frames: np.ndarray,
        counted: NDArray[np.bool_] | None,
        blocks: Blocks | None,
        importance: RunImportance | None,
    ) -> None:
        for i in range(0, len(frames), spec.chunk_rows):  # moments are taken in float64, of a chunk at a time
            part = slice(i, i + spec.chunk_rows)
            self._moments[spec.name].update(frames[part], None if counted is None else counted[part])
        pack = self._pack_of.get(spec.name)
        if pack is None:
            self._arrays[f"fields/{spec.name}"].append(_in_slots(frames, blocks))
        else:
            self._packs[pack].append(spec.name, _in_slots(frames, blocks))
        self.bytes += frames.nbytes
        if importance is not None and not spec.static:
            for metric, rows in importance.add(spec.name, frames, counted).items():
                self._arrays[array_name(metric, spec.point_set)].append(rows)

    def _start_packs(self, run: Run, deal: dict[str | None, Blocks | None]) -> None:
        """What a trajectory's rows of packs have in common: the places of points."""
        for name, pack in self._layout.packs.items():
            same, set_name = {}, self._layout.set_of_pack(name)
            blocks = deal[set_name]
            if pack.coords and not run.moving(set_name):
                same[COORDS] = _in_slots(run.coords_at(set_name, 0, 1), blocks)
            if pack.index and blocks is not None:
                if blocks.num_points > MOST_POINTS:
                    raise UpsDataError(
                        f"{run.where} has {blocks.num_points:,} points, a pack numbers at most {MOST_POINTS:,}: "
                        "store it without --pack"
                    )
                same[INDEX] = blocks.index[None, :, None].astype(np.float32)
            self._packs[name].start_trajectory(same)

    def _importance_of(self, run: Run) -> dict[str | None, RunImportance]:
        """Set of points → what is to be computed of a trajectory's frames."""
        return {
            name: self._importance.of_run(name, run.coords_at(name, 0, 1)[0] if run.coords else None)
            for name in self._importance.tiles
        }

    def _append_points(self, run: Run, name: str | None, blocks: Blocks | None) -> None:
        assert blocks is not None  # of points there is always one
        folder = points_folder(name)
        pack = self._layout.pack_of_points(name)
        frame_bytes = blocks.num_points * self._layout.points[name].dim * 4
        for start, stop in pieces(run.steps if run.moving(name) else 1, frame_bytes):
            coords = run.coords_at(name, start, stop)
            self._coords[name or ""].update(coords)
            if pack is None:
                self._arrays[f"{folder}/coords"].append(_in_slots(coords, blocks))
            elif run.moving(name):
                self._packs[pack].append(COORDS, _in_slots(coords, blocks))
        if pack is None or not self._layout.packs[pack].index:
            self._arrays[f"{folder}/index"].append(blocks.index[None])
        self._counts[name].append(blocks.num_points)

    def _open(self, run: Run, deal: dict[str | None, Blocks | None]) -> None:
        layout = self._layout
        group = zarr.open_group(self.aside, mode="w", zarr_format=3, attributes={"ups_data": {"split": self._split}})
        for name in ("fields", "trajectories", *(["points"] if any(b is not None for b in deal.values()) else [])):
            group.create_group(name)
        for spec in layout.specs:
            if spec.name not in self._pack_of:
                self._array(f"fields/{spec.name}", layout.chunk_shape(spec), spec.dtype, layout.dimension_names(spec))
        for name in layout.packs:
            self._open_pack(name)
        for set_name, blocks in deal.items():
            if blocks is not None:
                self._open_points(group, set_name, blocks, run.steps)
        tiles = self._importance.tiles
        for name in group_names(list(tiles)) if tiles else []:
            group.create_group(name)
        for set_name, number in tiles.items():
            for metric in self._importance.metrics:
                self._array(array_name(metric, set_name), **array_options(number, set_name, run.steps))

    def _open_pack(self, name: str) -> None:
        layout, pack = self._layout, self._layout.packs[name]
        specs = [spec for spec in layout.specs if spec.name in pack.fields]
        set_name, dtype = specs[0].point_set, specs[0].dtype
        dim = layout.points[set_name].dim if pack.coords else 0
        labels = channel_names(pack, layout.specs, dim)
        chunk_shape = (pack.chunk_rows, *layout.chunk_points(set_name), len(labels))
        self._array(f"fields/{name}", chunk_shape, dtype, layout.dimensions(specs[0], name))
        parts = [*([COORDS] if pack.coords else []), *([INDEX] if pack.index else []), *pack.fields]
        self._packs[name] = PackWriter(self._arrays[f"fields/{name}"], parts)

    def _open_points(self, group: zarr.Group, set_name: str | None, blocks: Blocks, steps: int) -> None:
        layout, folder, dimension = self._layout, points_folder(set_name), point_dimension(set_name)
        if set_name is not None:
            group.create_group(folder)
        pack = layout.pack_of_points(set_name)
        if pack is None or not layout.packs[pack].index:
            self._array(f"{folder}/index", (1, blocks.block_points), "int32", ("geometry", dimension), fill_value=-1)
        self._counts[set_name] = []
        if not layout.points:  # a grid has one geometry for all its trajectories
            self._arrays[f"{folder}/index"].append(blocks.index[None])
            self._counts[set_name].append(blocks.num_points)
            return
        if pack is not None:
            return
        spec = layout.points[set_name]
        chunk_shape = (layout.coords_chunk_rows(set_name, steps), blocks.block_points, spec.dim)
        dimensions = ("row" if spec.moving else "geometry", dimension, "component")
        self._array(f"{folder}/coords", chunk_shape, "float32", dimensions)

    def _open_mask(self, set_name: str | None, slots: int) -> ArrayWriter:
        group, layout, name = zarr.open_group(self.aside, mode="r+"), self._layout, mask_name(set_name)
        for part in (MASKS, name.rpartition("/")[0]):
            group.require_group(part)
        chunk = layout.block_points(set_name) if layout.points else slots
        dimensions, codec = ("mask", point_dimension(set_name)), "lz4" if layout.codec == "none" else None
        self._array(name, (1, chunk), "uint8", dimensions, fill_value=0, codec=codec)
        return self._arrays[name]

    def _array(
        self,
        name: str,
        chunk_shape: tuple[int, ...],
        dtype: str | np.dtype,
        dimension_names: tuple[str, ...],
        fill_value: float = np.nan,
        codec: str | None = None,
    ) -> None:
        self._arrays[name] = ArrayWriter(
            self.aside,
            name,
            chunk_shape,
            np.dtype(dtype),
            codec=codec or self._layout.codec,
            object_bytes=OBJECT_BYTES,
            dimension_names=dimension_names,
            fill_value=fill_value,
            digests=self._digests,
        )

    def finish(self, path: str) -> WrittenShard:
        """Complete the shard, still aside.

        Args:
            path: its place in the dataset, to which it is then to be renamed.
        """
        self._check_whole()
        for name, array in self._arrays.items():
            if name.endswith("/index") and name.startswith("points") and array.blocks == 1:
                # Points in one block are stored as they were given.
                array.abandon()
                shutil.rmtree(self.aside / name)
            else:
                array.finish()
        write_tables(
            zarr.open_group(self.aside, mode="r+"), self._runs, self._layout, self._counts, self._masks.tables()
        )
        known = {path.relative_to(self.aside).as_posix(): found for path, found in self._digests.finish().items()}
        size, digest = write_seal(self.aside, known=known)
        steps = [r.steps for r in self._runs]
        points = point_counts(self._counts) if self._layout.points else None
        masks = self._masks.listed()
        spec = ShardSpec(path=path, steps=steps, points=points, masks=masks, bytes=size, digest=digest)
        return WrittenShard(spec, self._moments, self._params, self._time_step, self._coords)

    def abort(self) -> None:
        """Remove what was written."""
        for array in self._arrays.values():
            with suppress(OSError):  # of a full disk, again
                array.abandon()
        self._digests.end()
        shutil.rmtree(self.aside, ignore_errors=True)


def _in_slots(frames: np.ndarray, blocks: Blocks | None) -> np.ndarray:
    """Frames `(n, *grid or N, C)` as they are stored: `(n, B * P, C)`, NaN in empty slots."""
    if blocks is None:
        return frames
    points = frames.reshape(len(frames), blocks.num_points, frames.shape[-1])
    if len(blocks) == 1 and blocks.num_points == blocks.block_points:
        return points
    stored = np.take(points, blocks.index, axis=1, mode="wrap")
    if len(blocks.index) > blocks.num_points:
        stored[:, blocks.index < 0] = np.nan
    return stored
