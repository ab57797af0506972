"""The importance of tiles for a dataset that was written without.

A shard that gains arrays is a new folder, of hard links to the files of the old one and of the new arrays, so that
nothing is copied and the old shard stays as the manifest describes it. Once all are there, the manifest changes in one
atomic step from the old shards to the new ones; then the old folders go. Whenever this is interrupted, the dataset is
whole, with or without the importance, and the same command takes over the shards that were finished.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import zarr

from ups_data.atomic import exclusive
from ups_data.errors import UpsDataError
from ups_data.points.activity import Metric
from ups_data.schema import MANIFEST, FieldSpec, Manifest, ShardSpec, limits
from ups_data.schema.texts.json_text import parse_json
from ups_data.store.arrays.metadata import array_name
from ups_data.store.masks.counted import counted_points
from ups_data.store.openings.making import refresh_openings
from ups_data.store.sealing import seal_path, sealed, write_seal
from ups_data.store.shard import Shard
from ups_data.writing.folders import check_inside, read_own, remove_folder
from ups_data.writing.importance import FOLDER, Importance, array_options, check_metrics, group_names
from ups_data.writing.shard.array_writer import ArrayWriter

ASIDE = ".adding-"  # folders with this prefix are unfinished
ADDED_TO = "added_to"  # attribute of the new group: the digest of the shard that it was added to
OBJECT_BYTES = 512 * 1024**2

Progress = Callable[[int, int], None]


def add_importance(
    root: str | Path, metrics: Sequence[str], *, progress: Progress = lambda done, total: None
) -> Manifest:
    """Compute the importance of the tiles of every frame and store it with the shards; fields are only read.

    Loaders that were opened before must be opened again.

    Args:
        metrics: `gradient`, `variance`; those that the dataset already holds are left alone.
        progress: called with (frames done, frames in all).

    Returns:
        the new manifest.

    Raises:
        UpsDataError: no dataset there, an unknown metric, damaged shards, another process at work on it, or a full or
            read-only disk; the dataset is as it was.
    """
    root, wanted = Path(root), check_metrics(metrics)
    Manifest.load(root)  # a readable message where there is no dataset
    try:
        with exclusive(root / MANIFEST):
            return _add(root, wanted, progress)
    except BlockingIOError:
        raise UpsDataError(f"{root}: another process is at work on this dataset: wait for its end") from None
    except OSError as error:
        raise UpsDataError(f"{root}: {error.strerror} ({error.filename}); the dataset is as it was") from None


def _add(root: Path, wanted: list[Metric], progress: Progress) -> Manifest:
    manifest = Manifest.load(root)
    _remove_unlisted(root, manifest, prefix=ASIDE)
    stored = manifest.importance or {}
    importance = _importance(manifest, [m for m in wanted if m not in stored])
    if importance.metrics:
        total = sum(shard.rows for split in manifest.splits.values() for shard in split.shards)
        done, splits = 0, {}
        for name, split in manifest.splits.items():
            shards = []
            for spec in split.shards:
                shards.append(_with_importance(root, manifest, spec, importance, partial(_tell, progress, total, done)))
                done += spec.rows
            splits[name] = split.model_copy(update={"shards": shards})
        listed = {**stored, **(importance.listed() or {})}
        manifest = manifest.model_copy(update={"importance": listed, "splits": splits})
        refresh_openings(root, manifest)
        manifest.save(root)
    _remove_unlisted(root, manifest, prefix="shard-")
    return manifest


def _tell(progress: Progress, total: int, before: int, rows: int) -> None:
    progress(before + rows, total)


def _importance(manifest: Manifest, metrics: Sequence[Metric]) -> Importance:
    points: dict[str | None, int] = {}
    if manifest.grid is None:
        first = next(split.shards[0] for split in manifest.splits.values() if split.shards)
        points = {name: manifest.shard_points(first, name)[0] for name in manifest.set_names}
    return Importance(metrics, manifest.fields, manifest.grid, points)


def _with_importance(
    root: Path, manifest: Manifest, spec: ShardSpec, importance: Importance, progress: Callable[[int], None]
) -> ShardSpec:
    """The shard with the new arrays, in a folder of its own: taken over from an interrupted run, or made now."""
    path = _path_with(spec.path, importance.metrics)
    if _added_to(root / path) != spec.digest:
        aside = (root / path).with_name(ASIDE + Path(path).name)
        try:
            old = Shard(root, manifest, spec)
            _link_tree(root / spec.path, aside)
            _write_arrays(aside, old, manifest, spec, importance, progress)
            write_seal(aside, linked=old.seal)
            remove_folder(root, root / path)
            aside.rename(root / path)
        finally:
            remove_folder(root, aside)
    progress(spec.rows)
    size, digest = sealed(root / path)
    return spec.model_copy(update={"path": path, "bytes": size, "digest": digest})


def _path_with(path: str, metrics: Sequence[str]) -> str:
    """`train/shard-000000.zarr` → `train/shard-000000-gradient.zarr`."""
    return "-".join([path.removesuffix(".zarr"), *metrics]) + ".zarr"


def _added_to(shard: Path) -> str | None:
    """The digest of the shard that a finished one was made from."""
    try:
        attributes = parse_json(read_own(shard / FOLDER / "zarr.json", limits.METADATA_BYTES))["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(attributes.get(ADDED_TO)) if isinstance(attributes, dict) else None


def _link_tree(old: Path, new: Path) -> None:
    """The same folders with links to the same files but the seal; copies where the file system has no links."""
    seal = seal_path(old)
    for folder, _, files in os.walk(old):
        to = new / Path(folder).relative_to(old)
        to.mkdir(parents=True)
        for name in files:
            if Path(folder, name) == seal:
                continue
            try:
                os.link(Path(folder, name), to / name)
            except OSError:
                shutil.copy2(Path(folder, name), to / name)


def _write_arrays(
    aside: Path,
    shard: Shard,
    manifest: Manifest,
    spec: ShardSpec,
    importance: Importance,
    progress: Callable[[int], None],
) -> None:
    group = zarr.open_group(aside, mode="r+")
    for name in group_names(list(importance.tiles)):
        (aside / name / "zarr.json").unlink(missing_ok=True)  # the old shard's own file, if it is there
        group.create_group(name, attributes={ADDED_TO: spec.digest} if name == FOLDER else {})
    arrays = {
        array_name(metric, set_name): ArrayWriter(
            aside,
            array_name(metric, set_name),
            codec=manifest.codec,
            object_bytes=OBJECT_BYTES,
            **array_options(tiles, set_name, spec.steps[0]),
        )
        for set_name, tiles in importance.tiles.items()
        for metric in importance.metrics
    }
    try:
        for number, set_name in enumerate(importance.tiles):
            for row, rows in enumerate(_rows(shard, manifest, spec, importance, set_name)):
                for metric, values in rows.items():
                    arrays[array_name(metric, set_name)].append(values)
                progress((number * spec.rows + row) // len(importance.tiles))
        for array in arrays.values():
            array.finish()
    finally:
        for array in arrays.values():
            array.abandon()


def _rows(
    shard: Shard, manifest: Manifest, spec: ShardSpec, importance: Importance, set_name: str | None
) -> Iterator[dict[Metric, np.ndarray]]:
    """Rows of importance of a shard, frame by frame."""
    mask = manifest.mask(set_name)
    keeps_nan = mask is not None and mask.fill is None
    names = [f for f in manifest.fields if f.point_set == set_name and not f.static]
    frames = {f.name: _Frames(shard, f) for f in names}
    for trajectory, steps in enumerate(spec.steps):
        first = shard.first_row(trajectory)
        coords = None
        if manifest.grid is None:
            coords = _Frames(shard, None, set_name).read(shard.coords_row(set_name, trajectory), trajectory)
        run = importance.of_run(set_name, coords)
        for row in range(first, first + steps):
            counted = counted_points(shard, set_name, trajectory, row - first)
            counted = None if counted is None or keeps_nan else counted[None]
            for name, of_field in frames.items():
                rows = run.add(name, of_field.read(row, trajectory)[None], counted)
            yield rows


class _Frames:
    """Whole frames of a field (None: the coordinates) of a shard in row-major order, the last chunks kept."""

    def __init__(self, shard: Shard, field: FieldSpec | None, set_name: str | None = None) -> None:
        self._shard, self._set = shard, set_name if field is None else field.point_set
        self._array = shard.coords(set_name) if field is None else shard.field(field.name)
        self._chunk_row, self._chunks = -1, np.empty(0)

    def read(self, row: int, trajectory: int) -> np.ndarray:
        """`(N, C)`."""
        array = self._array
        chunk_row, place = divmod(row, array.chunk_rows)
        geometry = self._shard.geometry(self._set, trajectory)
        blocks = 1 if geometry is None else len(geometry)
        if (chunk_row, blocks) != (self._chunk_row, len(self._chunks)):
            self._chunks = np.stack([array.chunk(chunk_row * array.blocks + b) for b in range(blocks)])
            self._chunk_row = chunk_row
        frame = self._chunks[:, place].reshape(-1, array.shape[-1])
        return frame if geometry is None else frame[geometry.slots]


def _remove_unlisted(root: Path, manifest: Manifest, *, prefix: str) -> None:
    """Remove other forms of the shards that the manifest lists, in folders beside them whose names begin so: a run that
    was interrupted left them, or this one has replaced them.

    Raises:
        UpsDataError: links are on the way to a shard; beside it lies what is not the dataset's.
    """
    listed = {check_inside(root, root / shard.path) for split in manifest.splits.values() for shard in split.shards}
    forms = {(path.parent, _without_metrics(path.name)) for path in listed}
    for folder in {path.parent for path in listed}:
        for path in folder.glob(f"{prefix}*.zarr"):
            if path not in listed and (folder, _without_metrics(path.name.removeprefix(ASIDE))) in forms:
                remove_folder(root, path)


def _without_metrics(name: str) -> str:
    """`shard-000000-gradient.zarr` → `shard-000000`: what a shard was called before importance was added."""
    parts = name.removesuffix(".zarr").split("-")
    while len(parts) > 1 and parts[-1] in get_args(Metric):
        parts.pop()
    return "-".join(parts)
