"""The stores of the package keep the contract of all stores."""

import os
import pickle
import time

import numpy as np
import pytest

from tests.processes import make_device, seconds
from tests.store.contract import OBJECTS, A, StoreContract, wanted
from ups_data import _native as built
from ups_data.errors import StoreError
from ups_data.store.local import LocalStore
from ups_data.store.memory import MemoryStore
from ups_data.store.root import open_store


def in_folder(objects, folder):
    for key, data in objects.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)
    return LocalStore(folder)


class TestLocalStore(StoreContract):
    def filled(self, objects, folder):
        return in_folder(objects, folder)

    def test_it_is_mapped_where_the_native_module_is_there(self, store):
        assert store.zero_copy == (built.native is not None)


class TestLocalStoreWithoutTheNativeModule(StoreContract):
    @pytest.fixture(autouse=True)
    def _numpy(self, monkeypatch):
        monkeypatch.setattr(built, "native", None)

    def filled(self, objects, folder):
        return in_folder(objects, folder)


class TestMemoryStore(StoreContract):
    def filled(self, objects, folder):
        return MemoryStore(objects)


class TestSlowMemoryStore(StoreContract):
    def filled(self, objects, folder):
        return MemoryStore(objects, latency=0.002)

    def test_a_call_waits_once_for_all_its_ranges(self):
        store = MemoryStore(OBJECTS, latency=0.2)
        begun = time.monotonic()
        store.get_ranges([wanted(store, A, [(n, n + 1) for n in range(100)])])
        assert 0.2 <= time.monotonic() - begun < 20  # not 100 times
        assert pickle.loads(pickle.dumps(store)).latency == 0.2


def test_a_root_is_a_folder_or_a_store(tmp_path):
    store = MemoryStore()
    assert open_store(store) is store
    assert str(open_store(tmp_path)) == str(open_store(str(tmp_path))) == str(tmp_path)


@pytest.mark.parametrize("native", [True, False])
def test_a_file_that_changes_is_noticed(tmp_path, monkeypatch, native):
    if not native:
        monkeypatch.setattr(built, "native", None)
    store = in_folder(OBJECTS, tmp_path)
    opened = store.open(A, None)
    (tmp_path / A).write_bytes(bytes(len(OBJECTS[A])))
    os.utime(tmp_path / A, ns=(1, 1))
    with pytest.raises(StoreError, match="was cut, overwritten, replaced or removed"):
        opened.check_unchanged()


def test_links_may_not_leave_the_folder(tmp_path):
    (tmp_path / "d").mkdir()
    store = in_folder(OBJECTS, tmp_path / "d")
    (tmp_path / "elsewhere").write_bytes(b"secret")
    (tmp_path / "d/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "d/inside").symlink_to(tmp_path / "d" / A)
    for read in (lambda: store.get("link", 10), lambda: store.open("link", 6), lambda: store.put("link", b"x")):
        with pytest.raises(StoreError, match="is a link that leaves the dataset"):
            read()
    assert (tmp_path / "elsewhere").read_bytes() == b"secret"
    assert store.get("inside", 10**5) == OBJECTS[A]


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_only_regular_files_are_read(tmp_path, kind):
    store = LocalStore(tmp_path)
    if kind == "fifo":
        os.mkfifo(tmp_path / "object")
    else:
        make_device(tmp_path / "object")
    for read in (lambda: store.get("object", 10), lambda: store.open("object", 10), lambda: store.open("object", None)):
        with seconds(20), pytest.raises(StoreError, match="cannot be read .it is not a regular file.") as error:
            read()
        assert str(tmp_path / "object") in str(error.value)
    assert dict(store.list("")) == {"object": 0}


def test_a_range_is_read_that_is_longer_than_one_call_may_return(tmp_path, monkeypatch):
    """A short read of the system is no damage."""
    monkeypatch.setattr(built, "native", None)
    store = in_folder(OBJECTS, tmp_path)
    found = store.get_ranges([wanted(store, A, [(1, 10_000)])])
    assert np.array_equal(np.frombuffer(found.body(0), np.uint8), np.frombuffer(OBJECTS[A][1:10_000], np.uint8))
