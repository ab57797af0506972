"""Files that lie on the disk: the disk delivers what is used and hardly more, and the batches are the same."""

import gc
import os
import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest

from tests.store.reading import digests
from ups_data import QueryLoader, QuerySampling, ShardWriter
from ups_data import _native as built
from ups_data.engine.blocks import Pass
from ups_data.engine.threads import Threads
from ups_data.store.kernel import advice
from ups_data.store.kernel.counts import thread_reads
from ups_data.store.kernel.warmth import QUIET_BLOCKS, Warmth
from ups_data.store.local import LocalStore

SAMPLING = QuerySampling(num_queries=4096, mode="blocks")
FEW = {"sampling": SAMPLING, "inputs": SAMPLING, "input_queries": False, "batch_size": 1, "horizon": 0}
POINTS = 1 << 18


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    """Two clouds in blocks of 48 and 64 KB, 14 MB."""
    root, rng = tmp_path_factory.mktemp("cold") / "d", np.random.default_rng(0)
    with ShardWriter(root, blocks=64) as writer:
        for _ in range(2):
            u = rng.standard_normal((1, POINTS, 4), dtype=np.float32)
            writer.add({"u": u}, coords=rng.random((POINTS, 3), dtype=np.float32))
    return root


def drop(root):
    """Have the kernel forget the files, as far as it does: on a file system in memory it does not."""
    for path in root.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fdatasync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.fixture
def cold(clouds):
    gc.collect()  # what is mapped is not forgotten
    if built.native is None:
        pytest.skip("files are not mapped")
    path = next(p for p in clouds.rglob("c/0/0/0") if "fields" in str(p))
    drop(clouds)
    before = thread_reads()
    with open(path, "rb", buffering=0) as file:
        file.read(1 << 20)
    if thread_reads() == before:
        pytest.skip("the files are in memory, wherever they are")
    drop(clouds)
    return clouds


def test_the_disk_delivers_what_is_used_and_hardly_more(cold):
    # Threads would have begun the next passes too.
    loader = QueryLoader(cold, split="train", repeats=8, threads=0, **FEW)
    for _ in loader:
        pass
    stats = loader.stats
    assert stats.used_bytes > 2_000_000
    # Whole pages, indexes, and what is asked for ahead; a map that reads ahead by itself takes several times as much.
    assert 0.5 * stats.used_bytes < stats.fetched_bytes < 1.2 * stats.used_bytes + 200_000


def test_a_map_without_advice_reads_far_more(cold):
    """So the test above can fail."""
    store = LocalStore(cold)
    (key,) = [key for key, _ in store.list("") if key.endswith("fields/u/c/0/0/0")]
    opened, before = store.open(key, None), thread_reads()
    for start in range(1 << 20, 4 << 20, 1 << 20):
        bytes(store.get_ranges([(opened, np.array([start]), np.array([start + 100]))]).body(0))
    assert thread_reads() - before > 3 * 16 * 4096


def test_batches_are_the_same_from_the_disk_and_from_memory(cold):
    options = {**FEW, "inputs": None}
    expected = digests(cold, **options)
    for more in ({"threads": 0}, {"threads": 2}):
        drop(cold)
        assert digests(cold, **options, **more) == expected


def test_files_in_memory_are_soon_taken_for_such(clouds):
    loader = QueryLoader(clouds, split="train", threads=0, repeats=32, **FEW)
    for _ in range(2):
        for _ in loader:
            pass
    before = loader.stats.fetched_bytes
    for _ in loader:
        pass
    assert loader.stats.fetched_bytes == before


def test_warmth_is_learnt_from_what_the_disk_delivers():
    warmth = Warmth()
    for _ in range(QUIET_BLOCKS - 1):
        warmth.delivered(0)
    assert warmth.cold
    warmth.delivered(4096)
    for _ in range(QUIET_BLOCKS):
        assert warmth.cold
        warmth.delivered(0)
    assert not warmth.cold
    warmth.delivered(4096)
    assert warmth.cold


def test_blocks_are_prepared_as_soon_as_the_disk_is_seen_to_deliver(clouds, monkeypatch):
    """In the middle of a first pass, before which nobody knows."""
    if built.native is None:
        pytest.skip("files are not mapped")
    asked, prepared, prepare = [], [], Pass.prepare

    def counted(self, *block):
        prepared.append(block[0])
        return prepare(self, *block)

    monkeypatch.setattr(Pass, "prepare", counted)
    monkeypatch.setattr(LocalStore, "looks_ahead", property(lambda store: asked.append(0) or len(asked) > 3))
    loader = QueryLoader(clouds, split="train", threads=2, repeats=40, **FEW)
    assert sum(len(batch) for batch in loader) == 80
    assert prepared


@pytest.mark.parametrize("at_once", [True, False])
def test_advice_has_whole_pages_in_pieces_that_the_kernel_reads(cold, monkeypatch, at_once):
    """Of a range of any length every page, whether the kernel takes many pieces in a call or not."""
    if not at_once:
        monkeypatch.setattr(advice, "_advised_at_once", lambda pieces: False)
    store = LocalStore(cold, advised=True)
    (key,) = [key for key, _ in store.list("") if key.endswith("fields/u/c/0/0/0")]
    opened, before = store.open(key, None), thread_reads()
    store.ahead([(opened, np.array([5000, 2_000_001]), np.array([5001, 3_000_000]))])
    wanted = 4096 + (3_000_000 + 4095) // 4096 * 4096 - 2_000_001 // 4096 * 4096
    assert thread_reads() - before == wanted


def test_urgent_tasks_go_first_and_an_end_leaves_nobody_waiting():
    threads, order, gate = Threads(1), [], threading.Event()
    threads.submit(gate.wait)
    late = [threads.submit(order.append, "late") for _ in range(2)]
    threads.submit(order.append, "urgent", urgent=True)
    gate.set()
    for future in late:
        future.result(60)
    assert order == ["urgent", "late", "late"]
    gate.clear()
    threads.submit(gate.wait)
    left = threads.submit(order.append, "never", urgent=True)
    threads.abandon()
    gate.set()
    with pytest.raises(CancelledError):
        left.result(60)
    assert "never" not in order
