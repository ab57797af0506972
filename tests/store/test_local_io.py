"""Files of a folder are mapped or read, as is asked for or as is faster where they lie."""

import pytest

from tests.store.contract import StoreContract
from tests.store.reading import digests, write_blocks
from tests.store.test_stores import in_folder
from ups_data import QueryLoader, QuerySampling, UpsDataError
from ups_data import _native as built
from ups_data.store.kernel import choice
from ups_data.store.local import LocalStore
from ups_data.store.root import open_to_stream


class TestFilesThatAreRead(StoreContract):
    def filled(self, objects, folder):
        in_folder(objects, folder)
        return LocalStore(folder, io="read")

    def test_they_are_not_mapped(self, store):
        assert not store.zero_copy
        assert store.reads_ahead


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_batches_are_the_same_read_as_mapped(tmp_path, codec):
    write_blocks(tmp_path / "d", codec=codec)
    expected = digests(tmp_path / "d", local_io="map")
    for threads in (0, 2):
        assert digests(tmp_path / "d", local_io="read", threads=threads) == expected


def test_another_way_is_refused(tmp_path):
    write_blocks(tmp_path / "d")
    with pytest.raises(UpsDataError, match="local_io='direct': choose one of map, read"):
        QueryLoader(tmp_path / "d", split="train", batch_size=4, sampling=QuerySampling(ratio=0.2), local_io="direct")


@pytest.fixture
def large(tmp_path):
    (tmp_path / "small").write_bytes(b"x")
    (tmp_path / "c").write_bytes(bytes(8 * 1024**2))
    return tmp_path


@pytest.mark.skipif(built.native is None, reason="files are not mapped")
@pytest.mark.parametrize(
    ("kind", "mapping", "reading", "chosen"),
    [
        ("ext4", 9.0, 1.0, "map"),
        ("nfs4", 9.0, 1.0, "read"),
        ("nfs4", 1.1, 1.0, "map"),
        ("fuse.sshfs", 2.0, 1.0, "read"),
    ],
)
def test_files_on_a_network_are_read_if_that_is_measured_to_be_faster(
    large, monkeypatch, kind, mapping, reading, chosen
):
    monkeypatch.setattr(choice, "file_system", lambda path: kind)
    monkeypatch.setattr(choice, "mapping_seconds", lambda path: mapping)
    monkeypatch.setattr(choice, "reading_seconds", lambda path: reading)
    assert choice.choose_io(large) == chosen
    store = open_to_stream(large)
    assert isinstance(store, LocalStore)
    assert store.io == chosen


@pytest.mark.skipif(built.native is None, reason="files are not mapped")
def test_both_ways_are_measured_on_a_real_file(large, monkeypatch):
    assert choice.file_system(large)
    assert choice.mapping_seconds(large / "c") > 0
    assert choice.reading_seconds(large / "c") > 0
    monkeypatch.setattr(choice, "file_system", lambda path: "nfs")
    assert choice.choose_io(large) in ("map", "read")
    (large / "c").unlink()
    assert choice.choose_io(large) == "map"  # nothing to measure on
