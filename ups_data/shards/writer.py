"""`ShardWriter`: trajectories in, a dataset out.

A shard is written aside and published by one rename; the manifest is written last. A writer that fails takes away
whatever it wrote, so a folder with a manifest is a whole dataset.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import zarr

from ups_data.errors import UpsDataError
from ups_data.schema import MANIFEST, FieldSpec, Manifest, ShardSpec, SplitSpec
from ups_data.shards import codecs
from ups_data.shards.casting import cast_exactly
from ups_data.shards.digest import shard_digest
from ups_data.shards.layout import OBJECT_BYTES, Layout, Run
from ups_data.shards.objects import ArrayWriter
from ups_data.shards.statistics import FieldMoments, Moments
from ups_data.trajectory import ArrayLike, Axis

# Read from a source at once: sources are compressed in chunks of several frames, which should be decoded once.
READ_BYTES = 16 * 1024**2


class ShardWriter:
    """Writes a dataset: `with ShardWriter("data/run") as w: w.add(fields={"u": u}, split="train", time=t)`.

    Args:
        root: folder of the dataset; made if need be, refused if it holds anything.
        blocks: 1, frames are stored whole.
        codec: "none", "lz4" or "zstd"; every chunk carries a crc32c.
        cast: "float32" or "float16", store every field so; None stores what float32 or float16 holds exactly and
            refuses the rest.
        allow_nonfinite: keep NaN and Inf, and count them in the statistics, instead of refusing them.
        shard_bytes: a shard is closed when it holds this many decoded bytes; a trajectory is never split over two.
        source: what the data were made from, kept in the manifest.

    Raises:
        UpsDataError: the folder is not empty.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        blocks: int = 1,
        codec: str = "none",
        cast: str | None = None,
        allow_nonfinite: bool = False,
        shard_bytes: int = 512 * 1024**2,
        source: Mapping[str, str] | None = None,
    ) -> None:
        self.root = Path(root)
        if blocks != 1:
            raise UpsDataError(f"blocks={blocks}: only blocks=1 (whole frames) is written so far")
        if codec not in codecs.CODECS:
            raise UpsDataError(f"codec {codec!r}: choose one of {', '.join(codecs.CODECS)}")
        if (self.root / MANIFEST).exists():
            raise UpsDataError(f"{root} already holds a dataset: choose another folder, or remove it first")
        if self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir())):
            raise UpsDataError(f"{root} is not an empty folder: choose another one")
        self._made_root = not self.root.exists()
        self.root.mkdir(parents=True, exist_ok=True)
        self._codec, self._cast, self._allow_nonfinite = codec, cast, allow_nonfinite
        self._shard_bytes, self._source = shard_bytes, dict(source or {})
        self._layout: Layout | None = None
        self._splits: dict[str, _SplitWriter] = {}

    def add(
        self,
        fields: Mapping[str, ArrayLike],
        *,
        split: str = "train",
        time: np.ndarray | Sequence[float] | None = None,
        params: Mapping[str, float] | None = None,
        coords: np.ndarray | None = None,
        static: Mapping[str, ArrayLike] | None = None,
        axes: Sequence[Axis] | None = None,
        key: str | None = None,
        source: str = "",
    ) -> None:
        """Append one trajectory; fields are read a few frames at a time.

        Args:
            fields: name → `(T, *grid, C)`, or `(T, N, C)` with `coords`.
            time: `(T,)`, the frames' times; their numbers where None.
            params: the run's parameters, the same names for every trajectory.
            coords: `(N, d)` positions of points.
            static: name → `(*grid, C)` or `(N, C)`, fields without time.
            axes: the grid's axes in array order; unit axes where None.

        Raises:
            UpsDataError: shapes, names or dtypes differ from the first trajectory's, a dtype needs a cast, a cast
                overflows, or a value is not finite.
        """
        run = Run(fields, static or {}, time, dict(params or {}), coords, axes, key or "", source)
        if self._layout is None:
            self._layout = Layout(run, self._codec, self._cast)
        self._layout.check(run)
        writer = self._splits.get(split)
        if writer is None:
            writer = self._splits[split] = _SplitWriter(self.root, split, self._layout, self._allow_nonfinite)
        writer.add(run)
        if writer.bytes >= self._shard_bytes:
            writer.publish()

    def close(self) -> Manifest:
        """Publish the last shards and the manifest.

        Raises:
            UpsDataError: nothing was added.
        """
        if self._layout is None:
            raise UpsDataError(f"{self.root}: no trajectory was added")
        for writer in self._splits.values():
            writer.publish()
        manifest = self._layout.manifest(
            self._source, {name: self._splits[name].spec() for name in sorted(self._splits, key=_usual_order)}
        )
        manifest.save(self.root)
        return manifest

    def abort(self) -> None:
        """Remove everything that was written."""
        for writer in self._splits.values():
            writer.abort()
        if self._made_root:
            shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abort()
            return
        try:
            self.close()
        except BaseException:
            self.abort()
            raise


class _SplitWriter:
    """The shards of one split: one open, the others published."""

    def __init__(self, root: Path, split: str, layout: Layout, allow_nonfinite: bool) -> None:
        self._root, self._split, self._layout, self._allow_nonfinite = root, split, layout, allow_nonfinite
        self._moments = {s.name: FieldMoments(s.channels) for s in layout.specs}
        self._params, self._time_step = Moments(len(layout.params)), Moments(1)
        self._shards: list[ShardSpec] = []
        self._aside: Path | None = None
        self._arrays: dict[str, ArrayWriter] = {}
        self._runs: list[Run] = []
        self.bytes = 0

    def add(self, run: Run) -> None:
        if self._aside is None:
            self._open()
        for spec in self._layout.specs:
            array = run.static[spec.name][None] if spec.static else run.fields[spec.name]
            self._moments[spec.name].start_trajectory()
            rows = spec.chunk_rows * max(1, READ_BYTES // (spec.chunk_rows * self._layout.row_bytes(spec)))
            for start in range(0, array.shape[0], rows):
                self._append(spec, array[start : start + rows], run, start)
        if run.coords is not None:
            self._arrays["points/coords"].append(run.coords[None])
        if self._layout.params:
            self._params.update(np.array([[run.params[p] for p in self._layout.params]]))
        if run.steps > 1:
            self._time_step.update(np.diff(run.time)[:, None])
        # Only what the tables need is kept; the fields' arrays may be large.
        run.fields, run.static, run.coords = {}, {}, None
        self._runs.append(run)

    def _append(self, spec: FieldSpec, frames: np.ndarray, run: Run, start: int) -> None:
        where = f"field {spec.name!r} of {run.where}"
        frames = np.asarray(frames)
        if not self._allow_nonfinite and not np.isfinite(frames).all():
            bad = ~np.isfinite(frames)
            frame = start + int(np.argmax(bad.reshape(len(bad), -1).any(1)))
            raise UpsDataError(
                f"{where} has {int(bad.sum())} values that are NaN or Inf (first in frame {frame}): "
                "repair it, or keep and count them with --allow-nonfinite"
            )
        frames = cast_exactly(frames, np.dtype(spec.dtype), where)
        for i in range(0, len(frames), spec.chunk_rows):  # moments are taken in float64, of a chunk at a time
            self._moments[spec.name].update(frames[i : i + spec.chunk_rows])
        self._arrays[f"fields/{spec.name}"].append(frames)
        self.bytes += frames.nbytes

    def _open(self) -> None:
        layout = self._layout
        self._aside = self._root / f".writing-{self._split}-{len(self._shards):06d}.zarr"
        group = zarr.open_group(self._aside, mode="w", zarr_format=3, attributes={"ups_data": {"split": self._split}})
        for name in ("fields", "trajectories", *(["points"] if layout.points else [])):
            group.create_group(name)
        self.bytes = 0
        self._arrays = {
            f"fields/{s.name}": ArrayWriter(
                self._aside,
                f"fields/{s.name}",
                (*layout.frame_shape, s.channels),
                np.dtype(s.dtype),
                codec=layout.codec,
                object_bytes=OBJECT_BYTES,
                chunk_rows=s.chunk_rows,
                dimension_names=("trajectory" if s.static else "row", *layout.dimension_names, f"{s.name}_channel"),
            )
            for s in layout.specs
        }
        if layout.points is not None:
            self._arrays["points/coords"] = ArrayWriter(
                self._aside,
                "points/coords",
                (layout.points.num_points, layout.points.dim),
                np.dtype(np.float32),
                codec=layout.codec,
                object_bytes=OBJECT_BYTES,
                chunk_rows=1,
                dimension_names=("geometry", "point", "component"),
            )

    def publish(self) -> None:
        """Finish the open shard, if there is one, and rename it into its place."""
        if self._aside is None:
            return
        for array in self._arrays.values():
            array.finish()
        self._write_tables(zarr.open_group(self._aside, mode="r+"))
        size, digest = shard_digest(self._aside)
        path = f"{self._split}/shard-{len(self._shards):06d}.zarr"
        (self._root / self._split).mkdir(exist_ok=True)
        self._aside.rename(self._root / path)
        self._shards.append(ShardSpec(path=path, steps=[r.steps for r in self._runs], bytes=size, digest=digest))
        self._aside, self._arrays, self._runs, self.bytes = None, {}, [], 0

    def _write_tables(self, group: zarr.Group) -> None:
        """`trajectories/*` and, for points, their count: small arrays, plain zarr."""
        runs = self._runs
        table = group["trajectories"]
        assert isinstance(table, zarr.Group)
        table.attrs.update(
            {"key": [r.key for r in runs], "source": [r.source for r in runs], "params": self._layout.params}
        )
        steps = [r.steps for r in runs]
        columns: dict[str, tuple[np.ndarray, tuple[str, ...]]] = {
            "offset": (np.cumsum([0, *steps[:-1]]), ("trajectory",)),
            "steps": (np.asarray(steps), ("trajectory",)),
            "geometry": (np.arange(len(runs)) if self._layout.points else np.zeros(len(runs), int), ("trajectory",)),
            "time": (np.concatenate([r.time for r in runs]), ("row",)),
        }
        if self._layout.params:
            values = np.array([[r.params[p] for p in self._layout.params] for r in runs], np.float64)
            columns["params"] = (values, ("trajectory", "parameter"))
        for name, (data, dims) in columns.items():
            table.create_array(name, data=data, compressors=codecs.zarr_compressors("none", 8), dimension_names=dims)
        if self._layout.points is not None:
            points = group["points"]
            assert isinstance(points, zarr.Group)
            count = np.full(len(runs), self._layout.points.num_points)
            points.create_array(
                "count", data=count, compressors=codecs.zarr_compressors("none", 8), dimension_names=("geometry",)
            )

    def spec(self) -> SplitSpec:
        return SplitSpec(
            shards=self._shards,
            statistics={n: m.statistics() for n, m in self._moments.items()},
            params=dict(zip(self._layout.params, self._params.summaries(), strict=True)),
            time_step=self._time_step.summaries()[0] if self._time_step.count[0] else None,
        )

    def abort(self) -> None:
        for array in self._arrays.values():
            array.abandon()
        if self._aside is not None:
            shutil.rmtree(self._aside, ignore_errors=True)
        shutil.rmtree(self._root / self._split, ignore_errors=True)


def _usual_order(split: str) -> tuple[int, str]:
    usual = ("train", "valid", "test")
    return (usual.index(split) if split in usual else len(usual), split)
