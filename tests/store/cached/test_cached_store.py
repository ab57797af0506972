"""A store with a cache before it: the contract of all stores, the same batches, each chunk fetched once."""

import os

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.store.cached.logged import LoggedStore, asked, disk_bytes, fill, lines
from tests.store.contract import StoreContract
from tests.store.reading import digests, write_blocks
from ups_data import QueryLoader, QuerySampling, ShardWriter, UpsDataError
from ups_data import _native as built
from ups_data.cli.main import app
from ups_data.store.cached.contents import contents
from ups_data.store.cached.mirror import ABSENT, DOUBTFUL, PRESENT, Mirror
from ups_data.store.cached.store import CachedStore
from ups_data.store.memory import MemoryStore

ROOM = 10**8


class TestCachedStore(StoreContract):
    def filled(self, objects, folder):
        return CachedStore(MemoryStore(objects), folder / "cache", ROOM)


class TestFullCache(StoreContract):
    """A bound smaller than a chunk: nothing is ever kept."""

    def filled(self, objects, folder):
        return CachedStore(MemoryStore(objects), folder / "cache", 100)


class TestCachedStoreWithoutTheNativeModule(StoreContract):
    @pytest.fixture(autouse=True)
    def _numpy(self, monkeypatch):
        monkeypatch.setattr(built, "native", None)

    def filled(self, objects, folder):
        return CachedStore(MemoryStore(objects), folder / "cache", ROOM)


@pytest.fixture(scope="module", params=["none", "lz4"])
def dataset(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("cached") / request.param
    write_blocks(root, codec=request.param)
    return root


@pytest.fixture(scope="module")
def expected(dataset):
    return digests(dataset)


def cached(dataset, folder, bound=ROOM, log="log"):
    return CachedStore(LoggedStore(dataset, folder / log), folder / "cache", bound)


@pytest.mark.parametrize("options", [{"threads": 0}, {"threads": 2}], ids=str)
def test_a_chunk_is_fetched_once_and_the_batches_are_the_same(dataset, expected, options, tmp_path):
    for run in range(2):  # a later run asks for nothing
        store = cached(dataset, tmp_path, log=f"log{run}")
        assert digests(store, **options) == expected
        assert lines(tmp_path / "log1") == []
    assert set(asked(tmp_path / "log0").values()) == {1}
    assert store.counts().cache_hits > 0


def test_batches_are_the_same_where_the_cache_is_too_small(dataset, expected, tmp_path):
    largest = max(size for _, size in LoggedStore(dataset, tmp_path / "log").list("train"))
    for bound in (1, 5000, 16384, 40_000):
        store = cached(dataset, tmp_path, bound)
        assert fill(store, threads=2) == expected
        assert disk_bytes(tmp_path / "cache") <= store._ledger.used <= bound
    assert bound < largest * 10


def test_an_option_and_the_environment_name_the_cache(dataset, expected, tmp_path, monkeypatch):
    remote = LoggedStore(dataset, tmp_path / "log")
    assert digests(remote, cache=str(tmp_path / "a"), cache_bytes=ROOM) == expected
    assert disk_bytes(tmp_path / "a") > 0
    monkeypatch.setenv("UPS_DATA_CACHE", str(tmp_path / "b"))
    assert digests(remote) == expected
    assert disk_bytes(tmp_path / "b") > 0
    monkeypatch.setenv("UPS_DATA_CACHE", str(tmp_path / "c"))
    assert digests(dataset) == expected  # a folder needs none
    assert not (tmp_path / "c").exists()


def test_hits_are_counted(dataset, tmp_path):
    loader = QueryLoader(
        LoggedStore(dataset, tmp_path / "log"),
        split="train",
        batch_size=4,
        sampling=QuerySampling(ratio=0.25),
        cache=tmp_path / "cache",
        threads=0,
        pool_bytes=0,
    )
    for _ in loader:
        pass
    first = loader.stats.cache_hits
    for _ in loader:
        pass
    assert loader.stats.cache_hits > first


def test_another_dataset_of_the_same_name_never_meets_what_is_kept(dataset, tmp_path):
    other = tmp_path / "other"
    with ShardWriter(other, codec=dataset.name, blocks=4) as writer:  # the same names and sizes, other values
        for number, steps in enumerate((6, 6, 9)):
            frames = np.random.default_rng(1 + number).standard_normal((steps, 16, 12, 2)).astype(np.float32)
            writer.add({"u": frames}, static={"k": frames[0, ..., :1]}, params={"nu": 0.1 * number})
    assert digests(cached(dataset, tmp_path)) != digests(other)
    assert digests(cached(other, tmp_path)) == digests(other)


def test_a_folder_that_cannot_be_used_is_an_error(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UpsDataError, match="cannot be used.*choose a folder"):
        digests(LoggedStore(dataset, tmp_path / "log"), cache=tmp_path / "file")


def chunks(folder):
    """Mirrors that hold chunks, the largest first."""
    mirrors = [Mirror(path) for path in (folder / "cache").rglob("*.data")]
    return sorted((m for m in mirrors if (m.states() == PRESENT).any()), key=lambda m: -m.layout.size)


def test_damage_in_the_cache_is_fetched_again(dataset, expected, tmp_path):
    fill(cached(dataset, tmp_path))
    for mirror in chunks(tmp_path):
        with open(mirror.path, "r+b") as file:
            file.seek(int(mirror.layout.start[0]) + 9)
            byte = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([byte ^ 1]))
    store = cached(dataset, tmp_path, log="again")
    assert digests(store) == expected
    assert sum(asked(tmp_path / "again").values()) >= 1
    assert digests(cached(dataset, tmp_path, log="third")) == expected  # what was not needed again is filled now
    assert digests(cached(dataset, tmp_path, log="fourth")) == expected
    assert not lines(tmp_path / "fourth")


@pytest.mark.parametrize("what", ["data", "map"])
@pytest.mark.parametrize("how", ["cut", "removed", "garbage"])
def test_a_file_of_the_cache_that_is_broken_before_a_start_is_made_again(dataset, expected, tmp_path, what, how):
    fill(cached(dataset, tmp_path))
    for path in (tmp_path / "cache").rglob(f"*.{what}"):
        if how == "removed":
            path.unlink()
        elif how == "cut":
            os.truncate(path, path.stat().st_size // 2)
        else:
            path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))
    for _ in range(2):
        assert fill(cached(dataset, tmp_path)) == expected
    assert disk_bytes(tmp_path / "cache") <= cached(dataset, tmp_path)._ledger.used


def test_damage_on_the_way_is_asked_for_again_and_then_an_error(dataset, expected, tmp_path):
    class Flipping(LoggedStore):
        left = 3

        def get_ranges(self, wanted):
            found = super().get_ranges(wanted)
            if self.left and len(found):
                self.left -= 1
                found.buffers[0] = bytes([found.buffers[0][0] ^ 1]) + found.buffers[0][1:]
            return found

    store = Flipping(dataset, tmp_path / "log")
    assert digests(LoggedStore(dataset, tmp_path / "log")) == expected
    store.left = 0
    assert digests(CachedStore(store, tmp_path / "cache", ROOM)) == expected
    store.left = 10**9
    with pytest.raises(UpsDataError, match="damaged"):
        digests(CachedStore(store, tmp_path / "cache2", ROOM))
    assert not chunks(tmp_path / "2")


def test_what_another_boot_has_left_is_compared_before_it_is_used(dataset, expected, tmp_path):
    """As after a power cut: the mark was written, the bytes were not."""
    fill(cached(dataset, tmp_path))
    for mirror in chunks(tmp_path):
        with open(mirror.path, "r+b") as file:
            file.write(bytes(int(mirror.layout.stop[0])))
        with open(mirror.path.with_suffix(".map"), "r+b") as file:
            file.seek(8)
            file.write(b"another boot")
        assert Mirror(mirror.path).states().max() == DOUBTFUL
    # Even if nobody else compares anything.
    assert digests(cached(dataset, tmp_path, log="again"), verify="never") == expected
    assert asked(tmp_path / "again")
    fill(cached(dataset, tmp_path))
    assert all(set(m.states().tolist()) <= {ABSENT, PRESENT} for m in chunks(tmp_path))


def test_a_cache_is_shown_checked_and_emptied(dataset, expected, tmp_path):
    fill(cached(dataset, tmp_path))
    folder = tmp_path / "cache"
    found = contents(folder, check=True)
    assert found.objects > 1
    assert found.chunks > found.objects
    assert found.chunk_bytes <= found.used
    assert (found.damaged, found.unfinished) == (0, 0)
    for mirror in chunks(tmp_path):
        mirror.write(0, memoryview(b"?"))
    damaged = contents(folder, check=True).damaged
    assert damaged == len(chunks(tmp_path))
    assert contents(folder).unfinished == damaged
    assert fill(cached(dataset, tmp_path, log="again"), verify="never") == expected  # nobody uses what was found bad
    fill(cached(dataset, tmp_path))
    done = CliRunner().invoke(app, ["cache", str(folder), "--empty"])
    assert done.exit_code == 0, done.output
    assert "emptied" in done.output
    assert disk_bytes(folder) == contents(folder).used == contents(folder).chunks == 0
    assert digests(cached(dataset, tmp_path)) == expected
    with pytest.raises(UpsDataError, match="is no cache"):
        contents(dataset)


def test_the_command_shows_what_is_there(dataset, tmp_path):
    fill(cached(dataset, tmp_path))
    done = CliRunner().invoke(app, ["cache", str(tmp_path / "cache"), "--check"])
    assert done.exit_code == 0, done.output
    assert "damaged chunks" in done.output
    chunks(tmp_path)[0].write(0, memoryview(b"?"))
    assert CliRunner().invoke(app, ["cache", str(tmp_path / "cache"), "--check"]).exit_code == 1
