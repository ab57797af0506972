"""What the shards hold is what the source holds, for this reader, for zarr and for xarray."""

import h5py
import numpy as np
import pytest
import torch
import xarray
import zarr

from tests.datasets import BURGERS, DARCY_PT, DIFFUSION_REACTION, real, write_grid
from tests.writing.arrays import rows_of, stored
from ups_data import ShardWriter
from ups_data.conversion.convert import convert
from ups_data.schema import Manifest
from ups_data.schema.trajectories import SEAL
from ups_data.sources import FORMATS, open_source
from ups_data.store.arrays.opening import open_array
from ups_data.store.shard import Shard
from ups_data.writing import layout


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
@pytest.mark.parametrize("grid", [(50,), (12, 10), (5, 6, 7)])
@pytest.mark.parametrize("chunk_bytes", [1, 5000, 1 << 20])
def test_grids(tmp_path, monkeypatch, codec, grid, chunk_bytes):
    monkeypatch.setattr(layout, "CHUNK_BYTES", chunk_bytes)
    runs = write_grid(tmp_path / "d", grid=grid, codec=codec, shard_bytes=20_000)
    assert np.array_equal(stored(tmp_path / "d", "train", "u"), np.concatenate(runs))


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_rows_beyond_the_end_are_nan(tmp_path, monkeypatch, codec):
    monkeypatch.setattr(layout, "CHUNK_BYTES", 960 * 3)
    write_grid(tmp_path / "d", steps=(7,), codec=codec)
    array = open_array(tmp_path / "d/train/shard-000000.zarr/fields/u", where="here")
    assert (array.chunk_rows, array.shape[0]) == (3, 7)
    last = array.chunk(2)
    assert np.isfinite(last[:1]).all()
    assert np.isnan(last[1:]).all()


def test_an_array_of_several_objects(tmp_path, monkeypatch):
    monkeypatch.setattr("ups_data.writing.shard.open_shard.OBJECT_BYTES", 5 * 960)
    monkeypatch.setattr(layout, "CHUNK_BYTES", 2 * 960)
    runs = write_grid(tmp_path / "d")
    assert len(list((tmp_path / "d/train/shard-000000.zarr/fields/u/c").iterdir())) > 3
    assert np.array_equal(stored(tmp_path / "d", "train", "u"), np.concatenate(runs))


def test_static_fields_points_and_parameters(tmp_path):
    rng = np.random.default_rng(0)
    runs = [
        (rng.random((4, 30, 2), np.float32), rng.random((30, 1), np.float32), rng.random((30, 3), np.float32))
        for _ in range(5)
    ]
    with ShardWriter(tmp_path / "d", shard_bytes=2000) as writer:
        for i, (u, k, x) in enumerate(runs):
            writer.add({"u": u}, static={"k": k}, coords=x, params={"a": i, "b": -i}, key=str(i))
    assert np.array_equal(stored(tmp_path / "d", "train", "u"), np.concatenate([u for u, _, _ in runs]))
    assert np.array_equal(stored(tmp_path / "d", "train", "k"), np.stack([k for _, k, _ in runs]))
    manifest = Manifest.load(tmp_path / "d")
    shards = [Shard(tmp_path / "d", manifest, s) for s in manifest.splits["train"].shards]
    assert len(shards) > 1
    assert np.array_equal(np.concatenate([rows_of(s.coords()) for s in shards]), np.stack([x for _, _, x in runs]))
    params = np.concatenate([s.params for s in shards])
    assert params.tolist() == [[i, -i] for i in range(5)]


@pytest.mark.parametrize("cast", [None, "float16"])
def test_float16(tmp_path, cast):
    u = np.random.default_rng(0).standard_normal((3, 8, 8, 1)).astype(np.float32 if cast else np.float16)
    with ShardWriter(tmp_path / "d", cast=cast) as writer:
        writer.add({"u": u})
    assert np.array_equal(stored(tmp_path / "d", "train", "u"), u.astype(np.float16))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint16", ">f4"])
def test_what_float32_holds_exactly_is_widened(tmp_path, dtype):
    u = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, (3, 8, 8, 1)).astype(dtype)
    with ShardWriter(tmp_path / "d") as writer:
        writer.add({"u": u})
    assert np.array_equal(stored(tmp_path / "d", "train", "u"), u.astype(np.float32))


@pytest.mark.filterwarnings("error")
def test_xarray_shows_every_array_as_itself(tmp_path):
    """Without a warning, whatever other file is beside the arrays."""
    runs = write_grid(tmp_path / "d")
    shard = tmp_path / "d/train/shard-000000.zarr"
    assert (shard / SEAL).exists()
    fields = xarray.open_zarr(shard, group="fields", consolidated=False)
    assert fields.u.dims == ("row", "y", "x", "u_channel")
    assert np.array_equal(fields.u.values, np.concatenate(runs))
    table = xarray.open_zarr(shard, group="trajectories", consolidated=False)
    assert table.time.dims == ("row",)
    assert table.steps.values.tolist() == [7, 7, 5, 9, 7]
    assert table.offset.values.tolist() == [0, 7, 14, 19, 28]
    assert table.attrs["key"] == ["0000", "0001", "0002", "0003", "0004"]
    xarray.open_zarr(shard, consolidated=False)
    members = [name for name, _ in zarr.open_group(shard, mode="r").members(max_depth=None)]
    assert "fields/u" in members


def test_xarray_opens_a_field_named_like_an_axis(tmp_path):
    with ShardWriter(tmp_path / "d") as writer:
        writer.add({"x": np.ones((1, 4, 4, 1), np.float32), "y": np.ones((1, 4, 4, 1), np.float32)})
    opened = xarray.open_zarr(tmp_path / "d/train/shard-000000.zarr", group="fields", consolidated=False)
    assert opened.x.dims == ("row", "y_axis", "x_axis", "x_channel")


@pytest.mark.parametrize("file", [DIFFUSION_REACTION, BURGERS, DARCY_PT])
def test_real_files(tmp_path, file):
    source = open_source(real(file))
    assert source.format in FORMATS
    convert(file, tmp_path / "d", split={"train": 1.0})
    for name in next(iter(source)).fields:
        frames = np.concatenate([run.fields[name][:] for run in source])
        assert np.array_equal(stored(tmp_path / "d", "train", name), frames.astype(np.float32))


def test_real_files_against_their_own_libraries(tmp_path):
    """The same without this project's readers."""
    convert(real(DIFFUSION_REACTION), tmp_path / "dr", split={"train": 1.0})
    with h5py.File(DIFFUSION_REACTION) as f:
        assert np.array_equal(stored(tmp_path / "dr", "train", "data"), np.concatenate([f[k]["data"][:] for k in f]))
    convert(real(BURGERS), tmp_path / "bu", split={"train": 1.0})
    with h5py.File(BURGERS) as f:
        assert np.array_equal(stored(tmp_path / "bu", "train", "tensor")[..., 0], f["tensor"][:].reshape(-1, 1024))
    convert(real(DARCY_PT), tmp_path / "da", split={"train": 1.0})
    darcy = torch.load(DARCY_PT, weights_only=True)
    for name in ("x", "y"):
        assert np.array_equal(stored(tmp_path / "da", "train", name)[..., 0], darcy[name].float().numpy())


def test_the_same_input_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_grid(tmp_path / name, codec="zstd", shard_bytes=20_000)
    one, two = (Manifest.load(tmp_path / n) for n in ("a", "b"))
    assert one == two
    for shard in one.splits["train"].shards:
        assert (tmp_path / "a" / shard.path / SEAL).read_bytes() == (tmp_path / "b" / shard.path / SEAL).read_bytes()
    assert len({s.digest for s in one.splits["train"].shards}) == len(one.splits["train"].shards) > 1
