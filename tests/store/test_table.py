"""Tables of a shard: read without zarr where the writer wrote them, and equal to what zarr reads in any case."""

import json
import subprocess
import sys

import numpy as np
import pytest
import zarr

from tests.datasets import reseal, write_grid
from ups_data import ShardWriter, UpsDataError
from ups_data.schema import Manifest
from ups_data.store.shard import Shard

NAMES = ("time", "params")


def opened(root):
    manifest = Manifest.load(root)
    return Shard(root, manifest, manifest.split("train").shards[0])


@pytest.fixture
def folder(tmp_path):
    write_grid(tmp_path)
    return tmp_path / "train/shard-000000.zarr/trajectories"


@pytest.mark.parametrize("name", NAMES)
def test_what_the_writer_wrote_is_read_without_zarr(tmp_path, folder, monkeypatch, name):
    expected = zarr.open_array(folder / name, mode="r")[...]
    monkeypatch.setattr(zarr, "open_array", lambda *_, **__: pytest.fail("zarr was asked"))
    found = getattr(opened(tmp_path), name)
    assert found.dtype == expected.dtype
    assert found.flags.writeable
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["chunks", "big-endian", "separator"])
def test_what_others_wrote_is_what_zarr_reads(tmp_path, folder, name, kind):
    values = zarr.open_array(folder / name, mode="r")[...]
    options = {
        "chunks": {"chunks": (2, *values.shape[1:])},
        "big-endian": {"serializer": zarr.codecs.BytesCodec(endian="big")},
        "separator": {"chunk_key_encoding": {"name": "default", "separator": "."}},
    }[kind]
    options = {"chunks": values.shape, "compressors": [zarr.codecs.Crc32cCodec()], **options}
    zarr.create_array(folder / name, data=values, overwrite=True, **options)
    reseal(tmp_path)
    np.testing.assert_array_equal(getattr(opened(tmp_path), name), values)


@pytest.mark.parametrize("name", NAMES)
def test_a_chunk_that_its_checksum_does_not_fit_is_an_error(tmp_path, folder, name):
    chunk = next(file for file in (folder / name / "c").rglob("*") if file.is_file())
    data = bytearray(chunk.read_bytes())
    data[3] ^= 1
    chunk.write_bytes(data)
    reseal(tmp_path)
    with pytest.raises(UpsDataError, match=f"trajectories/{name}: .*checksum"):
        getattr(opened(tmp_path), name)


def test_metadata_that_say_something_else_are_zarr_s_to_judge(tmp_path, folder):
    file = folder / "time/zarr.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "node_type": "cloud"}))
    reseal(tmp_path)
    with pytest.raises(UpsDataError, match="trajectories/time: "):
        _ = opened(tmp_path).time


@pytest.mark.parametrize("lengths", [[[1]], [], None, "7", [0.5, 1], [None], [2**70], [0], {"a": 1}, [True]])
def test_chunks_of_no_lengths(tmp_path, folder, lengths):
    file = folder / "time/zarr.json"
    metadata = json.loads(file.read_text())
    metadata["chunk_grid"]["configuration"]["chunk_shape"] = lengths
    file.write_text(json.dumps(metadata))
    reseal(tmp_path)
    with pytest.raises(UpsDataError, match="trajectories/time: "):
        _ = opened(tmp_path).time


def test_tables_of_zeros_are_stored(tmp_path):
    """zarr leaves a chunk of nothing but the fill value out: a static run at time 0, say."""
    with ShardWriter(tmp_path) as writer:
        for _ in range(3):
            writer.add({"u": np.ones((1, 4, 4, 1), np.float32)}, params={"nu": 0.0})
    shard = opened(tmp_path)
    np.testing.assert_array_equal(shard.time, np.zeros(3))
    np.testing.assert_array_equal(shard.params, np.zeros((3, 1)))


def test_what_the_writer_wrote_is_loaded_without_importing_zarr(tmp_path):
    """Each start of a program, and of each worker process, would pay for the import."""
    write_grid(tmp_path)
    program = f"""
import sys
from ups_data import QueryLoader, QuerySampling
assert len(list(QueryLoader({str(tmp_path)!r}, split="train", batch_size=2, sampling=QuerySampling(ratio=0.5))))
print("zarr" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["False"], done.stderr
