"""Makes the files that the benchmark's systems read, once, in a cache folder.

Every file or folder is written aside and renamed when it is whole, so an interrupted run leaves nothing half made.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import zarr
from rich.console import Console
from rich.progress import track
from zarr.codecs import BloscCodec

from benchmarks.loader.bench_workloads import Case, Workload, chunk_points, trajectories
from ups_data import ShardWriter, UpsDataError, make_grid_coords
from ups_data.schema import MANIFEST, FieldSpec, Manifest

DATA_RATIO, DATA_BATCH = 0.1, 16  # what a sample of the user's own dataset is: queries ÷ points, samples
TAR_FILES = 8
PROGRESS = Console(stderr=True)


def make_workload(workload: Workload, cache: Path, codec: str, blocks: int = 1, *, peers: bool = True) -> Case:
    """The workload's files, made where they are missing; on a grid, with `blocks`, its shards in blocks too.

    Args:
        peers: whether to make the files of other systems too.
    """
    folder = cache / workload.folder
    is_points = workload.name == "points"
    copies = 1 if codec == "none" else workload.copies
    dataset = folder / (f"sealed-{codec}" if copies == 1 else f"sealed-{codec}-{copies}-copies")
    in_blocks = dataset.with_name(f"{dataset.name}-{workload.blocks if is_points else blocks}-blocks")
    case = Case(
        name=workload.name,
        folder=folder,
        dataset=in_blocks if is_points else dataset,
        split="train",
        codec=codec,
        steps=(workload.steps,) * workload.trajectories,
        queries=workload.queries,
        batch=workload.batch,
        horizon=workload.horizon,
        draws_inputs=is_points,
        blocked=in_blocks if blocks > 1 and not is_points else None,
    )
    rows, points = sum(case.steps), int(np.prod(workload.shape))
    write_frames(case, trajectories(workload), (rows, points, workload.channels), np.dtype(np.float32))
    if not is_points:
        write_coords(case, make_grid_coords(workload.shape).numpy())
    if peers and not is_points:
        write_store(case)
        write_tar(case)
    write_shards(case, case.dataset, workload.shape, copies, workload.blocks)
    if case.blocked is not None:
        write_shards(case, case.blocked, workload.shape, copies, blocks)
    if peers and is_points:
        write_chunks(case)
    return case


def open_dataset(root: Path, cache: Path) -> Case:
    """The user's own dataset, its fields without time left out; raw frames and a zarr store are derived from it."""
    manifest = Manifest.load(root)
    split = "train" if "train" in manifest.splits else next(iter(manifest.splits))
    steps = tuple(s for shard in manifest.split(split).shards for s in shard.steps)
    horizon = min(1, max(steps) - 1)
    case = Case(
        name="data",
        folder=cache / f"data-{hashlib.sha256((root / MANIFEST).read_bytes()).hexdigest()[:16]}",
        dataset=root,
        split=split,
        codec=manifest.codec,
        steps=steps,
        queries=max(1, round(DATA_RATIO * manifest.num_points)),
        batch=min(DATA_BATCH, sum(max(0, s - horizon) for s in steps)),
        horizon=horizon,
        draws_inputs=False,
    )
    fields = [f for f in manifest.fields if not f.static]
    shape = (sum(steps), manifest.num_points, sum(f.channels for f in fields))
    dtype = np.result_type(*(f.dtype for f in fields))
    write_frames(case, stored_frames(root, manifest, split, fields), shape, dtype)
    if manifest.grid is not None:
        write_coords(case, manifest.grid.coords()[None])
    else:
        shards = manifest.split(split).shards
        write_coords(case, np.concatenate([zarr.open_array(root / s.path / "points/coords")[...] for s in shards]))
    write_store(case)
    return case


def stored_frames(root: Path, manifest: Manifest, split: str, fields: Sequence[FieldSpec]) -> Iterator[np.ndarray]:
    """Frames of one trajectory after another, (T, N, C), the channels of all fields side by side."""
    for shard in manifest.split(split).shards:
        arrays = [zarr.open_array(root / shard.path / "fields" / f.name, mode="r") for f in fields]
        start = 0
        for steps in shard.steps:
            parts = [np.asarray(a[start : start + steps]).reshape(steps, manifest.num_points, -1) for a in arrays]
            yield np.concatenate(parts, axis=-1)
            start += steps


def write_frames(case: Case, runs: Iterator[np.ndarray], shape: tuple[int, ...], dtype: np.dtype) -> None:
    with aside(case.folder / "frames.npy") as path:
        if path is None:
            return
        out = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        row = 0
        for run in track(runs, f"{case.name}: frames", total=len(case.steps), console=PROGRESS):
            out[row : row + len(run)] = run
            row += len(run)
        out.flush()


def write_coords(case: Case, coords: np.ndarray) -> None:
    with aside(case.folder / "coords.npy") as path:
        if path is not None:
            with open(path, "wb") as file:  # numpy appends ".npy" to a bare name
                np.save(file, np.asarray(coords, np.float32))


def write_shards(
    case: Case, dataset: Path, shape: tuple[int, ...], copies: int, blocks: int, *, pack: bool = False
) -> None:
    """This project's dataset; positions and values of points apart. One of another version is made again."""
    if dataset.exists():
        try:
            Manifest.load(dataset)
        except UpsDataError:
            shutil.rmtree(dataset)
    with aside(dataset) as path:
        if path is None:
            return
        frames, start = case.frames(), 0
        with ShardWriter(path, codec=case.codec, blocks=blocks, pack=pack) as writer:
            for steps in track(case.steps * copies, f"{case.name}: shards", console=PROGRESS):
                run = frames[start : start + steps]
                if case.draws_inputs:
                    writer.add({"u": run[..., 3:]}, split=case.split, coords=run[0, :, :3])
                else:
                    writer.add({"u": run.reshape(steps, *shape, -1)}, split=case.split)
                start = (start + steps) % len(frames)


def write_store(case: Case) -> None:
    """A plain zarr v3 array of the same codec, a chunk per frame."""
    with aside(case.folder / f"store-{case.codec}.zarr") as path:
        if path is None:
            return
        frames = case.frames()
        compressor = None if case.codec == "none" else BloscCodec(cname=case.codec, clevel=5, shuffle="shuffle")
        array = zarr.create_array(
            path, shape=frames.shape, chunks=(1, *frames.shape[1:]), dtype=frames.dtype, compressors=compressor
        )
        for row in track(range(len(frames)), f"{case.name}: zarr store", console=PROGRESS):
            array[row] = frames[row]


def write_chunks(case: Case) -> None:
    """A zarr group per cloud, its points shuffled once and stored in chunks, all in one zarr shard: how several
    point-cloud pipelines lay clouds out."""
    with aside(case.folder / f"chunks-{case.codec}") as path:
        if path is None:
            return
        clouds, chunk = case.frames(), chunk_points(case)
        compressors = None if case.codec == "none" else [BloscCodec(cname=case.codec, clevel=5)]
        for number in track(range(len(clouds)), f"{case.name}: zarr chunks", console=PROGRESS):
            shuffled = clouds[number][np.random.default_rng(number).permutation(clouds.shape[1])]
            group = zarr.open_group(path / f"{number}.zarr", mode="w")
            for name, columns in (("position", slice(0, 3)), ("values", slice(3, None))):
                data = np.ascontiguousarray(shuffled[:, columns])
                chunks = (chunk, data.shape[1])
                array = group.create_array(
                    name, shape=data.shape, chunks=chunks, shards=data.shape, dtype="f4", compressors=compressors
                )
                array[...] = data


def write_tar(case: Case) -> None:
    """webdataset's shards: a sample holds its input frame and its target frames, each frame stored again per use."""
    import webdataset

    with aside(case.folder / "tar") as path:
        if path is None:
            return
        path.mkdir()
        frames = case.frames()
        of_a_file = max(1, len(case.samples) // TAR_FILES)
        with webdataset.ShardWriter(f"{path}/%06d.tar", maxcount=of_a_file, verbose=0) as sink:
            for number, (_, row) in enumerate(track(case.samples, f"{case.name}: tar", console=PROGRESS)):
                targets = frames[row + 1 : row + 1 + case.horizon]
                sink.write({"__key__": f"{number:06d}", "x.npy": frames[row], "y.npy": targets})


@contextmanager
def aside(path: Path) -> Iterator[Path | None]:
    """Where to write what shall become `path`; None where that is there already."""
    if path.exists():
        yield None
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.rename(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)
