"""What a loader leaves behind: nothing, after an epoch, after many, or when it is abandoned."""

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.datasets import write_grid
from tests.store.serving import RangeServer
from ups_data import QueryDataset, QueryLoader, QuerySampling, UpsDataError
from ups_data.engine import threads as engine_threads
from ups_data.loader.drawing import BLOCKS_OF_POOL
from ups_data.reading.pool import Pool
from ups_data.schema import Manifest

SAMPLING = QuerySampling(ratio=0.1, mode="stratified")


def loader(root, **options):
    return QueryLoader(root, **{"split": "train", "batch_size": 4, "sampling": SAMPLING, **options})


def held():
    """Resident bytes, threads and file descriptors of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), threading.active_count(), len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("epochs", [20, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_epochs_leave_nothing_behind(tmp_path, epochs, codec):
    write_grid(tmp_path / "d", grid=(64, 64), steps=(9,) * 8, codec=codec, shard_bytes=200_000)
    # The pool holds a third of the data, so that chunks come and go.
    source = loader(tmp_path / "d", threads=2, pool_bytes=800_000)
    counts = []
    for _ in range(epochs):
        for _ in source:
            pass
        counts.append(held())
    (memory, threads, files), (later_memory, later_threads, later_files) = counts[9], counts[-1]
    print(f"{codec}: after 10 epochs {memory / 1e6:.1f} MB, after {epochs} {later_memory / 1e6:.1f} MB")
    assert (later_threads, later_files) == (threads, files)
    assert later_memory - memory < 2e6


PEAK = """
import sys
from pathlib import Path
from ups_data import QueryLoader, QuerySampling
loader = QueryLoader(sys.argv[1], split="train", batch_size=4, sampling=QuerySampling(ratio=0.1, mode="stratified"),
                     threads=2, pool_bytes=int(sys.argv[2]))
own = lambda: sum(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines()
                  if line.startswith(("RssAnon", "RssShmem"))) * 1024
before = peak = own()
for _ in range(2):
    for batch in loader:
        peak = max(peak, own())
print(before, peak)
"""


@pytest.mark.parametrize("most", [4, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_memory_does_not_grow_with_the_dataset(tmp_path, codec, most):
    """Peak memory over 1× and 4× or 8× the data (8 MB) differs by less than 10 %, and stays within the pool and the
    batches."""
    pool, peaks = 8_000_000, []
    for times in (1, most):
        root = tmp_path / str(times)
        write_grid(root, grid=(64, 64), steps=(21,) * 12 * times, codec=codec, shard_bytes=2_000_000)
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(root), str(pool)], capture_output=True, text=True, check=True
        )
        before, peak = map(int, done.stdout.split())
        peaks.append(peak)
        print(f"{codec}, {times}×: {before / 1e6:.1f} MB before, {peak / 1e6:.1f} MB at most")
        blocks = 4 * pool / BLOCKS_OF_POOL  # two at work, one ready, one being handed out
        assert peak - before < pool + blocks + 8_000_000  # modules that are imported late
    assert abs(peaks[1] - peaks[0]) < 0.1 * peaks[0]


def test_the_first_batch_opens_only_the_shards_that_it_needs(tmp_path):
    write_grid(tmp_path / "d", grid=(8, 8), steps=(4,) * 60, shard_bytes=1)
    source = loader(tmp_path / "d", threads=0)
    assert len(Manifest.load(tmp_path / "d").split("train").shards) == 60
    next(iter(source))
    opened = [shard for shard in source._source.readers[0].shards if shard._arrays]
    assert 0 < len(opened) <= 4  # a batch of four samples


def test_worker_processes_tell_where_their_time_went(tmp_path):
    write_grid(tmp_path / "d", grid=(64, 64), steps=(9,) * 8, codec="lz4")
    source = loader(tmp_path / "d", num_workers=2)
    batches = sum(1 for _ in source)
    stats = source.stats
    chunks = 8  # frames of 32 KB, a trajectory of 9 in a chunk
    assert stats.batches == batches
    assert chunks <= stats.decoded_chunks <= 2 * chunks  # each worker has a pool of its own
    assert min(stats.decode_seconds, stats.draw_seconds, stats.assemble_seconds, stats.wait_seconds) > 0


@pytest.mark.parametrize("method", ["fork", "thread"])
def test_forced_fork_is_refused(tmp_path, method):
    write_grid(tmp_path / "d")
    with pytest.raises(UpsDataError, match="forkserver"):
        loader(tmp_path / "d", num_workers=1, multiprocessing_context=method)


def _stream(source, pipe):
    try:
        next(iter(source))
        pipe.send("streamed")
    except UpsDataError as error:
        pipe.send(str(error))


@pytest.mark.parametrize("kind", [QueryLoader, QueryDataset])
def test_a_fork_of_the_users_own_is_noticed(tmp_path, kind):
    write_grid(tmp_path / "d")
    source = kind(tmp_path / "d", split="train", batch_size=4, sampling=SAMPLING)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_stream, args=(source, theirs))
    child.start()
    assert ours.poll(20)
    assert "forked" in ours.recv()
    child.join(20)
    assert child.exitcode == 0


def test_no_thread_waits_for_a_chunk_that_another_gave_up(tmp_path, monkeypatch):
    """What fails outside of any chunk, as memory does, is an error in every thread that wanted the chunk, at once."""
    write_grid(tmp_path / "d", codec="lz4")

    def fails(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(Pool, "_memory", fails)
    with pytest.raises(MemoryError, match="no room"):
        list(loader(tmp_path / "d", threads=2, timeout=20))


def test_nothing_waits_for_room_ahead_when_the_process_ends(tmp_path, caplog):
    """After an epoch the next one is fetched ahead, as far as there is room; nobody ever takes it."""
    write_grid(tmp_path / "d", grid=(16, 16), steps=(65,) * 8, codec="none")
    before = set(engine_threads._at_work)
    with RangeServer(tmp_path / "d") as server:
        source = loader(server.url, threads=1, prefetch_bytes=4000, pool_bytes=0)
        assert len(list(source)) == len(source)
        begun = set(engine_threads._at_work) - before
        assert len(begun) > 1
        for threads in begun:  # as when the interpreter ends
            threads.end(5.0)
    assert "still wait" not in caplog.text
