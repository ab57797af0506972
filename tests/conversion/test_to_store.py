"""Conversions to a store: what lies there in the end is what a local conversion writes, whatever happens meanwhile."""

import json
import signal

import numpy as np
import pytest

from tests import warm
from tests.serving_s3 import environment, new_bucket, s3_server
from ups_data import QueryLoader, QuerySampling, UpsDataError
from ups_data.conversion.convert import convert
from ups_data.conversion.remote.upload import UploadFolder
from ups_data.schema import MANIFEST
from ups_data.store.local import LocalStore
from ups_data.store.moving import lock
from ups_data.store.moving.writers import ObstoreWriter, writer_of
from ups_data.store.root import open_store
from ups_data.store.verify import verify_dataset

OPTIONS = {"blocks": 4, "shard_bytes": 9000, "pack": True, "split": {"train": 0.8, "valid": 0.2}}
# A conversion that is killed at its n-th request, before it is sent or after it was answered.
KILLED = """
import json, os, signal, sys
from ups_data.conversion.convert import convert
from ups_data.store.moving import writers
from ups_data.store.remote.store import RemoteStore
given = json.loads(sys.argv[1])
left = given["at"]
def counted(send):
    def counting(*args):
        global left
        left -= 1
        if left == 0 and not given["after"]:
            os.kill(os.getpid(), signal.SIGKILL)
        found = send(*args)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    return counting
writers.ObstoreWriter._sent = counted(writers.ObstoreWriter._sent)
RemoteStore.put = counted(RemoteStore.put)
convert(given["source"], given["url"], **given["options"])
"""


@pytest.fixture(scope="module")
def s3():
    with s3_server() as options:
        yield options


def test_a_card_lies_in_the_store_too(s3, source, tmp_path):
    url = new_bucket(s3)
    convert(source, f"{url}/run", card=True, store_options=s3, **OPTIONS)
    convert(source, tmp_path / "local", card=True, **OPTIONS)
    store = open_store(f"{url}/run", s3)
    for key in ("README.md", "card/data.png"):
        assert store.get(key, 2**24) == (tmp_path / "local" / key).read_bytes()
    assert verify_dataset(store) == []


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "u.npy"
    np.save(path, np.random.default_rng(0).standard_normal((6, 5, 8, 8, 3)).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def local(source, tmp_path_factory):
    """Key → bytes of the dataset, converted into a folder."""
    root = tmp_path_factory.mktemp("local") / "d"
    convert(source, root, **OPTIONS)
    return content(LocalStore(root))


@pytest.fixture
def place(s3, tmp_path, monkeypatch):
    """The URL of an empty place; the environment says how to reach it."""
    for name, value in environment(s3).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UPS_DATA_WORK", str(tmp_path / "work"))
    return f"{new_bucket(s3)}/run"


def content(store):
    return {key: store.get(key, size) for key, size in store.list("")}


def left_behind(tmp_path):
    """Files of conversions in the local folder."""
    return [path for path in (tmp_path / "work").rglob("*") if path.is_file()]


def test_a_conversion_to_a_store_is_the_same_as_to_a_folder(place, source, local, tmp_path):
    told = []
    manifest = convert(source, place, progress=lambda done, total: told.append((done, total)), **OPTIONS)
    assert told[-1] == (6, 6)
    assert content(open_store(place)) == local
    assert left_behind(tmp_path) == []
    assert sum(len(split.shards) for split in manifest.splits.values()) == 3
    assert verify_dataset(place) == []
    assert convert(source, place, **OPTIONS) == manifest  # complete already
    batch = next(iter(QueryLoader(place, split="train", batch_size=2, sampling=QuerySampling(ratio=0.5))))
    assert batch.target_queries.coords.shape[0] == 2


def test_objects_come_before_the_manifest_and_seals_after_what_they_list(place, source, monkeypatch):
    order = []
    sent = ObstoreWriter.put_file
    monkeypatch.setattr(ObstoreWriter, "put_file", lambda self, key, path: order.append(key) or sent(self, key, path))
    new = ObstoreWriter.put_new
    monkeypatch.setattr(ObstoreWriter, "put_new", lambda self, key, data: order.append(key) or new(self, key, data))
    convert(source, place, **OPTIONS)
    assert order[-1] == MANIFEST
    shards = {}
    for number, key in enumerate(order):
        shards.setdefault(key.partition(".zarr/")[0], []).append((number, key))
    for keys in (keys for shard, keys in shards.items() if "shard-" in shard):
        assert keys[-1][1].endswith("checksums.json")


MOMENTS = [(3, False), (14, True)]
MORE = [(at, bool(at % 2)) for at in (1, 2, 5, 9, 13, 17, 26, 31, 38, 52, 60, 71, 77, 85, 95, 110)]


@pytest.mark.parametrize(("at", "after"), [*MOMENTS, *(pytest.param(*m, marks=pytest.mark.faults) for m in MORE)])
def test_a_killed_conversion_goes_on(place, source, local, tmp_path, at, after):
    given = {"source": str(source), "url": place, "options": OPTIONS, "at": at, "after": after}
    killed = warm.run(["-c", KILLED, json.dumps(given)])
    store = open_store(place)
    found = content(store)
    if killed.returncode != -signal.SIGKILL:
        assert killed.returncode == 0  # it had fewer requests
    else:
        assert MANIFEST not in found or all(found[key] == local[key] for key in local)
    convert(source, place, **OPTIONS)
    assert content(store) == local
    assert left_behind(tmp_path) == []


def test_another_machine_goes_on_with_what_is_uploaded(place, source, local, tmp_path, monkeypatch):
    put, uploaded = ObstoreWriter.put_file, []

    def stopped(self, key, path):
        if len(uploaded) == 30:
            raise UpsDataError("the machine was taken away")
        uploaded.append(key)
        put(self, key, path)

    monkeypatch.setattr(ObstoreWriter, "put_file", stopped)
    with pytest.raises(UpsDataError, match="taken away"):
        convert(source, place, **OPTIONS)
    monkeypatch.setenv("UPS_DATA_WORK", str(tmp_path / "elsewhere"))
    again = []
    monkeypatch.setattr(ObstoreWriter, "put_file", lambda self, key, path: again.append(key) or put(self, key, path))
    convert(source, place, **OPTIONS)
    assert content(open_store(place)) == local
    finished = {key.partition(".zarr/")[0] for key in uploaded if key.endswith("checksums.json")}
    assert finished
    assert not finished & {key.partition(".zarr/")[0] for key in again}


def test_two_writers_are_refused(place, source, tmp_path, monkeypatch):
    """One of another machine; once its lock is old, it is taken over, and the first one notices."""
    writer = writer_of(open_store(place))
    with lock.StoreLock(writer, ".conversion/lock", tmp_path).held() as _, pytest.raises(UpsDataError) as error:
        convert(source, place, **OPTIONS)
    assert "another conversion to this place is under way" in str(error.value)
    first = lock.StoreLock(writer, ".conversion/lock", tmp_path)
    with first.held():
        monkeypatch.setattr(lock, "ABANDONED", -5.0)
        convert(source, place, **OPTIONS)
        with pytest.raises(UpsDataError, match="has taken this place over"):
            first.check()


def test_a_place_that_holds_something_else_is_refused(place, source, local):
    store = open_store(place)
    store.put("notes.txt", b"mine")
    with pytest.raises(UpsDataError, match="is not an empty folder"):
        convert(source, place, **OPTIONS)
    assert content(store) == {"notes.txt": b"mine"}
    writer_of(store).remove("notes.txt")
    convert(source, place, **OPTIONS)
    with pytest.raises(UpsDataError, match="already holds a dataset"):
        convert(source, place, **{**OPTIONS, "blocks": 1})
    assert content(store) == local


def test_a_web_server_is_refused_before_anything_is_read(tmp_path, source):
    with pytest.raises(UpsDataError, match="a web server can only be read"):
        convert(source, "http://127.0.0.1:9/run", **OPTIONS)


def test_new_runs_are_appended_in_the_store(place, tmp_path, monkeypatch):
    raw = tmp_path / "raw"
    raw.mkdir()
    for number in range(6):
        u = np.random.default_rng(number).standard_normal((1, 5, 8, 8, 3)).astype(np.float32)
        np.savez(raw / f"{number % 3}{number}.npz", u=u)
        if number == 3:
            convert(raw, place, **OPTIONS)
            old = content(open_store(place))
    put = UploadFolder.save_manifest

    def ends(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(UploadFolder, "save_manifest", ends)
    with pytest.raises(KeyboardInterrupt):
        convert(raw, place, **OPTIONS)
    assert content(open_store(place))[MANIFEST] == old[MANIFEST]
    monkeypatch.setattr(UploadFolder, "save_manifest", put)
    convert(raw, place, **OPTIONS)
    new = content(open_store(place))
    shards = {key: data for key, data in old.items() if ".zarr/" in key}
    assert shards
    assert shards.items() < new.items()
    assert not [key for key in new if key.startswith(".conversion")]
    assert left_behind(tmp_path) == []
    assert verify_dataset(place) == []
