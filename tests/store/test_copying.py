"""Datasets from one store to another."""

import numpy as np
import pytest

from tests.datasets import write_grid
from tests.serving_s3 import environment, new_bucket, s3_server
from ups_data import UpsDataError
from ups_data.schema import MANIFEST
from ups_data.store.local import LocalStore
from ups_data.store.moving import copying, writers
from ups_data.store.moving.copying import copy_dataset
from ups_data.store.moving.writers import ExistsError, writer_of
from ups_data.store.root import open_store
from ups_data.store.verify import verify_dataset

memory = pytest.importorskip("ups_data.store.memory", reason="needs obstore")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("copy") / "d"
    write_grid(root, shard_bytes=5000, blocks=4)
    return root


@pytest.fixture(scope="module")
def s3():
    with s3_server() as options:
        yield options


def content(store):
    """Key → bytes of all objects."""
    return {key: store.get(key, size) for key, size in open_store(store).list("")}


def test_a_dataset_is_the_same_wherever_it_is_copied(dataset, tmp_path, s3, monkeypatch):
    for name, value in environment(s3).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UPS_DATA_WORK", str(tmp_path / "work"))
    monkeypatch.setattr(writers, "PART_BYTES", 5 * 1024**2)
    url, original = f"{new_bucket(s3)}/deep/run", content(LocalStore(dataset))
    told = []
    copied = copy_dataset(dataset, url, progress=lambda done, total: told.append((done, total)))
    in_shards = sum(".zarr/" in key for key in original)
    assert (copied.objects, copied.kept) == (in_shards, 0)
    assert told[-1][0] == told[-1][1] == copied.bytes
    assert content(open_store(url)) == original
    assert verify_dataset(url) == []
    in_memory = memory.MemoryStore()
    assert copy_dataset(url, in_memory).objects == copied.objects
    assert copy_dataset(in_memory, tmp_path / "back").bytes == copied.bytes
    assert content(LocalStore(tmp_path / "back")) == original
    again = copy_dataset(dataset, url)
    assert (again.objects, again.kept) == (0, copied.objects)


def test_objects_in_parts_are_whole(tmp_path, s3, monkeypatch):
    monkeypatch.setattr(writers, "PART_BYTES", 5 * 1024**2)
    store = open_store(f"{new_bucket(s3)}/run", s3)
    data = np.random.default_rng(0).integers(0, 256, 11 * 1024**2, np.uint8).tobytes()
    (tmp_path / "large").write_bytes(data)
    writer_of(store).put_file("a/large", tmp_path / "large")
    assert store.get("a/large", len(data)) == data


@pytest.mark.parametrize("kind", ["folder", "memory", "s3"])
def test_a_new_object_takes_no_other_ones_place(kind, tmp_path, s3):
    made = {
        "folder": lambda: LocalStore(tmp_path),
        "memory": memory.MemoryStore,
        "s3": lambda: open_store(f"{new_bucket(s3)}/run", s3),
    }
    writer = writer_of(made[kind]())
    writer.put_new("a/b", b"one")
    writer.put_new("a/b", b"one")  # its own, again
    with pytest.raises(ExistsError, match="is there already"):
        writer.put_new("a/b", b"two")
    assert writer.store.get("a/b", 10) == b"one"
    writer.remove("a/b")
    writer.put_new("a/b", b"two")


def test_a_copy_goes_on_where_it_stopped(dataset, tmp_path, monkeypatch):
    """Without a manifest until all is there; what was cut or changed meanwhile is copied again."""
    put, calls = writers.LocalWriter.put_file, []

    def killed(self, key, path):
        calls.append(key)
        if len(calls) == 9:
            raise KeyboardInterrupt
        put(self, key, path)

    monkeypatch.setattr(writers.LocalWriter, "put_file", killed)
    with pytest.raises(KeyboardInterrupt):
        copy_dataset(dataset, tmp_path / "c", threads=1)
    assert not (tmp_path / "c" / MANIFEST).exists()
    changed = tmp_path / "c" / calls[3]
    data = bytearray(changed.read_bytes())
    data[0] ^= 1
    changed.write_bytes(data)
    (tmp_path / "c" / copying.ASIDE / "left").write_bytes(b"of a kill")
    monkeypatch.setattr(writers.LocalWriter, "put_file", put)
    copied = copy_dataset(dataset, tmp_path / "c", threads=1)
    assert copied.kept == len(calls) - 2  # all but the one that was stopped and the one that was changed
    assert content(LocalStore(tmp_path / "c")) == content(LocalStore(dataset))


def test_damage_is_not_copied(dataset, tmp_path):
    copy_dataset(dataset, tmp_path / "bad")
    (file,) = list((tmp_path / "bad").glob("train/shard-000001.zarr/fields/u/c/*/*/*"))
    data = bytearray(file.read_bytes())
    data[10] ^= 1
    file.write_bytes(data)
    with pytest.raises(UpsDataError, match=r"shard-000001.zarr/fields/u/c/0/0/0 is damaged: copy or make its shard"):
        copy_dataset(tmp_path / "bad", tmp_path / "c")
    assert not (tmp_path / "c" / MANIFEST).exists()


def test_another_dataset_is_not_overwritten(dataset, tmp_path):
    write_grid(tmp_path / "other", steps=(5,))
    before = content(LocalStore(tmp_path / "other"))
    with pytest.raises(UpsDataError, match="already holds another dataset"):
        copy_dataset(dataset, tmp_path / "other")
    assert content(LocalStore(tmp_path / "other")) == before


def test_what_can_only_be_read_is_refused_in_one_line(dataset):
    with pytest.raises(UpsDataError, match="a web server can only be read"):
        copy_dataset(dataset, "http://127.0.0.1:9/run")
