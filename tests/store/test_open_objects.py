"""Objects that are cut, overwritten or replaced while they are open; the signal of a cut map, and the fallback."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.datasets import write_grid
from tests.writing.arrays import shards_of
from ups_data import QueryDataset, QueryLoader, QuerySampling, UpsDataError, query_collate
from ups_data import _native as native
from ups_data.writing import layout

needs_native = pytest.mark.skipif(native.native is None, reason="the native module was not built")


@pytest.fixture(params=["native", "numpy"])
def way(request, monkeypatch):
    if request.param == "numpy":
        monkeypatch.setattr(native, "native", None)
    elif native.native is None:
        pytest.skip("the native module was not built")


@pytest.fixture(params=["none", "lz4"])
def root(tmp_path, monkeypatch, request, way):
    monkeypatch.setattr(layout, "CHUNK_BYTES", 960)  # a frame to a chunk
    write_grid(tmp_path / "d", codec=request.param, steps=(40, 40))
    return tmp_path / "d"


def objects(root):
    return sorted((root / "train").glob("*/fields/u/c/*/*/*/*"))


def cut_by_a_byte(path):
    os.truncate(path, path.stat().st_size - 1)  # no page is gone: reading it raises no signal


def overwrite(path):
    with open(path, "r+b") as file:
        file.write(b"\1" * 100)


def replace(path):
    path.with_name("aside").write_bytes(path.read_bytes())
    path.with_name("aside").rename(path)


CHANGES = [cut_by_a_byte, overwrite, replace, os.remove, lambda path: os.truncate(path, 0)]
SAYS = r"field 'u', rows 0 to \d+: .*|field 'u'.*again"


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("options", [{"threads": 0}, {"threads": 2, "pool_bytes": 1}])
def test_no_batch_is_made_of_it(root, change, options):
    loader = QueryLoader(
        root, split="train", batch_size=4, sampling=QuerySampling(ratio=0.2), prefetch=1, shuffle=False, **options
    )
    batches = iter(loader)
    next(batches)
    for path in objects(root):
        change(path)
    with pytest.raises(UpsDataError, match=SAYS) as error:
        list(batches)
    assert "\n" not in str(error.value)
    assert "again" in str(error.value)


@pytest.mark.parametrize("change", CHANGES)
def test_a_pipeline_s_samples_neither(root, change):
    samples = iter(QueryDataset(root, split="train", batch_size=4, sampling=QuerySampling(ratio=0.2), pool_bytes=1))
    query_collate([next(samples)])
    waiting = [next(samples), next(samples)]
    for path in objects(root):
        change(path)
    with pytest.raises(UpsDataError, match=SAYS):
        query_collate(waiting)


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_a_worker_process_s_object_is_cut(tmp_path, monkeypatch, codec):
    """An error in the training process, soon: no worker that a signal ends, none that is waited for."""
    monkeypatch.setattr(layout, "CHUNK_BYTES", 960)
    write_grid(tmp_path / "d", codec=codec, steps=(200, 200))
    loader = QueryLoader(
        tmp_path / "d", split="train", batch_size=4, sampling=QuerySampling(ratio=0.2), num_workers=1, prefetch=1
    )
    batches = iter(loader)
    next(batches)
    for path in objects(tmp_path / "d"):
        os.truncate(path, path.stat().st_size // 2)
    begun = time.monotonic()
    with pytest.raises(UpsDataError, match=SAYS) as error:
        list(batches)
    assert "\n" not in str(error.value)
    assert time.monotonic() - begun < 10


def test_both_ways_read_the_same(tmp_path, monkeypatch):
    write_grid(tmp_path / "d", codec="none")
    (shard,) = shards_of(tmp_path / "d")
    mapped = shard.field("u").chunk(0)
    monkeypatch.setattr(native, "native", None)
    (shard,) = shards_of(tmp_path / "d")
    array = shard.field("u")
    assert not array.mapped
    np.testing.assert_array_equal(array.chunk(0), mapped)


PROGRAM = """
import faulthandler, mmap, os, sys
import numpy as np
from ups_data import _native as native

path, order = sys.argv[1:]
if order == "before":
    faulthandler.enable()
with open(path, "wb") as file:
    file.write(b"a" * 65536)
with open(path, "rb") as file:
    ours, theirs = native.native.Map(file.fileno(), 65536), mmap.mmap(file.fileno(), 65536, access=mmap.ACCESS_READ)
if order == "after":
    faulthandler.enable()
os.truncate(path, 4096)
data = np.frombuffer(ours, np.uint8)
assert ours.faults == 0
assert (data[0], data[5000], data[9000], data[9001]) == (97, 0, 0, 0)
assert ours.faults == 2
print("alive", flush=True)
if order == "again":
    faulthandler.enable()
    with open(path, "rb") as file:
        native.native.Map(file.fileno(), 4096)  # in front once more
theirs[5000]
"""


@needs_native
@pytest.mark.parametrize("order", ["without", "before", "after", "again"])
def test_the_faults_of_others_end_the_process_as_ever(tmp_path, order):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "file", order], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "alive\n"
    assert done.returncode == -signal.SIGBUS
    assert ("Bus error" in done.stderr) == (order != "without")


@pytest.mark.parametrize("verify", ["first", "always", "never"])
def test_when_chunks_are_checked(root, verify):
    """A bit that is flipped before the file is opened, and one after a chunk was used."""

    def batches(**options):
        options = {"drop_last": False, "verify": verify, **options}
        return QueryLoader(root, split="train", batch_size=4, sampling=QuerySampling(), **options)

    loader, (path,) = batches(threads=0, pool_bytes=1), objects(root)
    list(loader)
    seen = path.stat()
    with open(path, "r+b") as file:
        file.seek(40)
        file.write(b"\1\2\3")
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))  # damage of the disk: no write is seen
    damaged = pytest.raises(UpsDataError, match="rows 0 to 0: the stored bytes are damaged")
    compressed = path.stat().st_size < 80 * 964
    if verify == "always":
        with damaged:
            list(loader)
    elif not compressed:
        list(loader)
    if verify != "never":
        with damaged:
            list(batches())
    elif not compressed:
        list(batches())
    with pytest.raises(UpsDataError, match="verify='often': choose one of first, always, never"):
        QueryLoader(root, split="train", batch_size=4, sampling=QuerySampling(), verify="often")
