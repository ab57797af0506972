"""Chunks of zarr groups that decode to more than they may are refused before memory is taken; sound ones are read."""

import bz2
import gzip
import lzma
import zlib
from pathlib import Path

import numcodecs
import numpy as np
import pytest

from ups_data import UpsDataError
from ups_data.conversion.source_runs import open_run
from ups_data.sources import open_source

xarray = pytest.importorskip("xarray", reason="xarray is not installed: pip install 'ups_data[netcdf]'")
bombs = pytest.importorskip("ups_data.sources.netcdf.bombs")
U = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).round(1).astype(np.float32)
BOMB = bytes(64 * 1024**2)
# 100 TB, of which nothing is there: a frame of a single segment with a size of eight bytes, and one empty last block.
CLAIM = bombs.ZSTD_MAGIC + bytes([0b11100000]) + (10**14).to_bytes(8, "little") + b"\x01\0\0"
OLD = {
    "zstd": (numcodecs.Zstd(), CLAIM),
    "gzip": (numcodecs.GZip(), gzip.compress(BOMB, 1)),
    "zlib": (numcodecs.Zlib(), zlib.compress(BOMB, 1)),
    "bz2": (numcodecs.BZ2(), bz2.compress(BOMB, 1)),
    "lzma": (numcodecs.LZMA(), lzma.compress(BOMB, preset=0)),
    "lz4": (numcodecs.LZ4(), (2**31 - 1).to_bytes(4, "little") + bytes(20)),
}


def write(path: Path, version: int, compressor: object) -> Path:
    """Returns the file of the first chunk."""
    made = xarray.Dataset({"u": (("sample", "time", "y", "x"), U)}, {"time": np.arange(3.0)})
    encoding = {"u": {"compressors": (compressor,), "chunks": U.shape}}
    made.to_zarr(path, zarr_format=version, consolidated=False, encoding=encoding)
    return path / ("u/0.0.0.0" if version == 2 else "u/c/0/0/0/0")


def values(path: Path) -> np.ndarray:
    source = open_source(path)
    return np.stack([np.asarray(open_run(source, n, path).fields["u"][:]) for n in range(len(source))])


def refused(path: Path, chunk: Path, bomb: bytes) -> None:
    np.testing.assert_array_equal(values(path)[..., 0], U)
    chunk.write_bytes(bomb)
    with pytest.raises(UpsDataError, match="decodes to more than"):
        values(path)


@pytest.mark.parametrize("codec", OLD)
def test_version_2(tmp_path, monkeypatch, codec):
    monkeypatch.setattr(bombs, "BELIEVED", 10**6)
    compressor, bomb = OLD[codec]
    refused(tmp_path / "z", write(tmp_path / "z", 2, compressor), bomb)


@pytest.mark.parametrize("codec", ["zstd", "gzip", "gzip, two members"])
def test_version_3(tmp_path, codec):
    from zarr.codecs import GzipCodec, ZstdCodec

    chunk = write(tmp_path / "z", 3, ZstdCodec() if codec == "zstd" else GzipCodec())
    if "," in codec:
        whole = gzip.decompress(chunk.read_bytes())
        chunk.write_bytes(gzip.compress(whole[:100]) + gzip.compress(whole[100:]))
    refused(tmp_path / "z", chunk, CLAIM if codec == "zstd" else gzip.compress(BOMB, 1))


@pytest.mark.parametrize("size", [0, 1, 200, 70_000, 400_000])
@pytest.mark.parametrize("level", [1, 19])
def test_the_size_of_zstd(size, level):
    """Of what the library itself writes: exact where the frame says it; from its blocks, no less than it is."""
    data = np.random.default_rng(size).integers(0, 9, size, np.uint8).tobytes()
    frame = bytes(numcodecs.Zstd(level).encode(data)) if size else b""
    assert bombs.zstd_size(frame) == size
    assert bombs.zstd_size(frame + frame) == 2 * size
    if size == 400_000:
        single, wide = frame[4] >> 5 & 1, (1, 2, 4, 8)[frame[4] >> 6]
        assert single
        untold = frame[:4] + bytes([frame[4] & 0b00000111, 0x48]) + frame[5 + wide :]  # a window, no size
        assert size <= bombs.zstd_size(untold) < size + bombs.ZSTD_BLOCK


def test_a_chunk_that_ends_too_early(tmp_path):
    chunk = write(tmp_path / "z", 2, numcodecs.GZip())
    chunk.write_bytes(chunk.read_bytes()[:-20])
    with pytest.raises(UpsDataError, match="ends too early"):
        values(tmp_path / "z")
