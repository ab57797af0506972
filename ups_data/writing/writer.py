"""`ShardWriter`: trajectories in, a dataset out.

A shard is written aside and published by one rename; the manifest is written last. A writer that fails takes away
whatever it wrote, so a folder with a manifest is a whole dataset.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.schema import MANIFEST, Manifest, check_split_name
from ups_data.store.openings.making import make_openings
from ups_data.trajectory import ArrayLike, Axis, PointSet
from ups_data.writing.folders import make_folder, remove_empty, remove_folder
from ups_data.writing.importance import Importance
from ups_data.writing.layout import Layout
from ups_data.writing.options import WriteOptions, collected, takes_options
from ups_data.writing.run import Run
from ups_data.writing.shard.open_shard import OpenShard
from ups_data.writing.shard.written import WrittenShard, dataset_manifest, is_whole


@takes_options
class ShardWriter:
    """Writes a dataset from arrays, one trajectory after another:

        with ShardWriter("data/run") as writer:
            writer.add(fields={"u": u}, split="train", time=t)  # u: (T, H, W, C)

    If the block ends with an error, everything that was written is removed.

    Args:
        root: folder of the dataset; made if need be, refused if it holds anything.
        options: of what is written; keyword arguments win.
        source: what the data were made from, kept in the manifest.

    Raises:
        UpsDataError: the folder is not empty, or an option is not allowed.
    """

    def __init__(
        self,
        root: str | Path,
        options: WriteOptions | None = None,
        *,
        source: Mapping[str, str] | None = None,
        **given: Any,
    ) -> None:
        self.root = Path(root)
        self.options = collected(options, given, caller="ShardWriter")
        if (self.root / MANIFEST).exists():
            raise UpsDataError(f"{root} already holds a dataset: choose another folder, or remove it first")
        if self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir())):
            raise UpsDataError(f"{root} is not an empty folder: choose another one")
        self._made_root = not self.root.exists()
        self.root.mkdir(parents=True, exist_ok=True)
        self._source = dict(source or {})
        self._layout: Layout | None = None
        self._importance: Importance | None = None
        self._open: dict[str, OpenShard] = {}
        self._written: dict[str, list[WrittenShard]] = {}

    def add(
        self,
        fields: Mapping[str, ArrayLike] | None = None,
        *,
        split: str = "train",
        time: np.ndarray | Sequence[float] | None = None,
        params: Mapping[str, float] | None = None,
        coords: ArrayLike | None = None,
        static: Mapping[str, ArrayLike] | None = None,
        sets: Mapping[str, PointSet] | None = None,
        axes: Sequence[Axis] | None = None,
        key: str | None = None,
        source: str = "",
        units: Mapping[str, str] | None = None,
        mask: ArrayLike | None = None,
    ) -> None:
        """Append one trajectory; fields are read a few frames at a time.

        Args:
            fields: name → `(T, *grid, C)`, or `(T, N, C)` with `coords`.
            split: the split that the trajectory belongs to.
            time: `(T,)`, the frames' times; None: 0, 1, 2, ….
            params: the run's parameters, the same names for every trajectory.
            coords: `(N, d)` positions of points, or `(T, N, d)` if they move; N may differ between trajectories.
                Moving points stay in the blocks that their first frame gave them.
            static: name → `(*grid, C)` or `(N, C)`, fields without time.
            sets: name → set of points, if there are several; `fields`, `coords` and `static` are then left out.
            axes: the grid's axes in array order; None: each runs from 0 to 1.
            key, source: what the trajectory is called, and where it comes from, for messages.
            units: name of a field → its units, as a person reads them.
            mask: `(*grid)` or `(N,)`, with T in front if it changes: nonzero where a point counts; None: all do. Of
                several sets each has its own.

        Raises:
            UpsDataError: shapes, names or dtypes differ from the first trajectory's, a dtype needs a cast, a cast
                overflows, a value is not finite, or the split's name cannot be a folder's.
        """
        check_split_name(split)
        params, sets = dict(params or {}), sets or {}
        run = Run(fields or {}, static or {}, time, params, coords, sets, axes, key or "", source, units, mask=mask)
        if self._layout is None:
            self._layout = Layout(run, self.options)
            self._layout.take_origins(run)
        self._layout.check(run)
        if self._importance is None:
            self._importance = self._layout.importance()
        shard = self._open.get(split)
        if shard is None:
            aside = self.root / f".writing-{split}-{len(self._written.get(split, ())):06d}.zarr"
            shard = OpenShard(aside, split, self._layout, self._importance, self.options.allow_nonfinite)
            self._open[split] = shard
        shard.add(run)
        if shard.bytes >= self.options.shard_bytes:
            self._publish(split)

    def close(self) -> Manifest:
        """Publish the last shards and the manifest.

        Raises:
            UpsDataError: nothing was added, or a shard that was published is gone.
        """
        if self._layout is None or self._importance is None:
            raise UpsDataError(f"{self.root}: no trajectory was added: call add() before close()")
        for split in list(self._open):
            self._publish(split)
        for shards in self._written.values():
            for shard in shards:
                if not is_whole(self.root, shard.spec):
                    raise UpsDataError(
                        f"{self.root}: {shard.spec.path} was removed or changed meanwhile: write it anew"
                    )
        manifest = dataset_manifest(self._layout, self._importance, self._source, self._written)
        make_openings(self.root, manifest)
        manifest.save(self.root)
        return manifest

    def abort(self) -> None:
        """Remove everything that was written."""
        for shard in self._open.values():
            shard.abort()
        for split, written in self._written.items():
            for published in written:
                remove_folder(self.root, self.root / published.spec.path)
            remove_empty(self.root / split)
        if self._made_root:
            remove_empty(self.root)

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

    def _publish(self, split: str) -> None:
        """Finish the open shard of a split and rename it into its place."""
        written = self._written.setdefault(split, [])
        path = f"{split}/shard-{len(written):06d}.zarr"
        shard = self._open[split].finish(path)
        make_folder(self.root, self.root / split)
        written.append(shard)  # first: what is renamed must be known to `abort`
        self._open[split].aside.rename(self.root / path)
        del self._open[split]
