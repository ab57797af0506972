"""Chunks that somebody crafted: right data or one line, never a signal, never memory that nobody wrote."""

from collections import Counter
from pathlib import Path

import crc32c
import numpy as np
import pytest
import zarr
from numcodecs.blosc import Blosc

from tests.datasets import reseal
from tests.faults.checker import Checker
from tests.faults.crafted import KINDS, craft_fields
from ups_data import ShardWriter, UpsDataError
from ups_data.schema import Manifest
from ups_data.store.shard import Shard

SEEN: Counter[str] = Counter()
CHUNKS = 4  # of an object


def write(root: Path, codec: str) -> None:
    """Smooth enough to be compressed: four frames of 128 × 128 points, each a chunk."""
    frames = np.cumsum(np.random.default_rng(0).standard_normal((4, 128, 128, 1)), axis=1).round(1).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch, ShardWriter(root, codec=codec) as writer:
        patch.setattr("ups_data.writing.layout.CHUNK_BYTES", frames[0].nbytes)
        writer.add({"u": frames})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_header_that_claims_what_is_not_there_is_an_error(
    checker: Checker, tmp_path: Path, codec: str, kind: str
) -> None:
    write(tmp_path / "d", codec)
    craft_fields(tmp_path / "d", CHUNKS, KINDS[kind])
    for act in ("stream_all", "stream_never", "verify"):
        answer = checker(act, tmp_path / "d")
        SEEN[answer["ended"]] += 1
        assert answer["ended"] == "reported", (act, answer)
        assert "field 'u'" in answer["says"]
        assert "\n" not in answer["says"]


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.parametrize("native", [True, False])
def test_a_short_chunk_serves_no_memory_that_nobody_wrote(tmp_path, monkeypatch, codec, native) -> None:
    """Sound in itself, and of fewer bytes than the array says; nobody compares checksums."""
    write(tmp_path / "d", codec)
    half = Blosc(cname=codec).encode(np.arange(128 * 64, dtype=np.float32))
    craft_fields(tmp_path / "d", CHUNKS, lambda body: half)
    if not native:
        monkeypatch.setattr("ups_data._native.native", None)
    manifest = Manifest.load(tmp_path / "d")
    for verify in ("never", "first"):
        array = Shard(tmp_path / "d", manifest, manifest.split("train").shards[0], verify).field("u")
        memory = np.full(array.chunk_shape, 7, np.float32)
        with pytest.raises(UpsDataError, match="field 'u', rows 0 to 0: the stored bytes are damaged"):
            array.chunk(0, memory)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_headers_that_are_written_while_the_loader_is_open(checker: Checker, tmp_path: Path, codec: str) -> None:
    """In place, after the chunks were compared with their checksums."""
    write(tmp_path / "d", codec)
    answer = checker("crafted_while_open", tmp_path / "d")
    SEEN[answer["ended"]] += 1
    assert answer["ended"] == "reported", answer


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("kind", ["longer, its block far away", "stored as it is, and short", "its block far away"])
def test_arrays_that_zarr_reads_are_looked_at_too(checker: Checker, tmp_path: Path, kind: str, checked: bool) -> None:
    """Chunks that are files of their own, which this project would not write; with a checksum, and decoded by zarrs."""
    write(tmp_path / "d", "lz4")
    path = tmp_path / "d/train/shard-000000.zarr/fields/u"
    values = zarr.open_array(path, mode="r")[...]
    codecs = [zarr.codecs.BloscCodec(cname="lz4", typesize=4), *([zarr.codecs.Crc32cCodec()] if checked else [])]
    zarr.create_array(path, data=values, chunks=(1, *values.shape[1:]), compressors=codecs, overwrite=True)
    for file in (path / "c").rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            body = KINDS[kind](data[:-4] if checked else data)
            file.write_bytes(body + (crc(body) if checked else b""))
    reseal(tmp_path / "d")
    answer = checker("stream_all", tmp_path / "d")
    SEEN[answer["ended"]] += 1
    assert answer["ended"] == "reported", answer
    assert "field 'u'" in answer["says"]


def crc(body: bytes) -> bytes:
    return crc32c.crc32c(body).to_bytes(4, "little")


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.parametrize("length", ["short", pytest.param("long", marks=pytest.mark.faults)])
def test_bytes_of_a_chunk_that_are_anything(checker: Checker, tmp_path: Path, codec: str, length: str) -> None:
    """Bytes of the header and of what follows it, at random: an error, or the values that they say; never a signal."""
    for seed in range(10 if length == "short" else 500):
        rng = np.random.default_rng(seed)

        def craft(body: bytes, rng: np.random.Generator = rng) -> bytes:
            data = np.frombuffer(body, np.uint8).copy()
            count = int(rng.integers(1, 6))
            reach = 24 if rng.integers(2) else len(data)
            data[rng.integers(0, reach, count)] = rng.integers(0, 256, count)
            return data[: int(rng.integers(1, len(data)))].tobytes() if rng.integers(4) == 0 else data.tobytes()

        root = tmp_path / str(seed)
        write(root, codec)
        craft_fields(root, CHUNKS, craft)
        answer = checker("stream_never", root)
        SEEN[answer["ended"]] += 1
        assert answer["ended"] in ("reported", "done"), (seed, answer)
