"""What any store must do. Whoever writes one subclasses `StoreContract` in a test file of their own:

    class TestMyStore(StoreContract):
        def filled(self, objects, folder):
            return MyStore(objects)

pytest collects the tests with the subclass. They say what `ObjectStore` promises, on objects and on whole datasets.
"""

import os
import pickle
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests import warm
from tests.store.reading import contents, digests, write_blocks
from ups_data import UpsDataError
from ups_data.errors import MissingObjectError, StoreError
from ups_data.store.object_store import ObjectStore, Wanted
from ups_data.store.verify import verify_dataset

OBJECTS = {
    "dataset.json": b"{}",
    "train/a.zarr/c/0/0": bytes(range(256)) * 40,
    "train/a.zarr/c/1/0": bytes(reversed(range(256))) * 40,
    "train/a.zarr.more/c": b"beside",
    "train/with a space/ü": b"odd",
}
A, B = "train/a.zarr/c/0/0", "train/a.zarr/c/1/0"


class StoreContract:
    """Tests that every store passes."""

    def filled(self, objects: Mapping[str, bytes], folder: Path) -> ObjectStore:
        """A store that holds those objects; `folder` is an empty one that it may use."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        (tmp_path / "store").mkdir()
        return self.filled(OBJECTS, tmp_path / "store")

    def test_an_object_is_read_whole(self, store):
        for key, data in OBJECTS.items():
            found = store.get(key, len(data))
            assert isinstance(found, bytes)
            assert found == data
        assert store.get(A, 10**9) == OBJECTS[A]

    def test_a_longer_object_than_the_limit_is_refused(self, store):
        with pytest.raises(StoreError, match="longer than 100 bytes") as error:
            store.get(A, 100)
        named(error, store, A)

    def test_a_missing_object_is_named(self, store):
        for key in ("train/a.zarr/c/2/0", "train/a.zarr/c", "train"):
            with pytest.raises(StoreError) as error:
                store.get(key, 100)
            named(error, store, key)
        with pytest.raises(MissingObjectError) as error:
            store.get("train/a.zarr/c/2/0", 100)
        with pytest.raises(StoreError) as error:
            store.get_ranges([wanted(store, "train/a.zarr/c/2/0", [(0, 10)], 100)])
        named(error, store, "train/a.zarr/c/2/0")

    @pytest.mark.parametrize("known", [True, False])
    def test_ranges_come_in_the_order_in_which_they_were_asked_for(self, store, known):
        of_a, of_b = [(500, 900), (0, 1), (10_239, 10_240), (500, 900)], [(0, 10_240), (100, 600)]
        found = store.get_ranges(
            [
                wanted(store, A, of_a, len(OBJECTS[A]) if known else None),
                wanted(store, B, of_b, len(OBJECTS[B]) if known else None),
                wanted(store, A, [(7, 8)], len(OBJECTS[A]) if known else None),
            ]
        )
        expected = [*(OBJECTS[A][i:j] for i, j in of_a), *(OBJECTS[B][i:j] for i, j in of_b), OBJECTS[A][7:8]]
        assert len(found) == len(expected)
        assert [bytes(found.body(number)) for number in range(len(found))] == expected
        for column in (found.buffer, found.offset, found.length):
            assert column.dtype == np.int64
            assert column.shape == (len(expected),)
        for buffer in found.buffers:
            assert np.frombuffer(buffer, np.uint8).nbytes == memoryview(buffer).nbytes

    def test_nothing_is_asked_for(self, store):
        assert len(store.get_ranges([])) == 0
        some = store.get_ranges([wanted(store, A, []), wanted(store, B, [(3, 5)])])
        assert [bytes(some.body(n)) for n in range(len(some))] == [OBJECTS[B][3:5]]

    def test_the_size_is_the_one_that_is_known(self, store):
        for key, data in OBJECTS.items():
            assert store.open(key, None).size == store.open(key, len(data)).size == len(data)
            assert store.open(key, len(data)).key == key
        with pytest.raises(MissingObjectError):
            store.open("train/a.zarr/c/2/0", None)

    def test_an_object_that_is_too_short_is_an_error_that_names_it(self, store):
        """Never fewer bytes than were asked for."""
        size = len(OBJECTS[A])
        for start, stop in ((size - 10, size + 10), (size, size + 4), (size + 50, size + 60)):
            with pytest.raises(StoreError, match="damaged|cannot be read") as error:
                store.get_ranges([wanted(store, A, [(0, 4), (start, stop)], size + 100)])
            named(error, store, A)

    def test_memory_costs_nothing_to_keep_where_the_store_says_so(self, store):
        opened = store.open(A, len(OBJECTS[A]))
        assert (opened.data is not None) == store.zero_copy
        if opened.data is not None:
            assert bytes(opened.data) == OBJECTS[A]
            assert opened.data.readonly
        first, again = (store.get_ranges([wanted(store, A, [(100, 200)])]) for _ in range(2))
        if store.zero_copy:
            opened = store.open(A, len(OBJECTS[A]))
            found = store.get_ranges([(opened, np.array([100]), np.array([200]))])
            assert np.shares_memory(np.frombuffer(found.body(0), np.uint8), np.frombuffer(opened.data, np.uint8))
        assert bytes(first.body(0)) == bytes(again.body(0)) == OBJECTS[A][100:200]

    def test_an_object_that_nobody_changed_is_unchanged(self, store):
        opened = store.open(A, len(OBJECTS[A]))
        store.get_ranges([(opened, np.array([0]), np.array([10]))])
        opened.check_unchanged()

    @pytest.mark.parametrize(
        "key", ["", "../x", "train/../../x", "/etc/hostname", "train//a", "./dataset.json", "a\0b"]
    )
    def test_no_key_leaves_the_store(self, store, key):
        for read in (lambda: store.get(key, 10), lambda: store.open(key, 10), lambda: store.open(key, None)):
            with pytest.raises(StoreError, match="is no key"):
                read()

    def test_objects_are_named_so_that_people_find_them(self, store):
        assert store.name(A).endswith(A)
        assert store.name(A).startswith(str(store))
        assert "\n" not in store.name(A)

    def test_what_is_put_is_read(self, store):
        try:
            store.put("new/object", b"12345")
        except StoreError as error:
            assert "can only be read" in str(error)  # noqa: PT017, that is one of two ways
            return
        assert store.get("new/object", 5) == b"12345"
        store.put("new/object", b"abc")
        assert store.get("new/object", 5) == b"abc"

    def test_a_list_has_every_object_below_a_prefix(self, store):
        try:
            found = dict(store.list(""))
        except StoreError as error:
            assert "cannot be listed" in str(error)  # noqa: PT017, that is one of two ways
            return
        assert found == {key: len(data) for key, data in OBJECTS.items()}
        assert dict(store.list("train/a.zarr")) == {key: len(OBJECTS[key]) for key in (A, B)}
        assert dict(store.list("nowhere")) == {}

    def test_a_file_is_the_object_it_is_said_to_be(self, store):
        path = store.local_path(A)
        assert path is None or path.read_bytes() == OBJECTS[A]

    def test_threads_share_it(self, store):
        def read(number: int) -> bytes:
            key = (A, B)[number % 2]
            return bytes(store.get_ranges([wanted(store, key, [(number, number + 100)])]).body(0)) + store.get(
                key, 10**5
            )

        with ThreadPoolExecutor(4) as executor:
            for number, data in enumerate(executor.map(read, range(64))):
                whole = OBJECTS[(A, B)[number % 2]]
                assert data == whole[number : number + 100] + whole

    def test_another_process_reads_it_too(self, store, tmp_path):
        """As a worker process that is started afresh gets it."""
        (tmp_path / "pickled").write_bytes(pickle.dumps(store))
        program = (
            f"import pickle; s = pickle.load(open({str(tmp_path / 'pickled')!r}, 'rb')); print(s.get({A!r}, 10**5))"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = warm.run(["-c", program], env=environment)
        assert done.stdout.strip() == repr(OBJECTS[A]), done.stderr

    @pytest.mark.parametrize("codec", ["none", "lz4"])
    def test_a_loader_reads_a_dataset_from_it(self, tmp_path, codec):
        write_blocks(tmp_path / "d", codec=codec)
        (tmp_path / "store").mkdir()
        store = self.filled(contents(tmp_path / "d"), tmp_path / "store")
        for threads in (0, 2):
            assert digests(store, threads=threads) == digests(tmp_path / "d", threads=threads)

    def test_what_is_damaged_in_it_is_found(self, tmp_path):
        write_blocks(tmp_path / "d", codec="lz4")
        objects = contents(tmp_path / "d")
        (key,) = [key for key in objects if "fields/u/c/" in key]
        data = bytearray(objects[key])
        data[len(data) // 3] ^= 1
        (tmp_path / "store").mkdir()
        store = self.filled({**objects, key: bytes(data)}, tmp_path / "store")
        with pytest.raises(UpsDataError, match="field 'u', rows .* damaged") as error:
            digests(store)
        assert str(store) in str(error.value)
        try:
            next(store.list(""))
        except StoreError:
            return
        found = [d.reason for d in verify_dataset(store)]
        assert found[0] == f"{key.partition('.zarr/')[2]}: its bytes are not those that were written"


def wanted(store: ObjectStore, key: str, ranges: list[tuple[int, int]], size: int | None = None) -> Wanted:
    """Ranges of an object that is opened for them."""
    start, stop = np.array(ranges, np.int64).reshape(-1, 2).T
    return store.open(key, len(OBJECTS[key]) if size is None and key in OBJECTS else size), start, stop


def named(error: pytest.ExceptionInfo, store: ObjectStore, key: str) -> None:
    """One line that names the object."""
    assert store.name(key) in str(error.value)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, UpsDataError)
