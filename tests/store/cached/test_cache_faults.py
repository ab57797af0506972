"""What can go wrong with a cache's disk and files: right batches or a clear error, and nothing wrong is left behind."""

import errno
import itertools
import os
import shutil
import threading
import time

import numpy as np
import pytest

from tests.store.cached.logged import LoggedStore, asked, disk_bytes, fill, lines
from tests.store.reading import digests, write_blocks
from ups_data import QueryLoader, QuerySampling, UpsDataError
from ups_data.store.cached import locks
from ups_data.store.cached.ledger import Ledger
from ups_data.store.cached.mirror import ABSENT, FILLING, LEAVING, PRESENT, Mirror
from ups_data.store.cached.store import CachedStore

ROOM = 10**8
OPTIONS = {"split": "train", "batch_size": 4, "sampling": QuerySampling(ratio=0.25)}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("cached") / "d"
    write_blocks(root)
    return root


@pytest.fixture(scope="module")
def expected(dataset):
    return digests(dataset)


def cached(dataset, folder, bound=ROOM, log="log"):
    return CachedStore(LoggedStore(dataset, folder / log), folder / "cache", bound)


@pytest.mark.parametrize("writes", [0, 1, 7, 20])
def test_a_full_disk_takes_no_more_and_the_batches_are_right(dataset, expected, tmp_path, monkeypatch, writes):
    left, write = itertools.count(), Mirror.write

    def full(self, number, data):
        if next(left) >= writes:
            write(self, number, data[: len(data) // 2])  # a part of it is written
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, number, data)

    monkeypatch.setattr(Mirror, "write", full)
    assert digests(cached(dataset, tmp_path), threads=2) == expected
    ledger, until = Ledger(tmp_path / "cache"), time.monotonic() + 60
    while any((m.states() == FILLING).any() for m in ledger.mirrors()):  # threads that fill ahead of an early pass
        assert time.monotonic() < until
    assert sum(int((m.states() == PRESENT).sum()) for m in ledger.mirrors()) == writes
    monkeypatch.undo()
    assert digests(cached(dataset, tmp_path, log="again")) == expected


@pytest.mark.parametrize("what", ["cut the data", "cut the map", "remove", "mark all", "flip"])
def test_files_that_are_spoilt_while_they_are_mapped(dataset, expected, tmp_path, what):
    store = cached(dataset, tmp_path)
    digests(store, epochs=1)  # so that not all of it is there
    mirrors = sorted((tmp_path / "cache").rglob("*.data"))
    opened = QueryLoader(store, threads=0, pool_bytes=0, **OPTIONS)
    next(iter(opened))
    if what == "remove":
        shutil.rmtree(tmp_path / "cache")
    for path in mirrors if what != "remove" else ():
        target = path.with_suffix(".map") if "map" in what or "mark" in what else path
        size = target.stat().st_size
        if "cut" in what:
            os.truncate(target, size // 3)
        else:
            count = len(Mirror(path).layout)
            with open(target, "r+b") as file:
                file.seek(0 if what == "flip" else 80)  # behind the head of a map
                file.write(bytes([1] * (count if what == "mark all" else size)))
    if what == "cut the data":
        with pytest.raises(UpsDataError, match=f"{tmp_path / 'cache'}.* was cut .*ups-data cache"):
            list(opened)
    else:
        assert len(list(opened)) == len(opened)
    assert digests(store, threads=0, pool_bytes=0) == expected
    for number in range(2):
        assert digests(cached(dataset, tmp_path, log=f"later{number}")) == expected


def test_an_abandoned_claim_is_taken_over(dataset, expected, tmp_path):
    """A killed process leaves a chunk marked as being filled, half of its bytes written, and no lock."""
    fill(cached(dataset, tmp_path))
    for mirror in [Mirror(path) for path in (tmp_path / "cache").rglob("*.data")]:
        mirror.write(0, memoryview(b"half"))
        with mirror.changing() as changes:
            changes.mark([0], FILLING)
    store = cached(dataset, tmp_path, log="again")
    assert digests(store) == expected
    assert set(asked(tmp_path / "again").values()) == {1}
    assert all(set(m.states().tolist()) <= {ABSENT, PRESENT} for m in store._ledger.mirrors())


def test_what_a_killed_process_was_taking_out_is_taken_out(dataset, expected, tmp_path):
    fill(cached(dataset, tmp_path))
    for mirror in Ledger(tmp_path / "cache").mirrors():
        with mirror.changing() as changes:
            changes.mark(np.flatnonzero(changes.states() == PRESENT), LEAVING)
    assert fill(cached(dataset, tmp_path)) == expected  # read past the cache
    store = cached(dataset, tmp_path, 40_000)
    assert digests(store) == expected
    assert disk_bytes(tmp_path / "cache") <= store._ledger.used <= 40_000


def test_a_claim_that_is_held_is_waited_for(dataset, expected, tmp_path):
    fill(cached(dataset, tmp_path))
    mirror = max(Ledger(tmp_path / "cache").mirrors(), key=lambda m: m.layout.size)
    data = mirror.read(0)
    with mirror.changing() as changes:
        assert changes.claim(0)
        changes.mark([0], FILLING)
        found = []
        store = cached(dataset, tmp_path, log="again")
        reader = threading.Thread(target=lambda: found.append(digests(store)))
        reader.start()
        reader.join(0.3)
        assert reader.is_alive()
        mirror.write(0, memoryview(data))
        changes.mark([0], PRESENT)
        changes.give_back(0)
    reader.join(60)
    assert found == [expected]
    assert not lines(tmp_path / "again")


def test_two_runs_with_different_bounds_keep_the_one_of_each(dataset, expected, tmp_path):
    large, small = cached(dataset, tmp_path), cached(dataset, tmp_path, 40_000)
    assert fill(large) == expected
    assert large._ledger.used > 40_000
    assert digests(small, threads=2) == expected  # all is there: nothing is fetched
    other = tmp_path / "other"
    write_blocks(other, blocks=9)
    assert digests(CachedStore(LoggedStore(other, tmp_path / "o"), tmp_path / "cache", 40_000)) == digests(other)
    assert disk_bytes(tmp_path / "cache") <= large._ledger.used <= 40_000
    assert digests(large) == expected


def test_what_somebody_reads_is_not_taken_out_under_him(dataset, tmp_path):
    store = cached(dataset, tmp_path)
    fill(store)
    mirror = max(store._ledger.mirrors(), key=lambda m: m.layout.size)
    bodies, done = [mirror.read(n) for n in range(len(mirror.layout))], threading.Event()
    emptier = threading.Thread(target=lambda: (store._ledger.empty(), done.set()))
    with store._ledger.reading():
        emptier.start()
        assert not done.wait(0.3)
        assert [mirror.read(n) for n in range(len(mirror.layout))] == bodies
    emptier.join(60)
    assert disk_bytes(tmp_path / "cache") == 0
    assert store._ledger.used == 0


def test_ranks_of_a_node_fetch_each_chunk_once(dataset, tmp_path):
    """Loaders that have nothing in common but the folder; locks are of an opening of a file, not of a process."""
    loaders = [
        QueryLoader(cached(dataset, tmp_path), rank=rank, world_size=2, threads=2, **OPTIONS) for rank in range(2)
    ]
    found: dict[int, int] = {}
    threads = [
        threading.Thread(target=lambda n=n, a=a: found.update({n: sum(1 for _ in range(3) for _ in a)}))
        for n, a in enumerate(loaders)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(found) == 2
    assert set(asked(tmp_path / "log").values()) == {1}


@pytest.mark.slow
def test_four_ranks_of_two_workers_fetch_each_chunk_once(dataset, expected, tmp_path):
    loaders = [
        QueryLoader(cached(dataset, tmp_path), rank=rank, world_size=4, num_workers=2, **{**OPTIONS, "batch_size": 1})
        for rank in range(4)
    ]
    threads = [threading.Thread(target=lambda a=a: [sum(1 for _ in a) for _ in range(2)]) for a in loaders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert set(asked(tmp_path / "log").values()) == {1}
    assert digests(cached(dataset, tmp_path, log="again"), num_workers=2) == expected


def test_locks_belong_to_an_opening_of_a_file(tmp_path):
    (tmp_path / "f").write_bytes(b"")
    one, other = (os.open(tmp_path / "f", os.O_RDWR) for _ in range(2))
    assert locks.try_lock(one, 5)
    assert not locks.try_lock(other, 5)
    assert locks.try_lock(other, 6)
    assert not locks.lock(other, 5, seconds=0.01)
    os.close(one)
    assert locks.try_lock(other, 5)
    os.close(other)
