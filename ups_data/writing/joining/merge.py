"""Two datasets of one schema in one: no shard is written again."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os.path import realpath  # `Path.resolve` raises RuntimeError where links lead around
from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.schema import MANIFEST, Manifest, PointsSpec, ShardSpec, SplitSpec, limits
from ups_data.schema.trajectories import parse_window
from ups_data.store.local import LocalStore
from ups_data.store.moving.copying import MovedShard, copying_shards
from ups_data.store.moving.writers import writer_of
from ups_data.store.object_store import ObjectStore, get_if_there
from ups_data.store.openings.making import make_openings
from ups_data.store.root import Root, open_store
from ups_data.writing.folders import check_inside, remove_folder
from ups_data.writing.joining.pooling import moments_of
from ups_data.writing.joining.schemas import difference, joined_masks
from ups_data.writing.shard.written import files_of, is_whole, usual_order


def merge(
    first: Root,
    second: Root,
    out: Root,
    *,
    same_names: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Manifest:
    """Make one dataset of two. Files of shards are linked (hard links), or copied where that cannot be: from and to
    stores each object is compared with its seal on the way.

        merge("data/january", "data/march", "data/all")
        merge("s3://bucket/january", "data/march", "s3://bucket/all")

    Splits of one name are united, the first dataset's shards before the second's; statistics are pooled. Neither of the
    two is changed. A folder `out` appears whole, or not at all; to a store the manifest is written last, and after a
    kill the same call goes on.

    Args:
        first, second: folders, URLs or stores of datasets.
        out: a new or empty folder, or a URL or a store without a dataset.
        same_names: runs that have the same name in both are different runs, or share no frame. Otherwise they are
            refused: one run in two splits would be seen in training.
        progress: called with (bytes of shards done, bytes in all).

    Raises:
        UpsDataError: the two differ in fields, units, geometry, parameters, codec, blocks, packs or importance; a run
            is in both; a shard is not whole; `out` holds something; or the disk is full.
    """
    roots, target = (open_store(first), open_store(second)), open_store(out)
    manifests = tuple(Manifest.load(root) for root in roots)
    told = difference(*manifests)
    if told is not None:
        raise UpsDataError(f"{roots[0]} and {roots[1]} cannot be merged, of the first {told}: convert both alike")
    _check_place(target, roots)
    _check_runs(roots, manifests, same_names)
    moves = list(_moves(roots, manifests))
    manifest = _merged(roots, manifests, moves)
    if isinstance(target, LocalStore):
        _into_folder(target.root, manifest, moves, progress)
    else:
        with copying_shards([move.shard for move in moves], target, progress=progress):
            make_openings(target, manifest)
            writer_of(target).put_new(MANIFEST, manifest.to_bytes())
    return Manifest.load(target)


def _check_place(target: ObjectStore, roots: Sequence[ObjectStore]) -> None:
    if not isinstance(target, LocalStore):
        writer_of(target)  # raises if nothing can be written there
        if get_if_there(target, MANIFEST, limits.JSON_BYTES) is not None:
            raise UpsDataError(f"{target} already holds a dataset: choose another place")
        return
    out = target.root
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UpsDataError(f"{out} is not an empty folder: choose another one")
    folders = [realpath(root.root) for root in roots if isinstance(root, LocalStore)]
    if any(Path(realpath(out)).is_relative_to(folder) for folder in folders):
        raise UpsDataError(f"{out} lies in a dataset that is merged: choose a folder outside of it")


def _into_folder(out: Path, manifest: Manifest, moves: "Sequence[_Move]", progress: Callable[[int, int], None]) -> None:
    out = Path(os.path.abspath(out))  # "." has no name
    aside = out.with_name(f".{out.name}.merging-{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(out)
        _bring(aside, moves, progress)
        make_openings(aside, manifest)
        manifest.save(aside)
        os.replace(aside, out)
    except OSError as error:
        raise UpsDataError(f"{out}: {error.strerror or error} ({error.filename or 'while merging'})") from error
    finally:
        remove_folder(aside.parent, aside)


@dataclass(frozen=True)
class _Move:
    """A shard of a dataset, and its path in the new one."""

    root: ObjectStore
    split: str
    spec: ShardSpec
    path: str

    @property
    def shard(self) -> MovedShard:
        """As it is copied."""
        return MovedShard(self.root, self.spec.path, self.spec.digest, self.spec.bytes, self.path)


def _check_runs(roots: Sequence[ObjectStore], manifests: Sequence[Manifest], same_names: bool) -> None:
    digests = [{s.digest: s.path for split in m.splits.values() for s in split.shards} for m in manifests]
    if both := digests[0].keys() & digests[1].keys():
        raise UpsDataError(f"{digests[1][min(both)]} of {roots[1]} is in {roots[0]} too: merge what is different")
    if same_names:
        return
    seen = dict(_runs(manifests[0]))
    for name, split in _runs(manifests[1]):
        if name in seen:
            raise UpsDataError(
                f"the run {name[1]} of {name[0] or 'no file'} is in {seen[name]!r} of {roots[0]} and in {split!r} of "
                f"{roots[1]}: take it out of one, or, if the two share no frame, say --same-names"
            )


def _runs(manifest: Manifest) -> Iterator[tuple[tuple[str, str], str]]:
    """Source and key of every run that has a name, without the window or region that was cut out of it; its split."""
    for split in manifest.splits:
        for origin in manifest.origins(split):
            window = parse_window(origin.key)
            key = origin.key.removesuffix(f"@{split}") if window is None else window[0]
            if origin.source or key:
                yield (origin.source, key), split


def _moves(roots: Sequence[ObjectStore], manifests: Sequence[Manifest]) -> Iterator[_Move]:
    names = sorted({name for manifest in manifests for name in manifest.splits}, key=usual_order)
    for split in names:
        place = 0
        for root, manifest in zip(roots, manifests, strict=True):
            for spec in manifest.splits[split].shards if split in manifest.splits else ():
                yield _Move(root, split, spec, f"{split}/shard-{place:06d}.zarr")
                place += 1


def _merged(roots: Sequence[ObjectStore], manifests: Sequence[Manifest], moves: Sequence[_Move]) -> Manifest:
    of_root = dict(zip(roots, manifests, strict=True))
    points = {name: _common_points(manifests, name) for name in manifests[0].set_names if manifests[0].grid is None}
    ragged = [name for name, spec in points.items() if spec.num_points is None]
    splits: dict[str, SplitSpec] = {}
    for split in dict.fromkeys(move.split for move in moves):
        holders = [manifest for manifest in manifests if split in manifest.splits]
        moments = moments_of(holders[0], split)
        for other in holders[1:]:
            moments.take(moments_of(other, split))
        shards = []
        for move in moves:
            if move.split == split:
                counts = {name or "": of_root[move.root].shard_points(move.spec, name) for name in ragged}
                shards.append(move.spec.model_copy(update={"path": move.path, "points": counts or None}))
        splits[split] = moments.spec(shards, manifests[0].params)
    first, second = manifests
    sources = [manifest.source.get("path") or str(root) for root, manifest in of_root.items()]
    formats = dict.fromkeys(m.source.get("format", "arrays") for m in manifests)
    merged = first.model_copy(
        update={
            "points": points.get(None),
            "sets": {name: spec for name, spec in points.items() if name is not None} or None,
            "fields": [
                f if f.units else f.model_copy(update={"units": second.field(f.name).units}) for f in first.fields
            ],
            "source": {"path": " and ".join(sources), "format": ", ".join(formats)},
            "left_out": [*(first.left_out or []), *(second.left_out or [])] or None,
            "not_stored": {**(second.not_stored or {}), **(first.not_stored or {})} or None,
            "masks": joined_masks(first, second),
            "splits": splits,
        }
    )
    return Manifest.model_validate(merged.model_dump(exclude_none=True))


def _common_points(manifests: Sequence[Manifest], name: str | None) -> PointsSpec:
    one, other = (manifest.point_set(name) for manifest in manifests)
    return one if one.num_points == other.num_points else one.model_copy(update={"num_points": None})


def _remove_leftovers(out: Path) -> None:
    """What killed merges into the same place have left beside it."""
    for path in out.parent.glob(f".{out.name}.merging-*"):
        number = path.name.rpartition("-")[2]
        if number.isdecimal() and not _is_running(int(number)):
            remove_folder(out.parent, path)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _bring(aside: Path, moves: Sequence[_Move], progress: Callable[[int, int], None]) -> None:
    aside.mkdir()
    total, done = sum(move.spec.bytes for move in moves), 0
    for move in moves:
        if isinstance(move.root, LocalStore):
            _linked(move.root.root, move, aside)
        else:
            before = done
            with copying_shards([move.shard], LocalStore(aside), progress=lambda n, _: progress(before + n, total)):  # noqa: B023
                pass
        done += move.spec.bytes
        progress(done, total)


def _linked(root: Path, move: _Move, aside: Path) -> None:
    if not is_whole(root, move.spec):
        raise UpsDataError(f"{root}: {move.spec.path} is damaged or being written: `ups-data verify` says more")
    shard = check_inside(root, root / move.spec.path)
    for file in files_of(shard):
        place = aside / move.path / file.relative_to(shard)
        place.parent.mkdir(parents=True, exist_ok=True)
        _link(check_inside(root, file), place)


def _link(file: Path, place: Path) -> None:
    try:
        os.link(file, place, follow_symlinks=False)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(file, place)
