"""Ways in which a dataset is damaged, each a function of (root, generator) that says what it did.

The datasets have three shards of equal shape, two fields of one shape and dtype, and several objects to a field.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ups_data import ShardWriter
from ups_data.schema import MANIFEST

Damage = Callable[[Path, np.random.Generator], str]
INDEX_BYTES = 16 * 4 + 4  # of an object of four chunks
KINDS: dict[str, Damage] = {}


def write_dataset(
    root: Path,
    *,
    codec: str,
    seed: int = 0,
    steps: int = 6,
    object_frames: int = 4,
    blocks: int = 1,
    cloud: bool = False,
    shard_bytes: int = 10_000,
) -> None:
    """12 × 10 or 120 points, fields u and v, static k, parameter nu; six trajectories, two to a shard where they have
    six frames. A chunk is a frame, or a block of several."""
    rng = np.random.default_rng(seed)
    shape = (120,) if cloud else (12, 10)
    coords = rng.random((120, 2)).astype(np.float32) if cloud else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ups_data.writing.layout.CHUNK_BYTES", 480 // blocks)
        patch.setattr("ups_data.writing.shard.open_shard.OBJECT_BYTES", object_frames * 480)
        with ShardWriter(root, codec=codec, shard_bytes=shard_bytes, blocks=blocks) as writer:
            for number in range(6):
                u, v = rng.standard_normal((2, steps, *shape, 1)).astype(np.float32)
                k = rng.standard_normal((*shape, 1)).astype(np.float32)
                time = 0.5 * np.arange(steps) + seed
                params = {"nu": 0.1 * number + seed}
                writer.add({"u": u, "v": v}, coords=coords, static={"k": k}, time=time, params=params)


def write_pair(folder: Path, **options: Any) -> Path:
    """A dataset, and beside it another of the same shape."""
    write_dataset(folder / "intact", **options)
    write_dataset(folder / "other", **options, seed=1)
    return folder / "intact"


def kind(function: Damage) -> Damage:
    KINDS[function.__name__] = function
    return function


def shards(root: Path) -> list[Path]:
    return sorted((root / "train").iterdir())


def pick(items: list[Path], rng: np.random.Generator) -> Path:
    return sorted(items)[rng.integers(len(items))]


def shard(root: Path, rng: np.random.Generator) -> Path:
    return pick(shards(root), rng)


def field(root: Path, rng: np.random.Generator) -> Path:
    return shard(root, rng) / "fields" / "uv"[rng.integers(2)]


def objects(array: Path) -> list[Path]:
    """The stored objects of an array; those of a field have four chunks and an index."""
    return sorted(p for p in (array / "c").rglob("*") if p.is_file())


def edit(path: Path, position: int, change: Callable[[np.ndarray], np.ndarray], length: int = 1) -> str:
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    data[position : position + length] = change(data[position : position + length])
    path.write_bytes(data.tobytes())
    return f"{path}, byte {position}"


def flip(path: Path, low: int, high: int, rng: np.random.Generator) -> str:
    """Flip one bit of the bytes [low, high)."""
    return edit(path, int(rng.integers(low, high)), lambda byte: byte ^ np.uint8(1 << rng.integers(8)))


def swap(a: Path, b: Path) -> str:
    aside = a.with_name("aside")
    a.rename(aside), b.rename(a), aside.rename(b)
    return f"{a} and {b}"


@kind
def bit_of_a_chunk(root: Path, rng: np.random.Generator) -> str:
    path = pick(objects(field(root, rng)), rng)
    return flip(path, 0, path.stat().st_size - INDEX_BYTES, rng)


@kind
def zeros_in_a_chunk(root: Path, rng: np.random.Generator) -> str:
    path = pick(objects(field(root, rng)), rng)
    return edit(path, int(rng.integers(path.stat().st_size - INDEX_BYTES - 64)), lambda data: data & 0, 64)


@kind
def bit_of_a_static_field(root: Path, rng: np.random.Generator) -> str:
    path = pick(objects(shard(root, rng) / "fields/k"), rng)
    return flip(path, 0, path.stat().st_size - 2 * 16 - 4, rng)


@kind
def bit_of_an_index(root: Path, rng: np.random.Generator) -> str:
    path = pick(objects(field(root, rng)), rng)
    return flip(path, path.stat().st_size - INDEX_BYTES, path.stat().st_size, rng)


@kind
def object_zeroed(root: Path, rng: np.random.Generator) -> str:
    path = pick(objects(field(root, rng)), rng)
    return edit(path, 0, lambda data: data & 0, path.stat().st_size)


@kind
def object_cut(root: Path, rng: np.random.Generator) -> str:
    path = pick(objects(field(root, rng)), rng)
    length = int(rng.integers(path.stat().st_size))
    path.write_bytes(path.read_bytes()[:length])
    return f"{path}, cut to {length}"


@kind
def object_cut_between_chunks(root: Path, rng: np.random.Generator) -> str:
    """Where nothing looks torn: webdataset serves a tar that ends at a member's end."""
    path = pick(objects(field(root, rng)), rng)
    offset, length = np.frombuffer(path.read_bytes()[-INDEX_BYTES:-4], "<u8").reshape(-1, 2)[rng.integers(3)]
    path.write_bytes(path.read_bytes()[: int(offset + length)])
    return f"{path}, cut to {offset + length}"


@kind
def object_grown(root: Path, rng: np.random.Generator) -> str:
    path = pick(objects(field(root, rng)), rng)
    path.write_bytes(path.read_bytes() + rng.bytes(int(rng.integers(1, 200))))
    return f"{path}, longer"


@kind
def object_missing(root: Path, rng: np.random.Generator) -> str:
    path = pick(objects(field(root, rng)), rng)
    path.unlink()
    return f"{path}, gone"


@kind
def object_that_is_a_folder(root: Path, rng: np.random.Generator) -> str:
    path = pick(objects(field(root, rng)), rng)
    path.unlink(), path.mkdir()
    return f"{path}, a folder"


@kind
def array_missing(root: Path, rng: np.random.Generator) -> str:
    path = field(root, rng)
    shutil.rmtree(path)
    return f"{path}, gone"


@kind
def shard_missing(root: Path, rng: np.random.Generator) -> str:
    path = shard(root, rng)
    shutil.rmtree(path)
    return f"{path}, gone"


@kind
def metadata_missing(root: Path, rng: np.random.Generator) -> str:
    path = field(root, rng) / "zarr.json"
    path.unlink()
    return f"{path}, gone"


@kind
def metadata_cut(root: Path, rng: np.random.Generator) -> str:
    path = field(root, rng) / "zarr.json"
    length = int(rng.integers(path.stat().st_size))
    path.write_bytes(path.read_bytes()[:length])
    return f"{path}, cut to {length}"


@kind
def bit_of_metadata(root: Path, rng: np.random.Generator) -> str:
    path = field(root, rng) / "zarr.json"
    return flip(path, 0, path.stat().st_size, rng)


@kind
def bit_of_group_metadata(root: Path, rng: np.random.Generator) -> str:
    path = pick([p / "zarr.json" for s in shards(root) for p in (s, s / "fields", s / "trajectories")], rng)
    return flip(path, 0, path.stat().st_size, rng)


@kind
def bit_of_the_times(root: Path, rng: np.random.Generator) -> str:
    path = pick(objects(shard(root, rng) / "trajectories/time"), rng)
    return flip(path, 0, path.stat().st_size, rng)


@kind
def bit_of_the_parameters(root: Path, rng: np.random.Generator) -> str:
    path = pick(objects(shard(root, rng) / "trajectories/params"), rng)
    return flip(path, 0, path.stat().st_size, rng)


@kind
def bit_of_the_times_metadata(root: Path, rng: np.random.Generator) -> str:
    path = shard(root, rng) / "trajectories/time/zarr.json"
    return flip(path, 0, path.stat().st_size, rng)


@kind
def table_missing(root: Path, rng: np.random.Generator) -> str:
    """The folder of a table."""
    path = shard(root, rng) / "trajectories" / ("time", "params")[rng.integers(2)]
    shutil.rmtree(path)
    return f"{path}, gone"


@kind
def chunk_of_a_table_missing(root: Path, rng: np.random.Generator) -> str:
    """zarr takes an absent chunk for one that holds the fill value."""
    path = pick(objects(shard(root, rng) / "trajectories" / ("time", "params")[rng.integers(2)]), rng)
    path.unlink()
    return f"{path}, gone"


@kind
def bit_of_the_manifest(root: Path, rng: np.random.Generator) -> str:
    path = root / MANIFEST
    return flip(path, 0, path.stat().st_size, rng)


@kind
def digit_of_the_manifest(root: Path, rng: np.random.Generator) -> str:
    """Another digit: JSON that is as good as before."""
    path = root / MANIFEST
    data = np.frombuffer(path.read_bytes(), np.uint8)
    digits = np.flatnonzero((data >= ord("1")) & (data <= ord("8")) & (np.roll(data, 1) == ord(".")))
    return edit(path, int(rng.choice(digits)), lambda digit: digit + np.uint8(1))


@kind
def manifest_cut(root: Path, rng: np.random.Generator) -> str:
    path = root / MANIFEST
    length = int(rng.integers(path.stat().st_size - 1))
    path.write_bytes(path.read_bytes()[:length])
    return f"{path}, cut to {length}"


@kind
def manifest_missing(root: Path, rng: np.random.Generator) -> str:
    (root / MANIFEST).unlink()
    return f"{root / MANIFEST}, gone"


@kind
def objects_swapped(root: Path, rng: np.random.Generator) -> str:
    found = objects(field(root, rng))
    whole = found[:-1] if len(found) > 2 else found  # the last one has fewer chunks in use
    a, b = rng.permutation(np.array(whole, object))[:2]
    return swap(a, b)


@kind
def fields_swapped(root: Path, rng: np.random.Generator) -> str:
    folder = shard(root, rng) / "fields"
    return swap(folder / "u", folder / "v")


@kind
def shards_swapped(root: Path, rng: np.random.Generator) -> str:
    a, b = rng.permutation(np.array(shards(root), object))[:2]
    return swap(a, b)


@kind
def shard_of_another_dataset(root: Path, rng: np.random.Generator) -> str:
    number = int(rng.integers(3))
    shutil.rmtree(shards(root)[number])
    other = shards(root.with_name("other"))[number]
    shutil.copytree(other, root / "train" / other.name)
    return f"{root / 'train' / other.name}, of another dataset"


@kind
def object_of_another_dataset(root: Path, rng: np.random.Generator) -> str:
    path = pick(objects(field(root, rng)), rng)
    shutil.copyfile(root.with_name("other") / path.relative_to(root), path)
    return f"{path}, of another dataset"
