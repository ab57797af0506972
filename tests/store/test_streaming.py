"""A loader makes the same batches wherever the dataset lies, and says which object of a store is damaged."""

import numpy as np
import pytest
import zarr

from tests.datasets import reseal, write_grid
from tests.store.reading import contents, digests, write_blocks
from ups_data import QueryLoader, QuerySampling, ShardWriter, UpsDataError
from ups_data.schema import MANIFEST
from ups_data.schema.trajectories import SEAL
from ups_data.store.memory import MemoryStore
from ups_data.store.verify import verify_dataset
from ups_data.trajectory import PointSet
from ups_data.writing import layout

HALF = QuerySampling(ratio=0.5)


def write_clouds(root, *names, **options):
    """Clouds of unequal size: one set of points, or several of those names."""
    rng = np.random.default_rng(1)

    def cloud(points):
        return {"coords": rng.random((points, 3)), "fields": {"p": rng.standard_normal((3, points, 1))}}

    with ShardWriter(root, shard_bytes=3_000, cast="float32", **options) as writer:
        for number in range(5):
            if names:
                made = {name: cloud(60 + 10 * number + 5 * place) for place, name in enumerate(names)}
                sets = {n: PointSet(c["coords"], {f"p_{n}": c["fields"]["p"]}) for n, c in made.items()}
                writer.add(sets=sets)
            else:
                made = cloud(60 + 10 * number)
                writer.add(made["fields"], coords=made["coords"])


def raw(root):
    write_grid(root)
    return {"batch_size": 4, "horizon": 2}


def lz4(root):
    write_grid(root, codec="lz4", shard_bytes=6_000)
    return {"batch_size": 4, "pool_bytes": 1}


def zstd(root):
    write_grid(root, codec="zstd", grid=(40,))
    return {"batch_size": 4}


def blocks(root):
    write_blocks(root, codec="lz4")
    drawn = QuerySampling(ratio=0.5, mode="blocks")
    return {"sampling": drawn, "inputs": drawn, "pool_bytes": 1}


def raw_blocks(root):
    write_blocks(root)
    return {"sampling": QuerySampling(ratio=0.5, mode="blocks")}


def clouds(root):
    write_clouds(root, codec="lz4", blocks=3)
    return {"ragged": "pad", "sampling": HALF, "inputs": HALF, "batch_size": 2}


def several_sets(root):
    write_clouds(root, "volume", "surface")
    halves = {"volume": HALF, "surface": HALF}
    return {"sampling": halves, "inputs": halves, "batch_size": 2}


def foreign(root):
    """An array that another program wrote over ours, in chunks of its own."""
    write_grid(root)
    path = root / "train/shard-000000.zarr/fields/u"
    values = zarr.open_array(path, mode="r")[...]
    shape, codec = values.shape, zarr.codecs.GzipCodec()
    zarr.create_array(
        path, data=values, chunks=(3, *shape[1:]), shards=(6, *shape[1:]), compressors=codec, overwrite=True
    )
    reseal(root)
    return {"batch_size": 4}


@pytest.fixture(
    params=[raw, lz4, zstd, blocks, raw_blocks, clouds, several_sets, foreign], ids=lambda kind: kind.__name__
)
def dataset(request, tmp_path, monkeypatch):
    """A folder, a store with the same content, and the options of a loader."""
    monkeypatch.setattr(layout, "CHUNK_BYTES", 960)
    monkeypatch.setattr("ups_data.writing.shard.open_shard.OBJECT_BYTES", 8_000)  # several objects to an array
    options = request.param(tmp_path / "d")
    return tmp_path / "d", MemoryStore(contents(tmp_path / "d")), options


@pytest.mark.parametrize("threads", [0, 2])
def test_batches_are_the_same(dataset, threads):
    folder, store, options = dataset
    of_folder = digests(folder, threads=threads, **options)
    assert len(set(of_folder)) == len(of_folder) >= 4
    assert digests(store, threads=threads, **options) == of_folder


def test_verifying_is_the_same(dataset):
    folder, store, _ = dataset
    assert verify_dataset(folder) == verify_dataset(store) == []


def test_batches_of_worker_processes_are_the_same(tmp_path):
    write_blocks(tmp_path / "d", codec="lz4")
    store = MemoryStore(contents(tmp_path / "d"))
    assert digests(store, num_workers=1) == digests(tmp_path / "d", threads=0)


def test_a_slow_store_gives_the_same_batches(tmp_path):
    write_blocks(tmp_path / "d")
    store = MemoryStore(contents(tmp_path / "d"), latency=0.01)
    assert digests(store, threads=2) == digests(tmp_path / "d", threads=0)


def flipped(store, key):
    data = bytearray(store.get(key, 10**6))
    data[len(data) // 3] ^= 1
    store.put(key, bytes(data))


def cut(store, key):
    data = store.get(key, 10**6)
    store.put(key, data[: len(data) // 3])


def gone(store, key):
    """A store of all other objects."""
    kept = {k: store.get(k, size) for k, size in store.list("") if k != key}
    store.__init__(kept)


CHUNKS, TABLE = "fields/u/c/0/0/0", "trajectories/time/c/0"


@pytest.mark.parametrize("damage", [flipped, cut, gone])
@pytest.mark.parametrize("what", [CHUNKS, "fields/u/zarr.json", SEAL, TABLE, MANIFEST])
@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_damage_is_an_error_that_names_the_object(tmp_path, damage, what, codec):
    """Of a dataset without the object that holds small ones together, whose copies would be read instead."""
    write_blocks(tmp_path / "d", codec=codec)
    store = MemoryStore({k: v for k, v in contents(tmp_path / "d").items() if not k.startswith("openings/")})
    (key,) = [key for key, _ in store.list("") if key.endswith(what)]
    shard = store.name("train/shard-000000.zarr")
    names = store.name(key)
    if damage is flipped and what == CHUNKS:
        names = f"shard {shard}, field 'u', rows"
    elif damage is not gone and what == SEAL:
        names = f"shard {shard}: is not the one that the manifest lists"
    elif damage is gone and what == MANIFEST:
        names = f"{store}: no dataset here"
    damage(store, key)
    with pytest.raises(UpsDataError) as error:
        digests(store)
    assert names in str(error.value)
    assert "\n" not in str(error.value)
    if what == MANIFEST:
        with pytest.raises(UpsDataError):
            verify_dataset(store)
    else:
        assert {d.shard for d in verify_dataset(store)} == {"train/shard-000000.zarr"}


def test_a_chunk_that_is_damaged_later_is_noticed(tmp_path):
    """A store's bytes come anew each time, so they are compared each time."""
    write_blocks(tmp_path / "d", codec="lz4")
    store = MemoryStore(contents(tmp_path / "d"))
    (key,) = [key for key, _ in store.list("") if "fields/u/c/" in key]
    loader = QueryLoader(store, split="train", batch_size=4, sampling=HALF, threads=0, pool_bytes=1, drop_last=False)
    list(loader)
    flipped(store, key)
    with pytest.raises(UpsDataError, match="field 'u', rows .* the stored bytes are damaged"):
        list(loader)
