"""Frames stored in blocks come back bit for bit, for this reader and for zarr, and a block is read alone."""

import json

import numpy as np
import pytest
import xarray
import zarr

from tests.datasets import edit_manifest, reseal, write_grid
from tests.writing.arrays import agreed, rows_of, shards_of
from ups_data import ShardWriter, UpsDataError
from ups_data.points.blocks import grid_blocks
from ups_data.schema import Manifest
from ups_data.store.arrays.direct import DirectArray
from ups_data.store.arrays.opening import open_array
from ups_data.store.arrays.through_zarr import ZarrArray
from ups_data.writing import chunks


def dense(shard, field, trajectory_of_row, set_name=None):
    """Every stored row of a field in the points' own order."""
    rows = agreed(shard.field(field), shard.path / "fields" / field)
    frames = []
    for row, trajectory in zip(rows, trajectory_of_row, strict=True):
        blocks = shard.geometry(set_name, trajectory)
        frames.append(row[blocks.slots])
        assert np.isnan(np.delete(row, blocks.slots, axis=0)).all()
    return np.stack(frames)


def trajectories(shard, field):
    return np.repeat(np.arange(len(shard._spec.steps)), shard._spec.steps)


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
@pytest.mark.parametrize(
    ("grid", "blocks"), [((50,), 7), ((12, 10), 4), ((13, 9), 9), ((5, 6, 7), 8), ((2, 9), 16), ((64, 64), 4)]
)
def test_frames_of_a_grid(tmp_path, codec, grid, blocks):
    runs = write_grid(tmp_path / "d", grid=grid, codec=codec, shard_bytes=2000, blocks=blocks, seed=5)
    shards = shards_of(tmp_path / "d")
    assert len(shards) > 1
    frames = np.concatenate([dense(s, "u", trajectories(s, "u")) for s in shards])
    assert np.array_equal(frames.reshape(-1, *grid, 2), np.concatenate(runs))
    dealt = grid_blocks(grid, blocks, seed=5)
    for s in shards:
        assert np.array_equal(s.geometry(None, 0).index, dealt.index)
        assert np.array_equal(s.geometry(None, 0).counts, dealt.counts)
        assert np.array_equal(agreed(s.index(), s.path / "points/index")[0], dealt.index)
        assert zarr.open_array(s.path / "points/count", mode="r")[...].tolist() == [np.prod(grid)]
    manifest = Manifest.load(tmp_path / "d")
    assert (manifest.blocks, manifest.block_seed, manifest.block_points()) == (blocks, 5, dealt.block_points)


def test_a_block_is_read_alone(tmp_path):
    """Chunk r * blocks + b holds block b of the rows of chunk r, and only its bytes are fetched."""
    (u,) = write_grid(tmp_path / "d", grid=(16, 16), steps=(6,), blocks=16)
    (shard,) = shards_of(tmp_path / "d")
    array, blocks = shard.field("u"), shard.geometry(None, 0)
    assert (array.blocks, array.block_points, array.chunk_shape) == (16, 16, (6, 16, 2))
    before = shard.read_bytes()
    members = blocks.index.reshape(16, 16)[5]
    assert np.array_equal(array.chunk(5), u.reshape(6, 256, 2)[:, members])
    assert shard.read_bytes() - before == array.read_bytes == 6 * 16 * 2 * 4 + 4
    array.chunk(5)
    assert array.read_bytes == 6 * 16 * 2 * 4 + 4, "a mapped chunk is read once"


def test_a_decoded_chunk_is_counted_at_every_fetch(tmp_path):
    write_grid(tmp_path / "d", grid=(16, 16), codec="lz4", blocks=4)
    array = shards_of(tmp_path / "d")[0].field("u")
    array.chunk(2)
    once = array.read_bytes
    array.chunk(2)
    assert array.read_bytes == 2 * once > 0


def test_chunks_hold_one_frame_unless_a_block_is_tiny(tmp_path, monkeypatch):
    def chunk_rows(blocks):
        with ShardWriter(tmp_path / str(blocks), blocks=blocks) as writer:
            writer.add({"u": np.zeros((20, 64, 64, 4), np.float32)})
        return Manifest.load(tmp_path / str(blocks)).fields[0].chunk_rows

    assert [chunk_rows(b) for b in (4, 16, 64)] == [1, 2, 10]


def test_static_fields_and_float16(tmp_path):
    rng = np.random.default_rng(0)
    u = [rng.standard_normal((t, 9, 10, 1)).astype(np.float16) for t in (3, 2, 4)]
    k = [rng.standard_normal((9, 10, 2)).astype(np.float32) for _ in u]
    with ShardWriter(tmp_path / "d", blocks=9, codec="zstd") as writer:
        for a, b in zip(u, k, strict=True):
            writer.add({"u": a}, static={"k": b})
    (shard,) = shards_of(tmp_path / "d")
    assert np.array_equal(dense(shard, "u", trajectories(shard, "u")).reshape(-1, 9, 10, 1), np.concatenate(u))
    assert shard.field("u").dtype == np.float16
    assert np.array_equal(dense(shard, "k", range(3)).reshape(-1, 9, 10, 2), np.stack(k))
    assert Manifest.load(tmp_path / "d").field("k").chunk_rows == 1


def test_statistics_leave_out_empty_slots(tmp_path):
    write_grid(tmp_path / "whole", grid=(7, 9))
    write_grid(tmp_path / "blocks", grid=(7, 9), blocks=4)
    one, other = (Manifest.load(tmp_path / n).splits["train"].statistics for n in ("whole", "blocks"))
    assert one["u"].count == other["u"].count == 35 * 63
    assert one["u"].nonfinite == other["u"].nonfinite == 0
    for name in ("mean", "std", "min", "max", "delta_rms"):
        np.testing.assert_allclose(getattr(one["u"], name), getattr(other["u"], name), rtol=1e-12, atol=1e-15)


def test_several_objects(tmp_path, monkeypatch):
    monkeypatch.setattr("ups_data.writing.shard.open_shard.OBJECT_BYTES", 5000)
    monkeypatch.setattr(chunks, "BLOCK", 200)
    runs = write_grid(tmp_path / "d", blocks=4)
    (shard,) = shards_of(tmp_path / "d")
    assert len(list((shard.path / "fields/u/c").iterdir())) > 3
    frames = dense(shard, "u", trajectories(shard, "u"))
    assert np.array_equal(frames.reshape(-1, 12, 10, 2), np.concatenate(runs))


def test_xarray_shows_blocks_with_their_index(tmp_path):
    runs = write_grid(tmp_path / "d", blocks=4)
    shard = tmp_path / "d/train/shard-000000.zarr"
    stored = xarray.open_zarr(shard, group="fields", consolidated=False)
    assert stored.u.dims == ("row", "point", "u_channel")
    index = xarray.open_zarr(shard, group="points", consolidated=False, mask_and_scale=False).index
    assert index.dims == ("geometry", "point")
    order = np.argsort(index.values[0])[-120:]
    assert np.array_equal(stored.u.values[:, order], np.concatenate(runs).reshape(-1, 120, 2))


def test_blocks_that_do_not_fit_the_grid_leave_nothing(tmp_path):
    with pytest.raises(UpsDataError, match="give 9 or 16"):
        write_grid(tmp_path / "d", blocks=12)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("codec", ["none", "lz4"])
@pytest.mark.parametrize("kind", [DirectArray, ZarrArray])
def test_damage_names_rows_and_block(tmp_path, codec, kind):
    write_grid(tmp_path / "d", grid=(64, 64), blocks=16, codec=codec, steps=(4, 4))
    path = tmp_path / "d/train/shard-000000.zarr/fields/u"
    file = path / "c/0/0/0"
    data = bytearray(file.read_bytes())
    data[40] ^= 1
    file.write_bytes(data)
    array = open_array(path, where="here") if kind is DirectArray else ZarrArray(path, where="here")
    with pytest.raises(UpsDataError, match="here, rows 0 to 3, block 0"):
        array.chunk(0)
    array.chunk(1)


@pytest.mark.parametrize("change", ["repeat", "outside", "empty"])
def test_an_index_that_is_no_permutation_is_refused(tmp_path, change):
    write_grid(tmp_path / "d", grid=(7, 9), blocks=4)
    shard = shards_of(tmp_path / "d")[0]
    index = zarr.open_array(shard.path / "points/index", mode="r+")
    row = index[0]
    row[0] = {"repeat": row[1], "outside": 63, "empty": -1}[change]
    index[0] = row
    reseal(tmp_path / "d")
    (shard,) = shards_of(tmp_path / "d")
    with pytest.raises(UpsDataError, match="no permutation of 63 points"):
        shard.geometry(None, 0)


def test_blocks_of_another_size_than_the_manifest_says(tmp_path):
    write_grid(tmp_path / "d", grid=(8, 8), blocks=4)
    edit_manifest(tmp_path / "d", lambda manifest: manifest.update(blocks=16))
    with pytest.raises(UpsDataError, match="has blocks of 16 points, the manifest says 4"):
        shards_of(tmp_path / "d")[0].field("u")


def test_chunks_too_large_to_be_true(tmp_path):
    write_grid(tmp_path / "d", blocks=4)
    path = tmp_path / "d/train/shard-000000.zarr/fields/u"
    metadata = json.loads((path / "zarr.json").read_text())
    metadata["codecs"][0]["configuration"]["chunk_shape"][0] = 2**40
    metadata["chunk_grid"]["configuration"]["chunk_shape"][0] = 2**40
    (path / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(UpsDataError, match="the limit is 2 GiB"):
        open_array(path, where="here")


def test_whole_frames_have_no_geometry(tmp_path):
    write_grid(tmp_path / "d")
    shard = shards_of(tmp_path / "d")[0]
    assert shard.geometry(None, 0) is None
    assert (shard.field("u").blocks, shard.field("u").block_points) == (1, 120)
    assert not (shard.path / "points").exists()
    assert rows_of(shard.field("u")).shape == (35, 12, 10, 2)
