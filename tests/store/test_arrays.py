"""Damage is reported with its place, by the direct reader and through zarr alike."""

import json
import shutil

import numpy as np
import pytest
import zarr

from tests.datasets import reseal, write_grid
from ups_data import UpsDataError
from ups_data.schema import Manifest
from ups_data.store.arrays.direct import DirectArray
from ups_data.store.arrays.opening import open_array
from ups_data.store.arrays.through_zarr import ZarrArray
from ups_data.store.shard import Shard
from ups_data.writing import layout


@pytest.fixture(params=["none", "lz4"])
def array_path(tmp_path, monkeypatch, request):
    monkeypatch.setattr(layout, "CHUNK_BYTES", 960)
    write_grid(tmp_path / "d", codec=request.param)
    return tmp_path / "d/train/shard-000000.zarr/fields/u"


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("kind", [DirectArray, ZarrArray])
def test_a_flipped_bit_in_a_chunk(array_path, kind):
    flip(array_path / "c/0/0/0/0", 100)  # in the first chunk
    array = open_array(array_path, where="here") if kind is DirectArray else ZarrArray(array_path, where="here")
    assert isinstance(array, kind)
    with pytest.raises(UpsDataError, match="here, rows 0 to 0"):
        array.chunk(0)
    array.chunk(1)


def test_a_flipped_bit_in_the_index(array_path):
    flip(array_path / "c/0/0/0/0", -10)
    with pytest.raises(UpsDataError, match="the index of .* is damaged"):
        open_array(array_path, where="here").chunk(0)


@pytest.mark.parametrize("keep", [0, 3, 0.5, 0.99])
def test_a_file_that_was_cut(array_path, keep):
    file = array_path / "c/0/0/0/0"
    size = keep if isinstance(keep, int) else int(keep * file.stat().st_size)
    with open(file, "r+b") as f:
        f.truncate(size)
    with pytest.raises(UpsDataError, match="here.*copy or make the shard again"):
        open_array(array_path, where="here").chunk(0)


def test_a_missing_object(array_path):
    (array_path / "c/0/0/0/0").unlink()
    with pytest.raises(UpsDataError, match="cannot be read"):
        open_array(array_path, where="here").chunk(0)


def test_damaged_metadata(array_path):
    (array_path / "zarr.json").write_text("{")
    with pytest.raises(UpsDataError, match="damaged"):
        open_array(array_path, where="here")
    (array_path / "zarr.json").unlink()
    with pytest.raises(UpsDataError, match="missing"):
        open_array(array_path, where="here")


def test_a_shard_of_another_dataset(tmp_path):
    write_grid(tmp_path / "a")
    write_grid(tmp_path / "b", grid=(10, 12))
    shutil.rmtree(tmp_path / "a/train/shard-000000.zarr")
    shutil.copytree(tmp_path / "b/train/shard-000000.zarr", tmp_path / "a/train/shard-000000.zarr")
    manifest = Manifest.load(tmp_path / "a")
    with pytest.raises(UpsDataError, match=r"shard .*000000.zarr: is not the one that the manifest lists"):
        Shard(tmp_path / "a", manifest, manifest.splits["train"].shards[0]).field("u")
    reseal(tmp_path / "a")
    manifest = Manifest.load(tmp_path / "a")
    with pytest.raises(
        UpsDataError, match=r"holds float32 \(35, 10, 12, 2\), the manifest says float32 \(35, 12, 10, 2\)"
    ):
        Shard(tmp_path / "a", manifest, manifest.splits["train"].shards[0]).field("u")


def test_other_layouts_go_through_zarr(tmp_path):
    u = np.random.default_rng(0).standard_normal((7, 6, 6, 2)).astype(np.float32)
    zarr.create_array(tmp_path / "gzip", data=u, chunks=(2, 6, 6, 2), compressors=zarr.codecs.GzipCodec())
    array = open_array(tmp_path / "gzip", where="here")
    assert isinstance(array, ZarrArray)
    assert np.array_equal(np.concatenate([array.chunk(i) for i in range(4)])[:7], u)


def through_zarr(root, rows=None):
    """Field u, which is written anew if rows are given: the chunks carry no checksum and cut the channels apart, so
    two files hold each chunk that is read."""
    path = root / "train/shard-000000.zarr/fields/u"
    if rows is not None:
        shutil.rmtree(path)
        keys = {"name": "default", "separator": "."}
        zarr.create_array(path, data=rows, chunks=(20, 12, 10, 1), compressors=None, chunk_key_encoding=keys)
        reseal(root)
    manifest = Manifest.load(root)
    array = Shard(root, manifest, manifest.splits["train"].shards[0]).field("u")
    assert isinstance(array, ZarrArray)
    return array, path


@pytest.mark.parametrize("damaged", ["c.0.0.0.0", "c.0.0.0.1", "c.1.0.0.0"])
def test_a_digest_that_fails_is_noticed_through_zarr_too(tmp_path, damaged):
    rows, number = np.concatenate(write_grid(tmp_path / "d")), int(damaged[2])
    array, path = through_zarr(tmp_path / "d", rows)
    np.testing.assert_array_equal(array.chunk(0), rows[:20])
    flip(path / damaged, 100)
    array, _ = through_zarr(tmp_path / "d")
    with pytest.raises(UpsDataError, match=f"fields/u/{damaged} is damaged; copy"):
        array.chunk(number)
    np.testing.assert_array_equal(array.chunk(1 - number)[:15], [rows[20:], rows[:15]][number])


def test_a_file_that_was_not_there_is_noticed_through_zarr_too(tmp_path):
    rows = np.concatenate(write_grid(tmp_path / "d"))
    rows[20:] = 0  # what zarr makes no file of
    array, path = through_zarr(tmp_path / "d", rows)
    np.testing.assert_array_equal(array.chunk(1)[:15], rows[20:])
    shutil.copy(path / "c.0.0.0.1", path / "c.1.0.0.1")
    with pytest.raises(UpsDataError, match=r"c\.1\.0\.0\.1 is not among the shard's files"):
        through_zarr(tmp_path / "d")[0].chunk(1)


def test_a_chunk_that_zarr_left_out_is_nan(tmp_path, monkeypatch):
    path = tmp_path / "sparse"
    sparse = zarr.create_array(
        path,
        shape=(4, 6, 6, 1),
        chunks=(1, 6, 6, 1),
        shards=(4, 6, 6, 1),
        dtype="f4",
        fill_value=np.nan,
        compressors=[zarr.codecs.Crc32cCodec()],
    )
    sparse[2] = 1.0
    array = open_array(path, where="here")
    assert isinstance(array, DirectArray)
    assert np.isnan(array.chunk(0)).all()
    assert (array.chunk(2) == 1).all()


def test_metadata_that_claim_other_chunks_do_not_read_past_the_end(array_path):
    metadata = json.loads((array_path / "zarr.json").read_text())
    metadata["shape"][0] = metadata["chunk_grid"]["configuration"]["chunk_shape"][0] = 1_000_000
    (array_path / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(UpsDataError):
        open_array(array_path, where="here").chunk(0)
