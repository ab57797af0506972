"""Points without a lattice: any number of them in a trajectory, moving or not, in one set or in several."""

import numpy as np
import pytest
import xarray
import zarr

from tests.datasets import edit_manifest
from tests.writing.arrays import agreed, shards_of
from ups_data import ShardWriter, UpsDataError
from ups_data.points.blocks import point_blocks
from ups_data.schema import Manifest
from ups_data.trajectory import PointSet

RAGGED = (40, 17, 90, 1, 41)


def cloud(number, points, steps=4, *, moving=False, dim=3):
    rng = np.random.default_rng(number)
    coords = rng.random((steps, points, dim) if moving else (points, dim), np.float32)
    return coords, rng.standard_normal((steps, points, 2)).astype(np.float32)


def write(root, clouds, **options):
    with ShardWriter(root, **options) as writer:
        for i, (x, u) in enumerate(clouds):
            writer.add({"u": u}, coords=x, key=str(i))


def restored(root, *, set_name=None, field="u"):
    """Every trajectory's coordinates and frames of a field in the points' own order, as (coords, frames)."""
    for shard in shards_of(root):
        folder = shard.path / "points" / (set_name or "")
        coords = agreed(shard.coords(set_name), folder / "coords")
        frames = agreed(shard.field(field), shard.path / "fields" / field)
        moving = shard._manifest.point_set(set_name).moving
        row = 0
        for t, steps in enumerate(shard._spec.steps):
            rows = slice(row, row + steps)
            row += steps
            u, x = frames[rows], coords[rows] if moving else coords[t]
            blocks = shard.geometry(set_name, t)
            if blocks is not None:
                beyond = np.setdiff1d(np.arange(u.shape[1]), blocks.slots)
                assert np.isnan(u[:, beyond]).all()
                assert np.isnan(x[..., beyond, :]).all()
                u, x = u[:, blocks.slots], x[..., blocks.slots, :]
            yield x, u


@pytest.mark.parametrize(
    ("codec", "blocks", "moving"),
    [
        ("none", 1, False),
        ("lz4", 1, True),
        ("zstd", 7, True),
        ("none", 7, False),
        ("none", 16, True),
        ("lz4", 16, False),
        ("zstd", 1000, False),
    ],
)
def test_trajectories_of_different_sizes(tmp_path, codec, blocks, moving):
    """More blocks than points too; several shards, of which some hold only small trajectories."""
    clouds = [cloud(i, n, 3 + i, moving=moving) for i, n in enumerate(RAGGED)]
    write(tmp_path / "d", clouds, blocks=blocks, codec=codec, shard_bytes=2500)
    for (x, u), (coords, frames) in zip(clouds, restored(tmp_path / "d"), strict=True):
        assert np.array_equal(coords, x)
        assert np.array_equal(frames, u)
    manifest = Manifest.load(tmp_path / "d")
    assert len(manifest.splits["train"].shards) > 1
    assert manifest.points_of("train").tolist() == list(RAGGED)
    assert (manifest.min_points("train"), manifest.max_points("train")) == (1, 90)
    assert manifest.num_points == 90
    assert manifest.points.num_points is None
    assert manifest.block_points() == -(-RAGGED[0] // blocks)


def test_the_stored_deal_is_the_pure_function(tmp_path):
    clouds = [cloud(i, n) for i, n in enumerate(RAGGED)]
    write(tmp_path / "d", clouds, blocks=8, seed=3)
    (shard,) = shards_of(tmp_path / "d")
    for t, (x, _) in enumerate(clouds):
        expected = point_blocks(x, block_points=5, seed=3)
        blocks = shard.geometry(None, t)
        assert np.array_equal(blocks.index, expected.index)
        assert np.array_equal(blocks.counts, expected.counts)
        assert shard.geometry(None, t) is blocks, "kept as long as it is used"
        stored = agreed(shard.index(), shard.path / "points/index")[t]
        assert np.array_equal(stored[: len(expected.index)], expected.index)
        assert (stored[len(expected.index) :] == -1).all()
    assert zarr.open_array(shard.path / "points/count", mode="r")[...].tolist() == list(RAGGED)


def test_blocks_that_a_trajectory_lacks_cost_nothing(tmp_path):
    """One trajectory of 1,600 points among twenty of 100: the file is as long as the points, not as the array."""
    sizes = [100] * 10 + [1600] + [100] * 10
    write(tmp_path / "d", [cloud(i, n, 2) for i, n in enumerate(sizes)], blocks=4)
    (shard,) = shards_of(tmp_path / "d")
    array = shard.field("u")
    assert array.shape == (42, 1600, 2)
    size = (shard.path / "fields/u/c/0/0/0").stat().st_size
    index_bytes = 16 * 21 * array.blocks
    assert size < 1.01 * sum(sizes) * 2 * 2 * 4 + index_bytes + 4 * sum(sizes) // 25


def test_moving_points_keep_the_blocks_of_their_first_frame(tmp_path):
    clouds = [cloud(i, 50, moving=True) for i in range(3)]
    write(tmp_path / "d", clouds, blocks=5)
    (shard,) = shards_of(tmp_path / "d")
    assert shard.coords().shape == (12, 50, 3)
    for t, (x, _) in enumerate(clouds):
        assert np.array_equal(shard.geometry(None, t).index, point_blocks(x[0], block_points=10).index)
    assert Manifest.load(tmp_path / "d").points.moving


def test_one_block_keeps_the_order_given(tmp_path):
    clouds = [cloud(i, 60) for i in range(3)]
    write(tmp_path / "d", clouds)
    (shard,) = shards_of(tmp_path / "d")
    assert shard.geometry(None, 0) is None
    assert not (shard.path / "points/index").exists()
    assert np.array_equal(agreed(shard.field("u"), shard.path / "fields/u"), np.concatenate([u for _, u in clouds]))
    assert np.array_equal(agreed(shard.coords(), shard.path / "points/coords"), np.stack([x for x, _ in clouds]))


def test_a_block_of_one_point(tmp_path):
    clouds = [cloud(0, 9), cloud(1, 11)]
    write(tmp_path / "d", clouds, blocks=9)
    for (x, u), (coords, frames) in zip(clouds, restored(tmp_path / "d"), strict=True):
        assert np.array_equal(coords, x)
        assert np.array_equal(frames, u)
    assert shards_of(tmp_path / "d")[0].field("u").chunk_shape == (4, 1, 2)


@pytest.mark.parametrize("blocks", [1, 6])
def test_several_sets(tmp_path, blocks):
    """Surface and volume: their own numbers of points and fields, one of them moving, static fields among them."""
    rng = np.random.default_rng(0)
    runs = []
    for i in range(4):
        (xs, p), (xv, u) = cloud(i, 40 + 7 * i), cloud(9 + i, 90, moving=True, dim=2)
        runs.append((xs, p, rng.random((40 + 7 * i, 1), np.float32), xv, u))
    with ShardWriter(tmp_path / "d", blocks=blocks, codec="lz4") as writer:
        for xs, p, n, xv, u in runs:
            writer.add(sets={"surface": PointSet(xs, {"p": p}, {"normal": n}), "volume": PointSet(xv, {"u": u})})
    manifest = Manifest.load(tmp_path / "d")
    assert manifest.set_names == ["surface", "volume"]
    assert {f.name: f.point_set for f in manifest.fields} == {"p": "surface", "u": "volume", "normal": "surface"}
    assert manifest.points_of("train", "surface").tolist() == [40, 47, 54, 61]
    assert manifest.points_of("train", "volume").tolist() == [90] * 4
    assert manifest.splits["train"].shards[0].points == {"surface": [40, 47, 54, 61]}
    assert manifest.frame_bytes(manifest.field("p")) == 61 * 8
    with pytest.raises(UpsDataError, match=r"has the sets of points \['surface', 'volume'\]"):
        _ = manifest.num_points
    surface = restored(tmp_path / "d", set_name="surface", field="p")
    volume = restored(tmp_path / "d", set_name="volume", field="u")
    for (xs, p, _, xv, u), *stored in zip(runs, surface, volume, strict=True):
        for expected, got in zip((xs, p, xv, u), (*stored[0], *stored[1]), strict=True):
            assert np.array_equal(got, expected)
    (shard,) = shards_of(tmp_path / "d")
    normals = agreed(shard.field("normal"), shard.path / "fields/normal")
    for t, (_, _, n, _, _) in enumerate(runs):
        assert np.array_equal(normals[t][shard.geometry("surface", t).slots], n)
    opened = xarray.open_zarr(shard.path, group="fields", consolidated=False)
    assert opened.p.dims == ("row", "surface_point", "p_channel")
    assert opened.u.dims == ("row", "volume_point", "u_channel")
    members = {name for name, _ in zarr.open_group(shard.path, mode="r").members(max_depth=None)}
    for name in manifest.set_names:
        assert {"points", f"points/{name}", f"points/{name}/coords", f"points/{name}/count"} <= members
        assert xarray.open_zarr(shard.path, group=f"points/{name}", consolidated=False).sizes["component"] == (
            3 if name == "surface" else 2
        )


@pytest.mark.parametrize(
    ("add", "says"),
    [
        (lambda w, x, u: w.add({"u": u[:, :9]}, coords=x), r"'u' .* frames of shape \(9, 2\), coords are of 10 points"),
        (lambda w, x, u: w.add({"u": u}, coords=x.T), r"coords of shape \(3, 10\), expected \(N, d\)"),
        (lambda w, x, u: w.add({"u": u}, coords=np.stack([x, x])), "coords of 2 steps, fields of 4"),
        (lambda w, x, u: w.add({"u": u}, coords=np.where(x == x[3, 1], np.nan, x)), "coordinates that are NaN"),
        (lambda w, x, u: w.add({"u": u}, sets={"a": PointSet(x, {"v": u})}), "put all its fields"),
        (lambda w, x, u: w.add(sets={"a": PointSet(x, {"u": u}), "b": PointSet(x, {"u": u})}), "'u' .* 'a' and 'b'"),
        (lambda w, x, u: w.add(sets={"a": PointSet(x, {})}), "no fields that change in time"),
        (lambda w, x, u: w.add(sets={"../a": PointSet(x, {"u": u})}), r"has the name '\.\./a'"),
        (
            lambda w, x, u: (
                w.add({"u": u[:, :1]}, coords=x[:1]),
                w.add({"u": np.ones((1, 20_000, 2), np.float32)}, coords=np.ones((20_000, 3)), key="b"),
            ),
            r"'b' has 20,000 points in blocks of 1, .* more than 16,384 blocks; store fewer",
        ),
        (
            lambda w, x, u: (w.add({"u": u}, coords=x), w.add({"u": u}, key="b")),
            "trajectory 'b' has a grid, the first one had points",
        ),
        (
            lambda w, x, u: (w.add({"u": u}, coords=x), w.add({"u": u}, coords=np.stack([x] * 4), key="b")),
            "coords of trajectory 'b' have shape .* the same for all frames",
        ),
        (
            lambda w, x, u: (w.add({"u": u}, coords=x), w.add({"u": u}, coords=x[:, :2], key="b")),
            "coords of trajectory 'b' have shape .* 3 components",
        ),
    ],
)
def test_clouds_that_do_not_fit(tmp_path, add, says):
    x, u = cloud(0, 10)
    with pytest.raises(UpsDataError, match=says) as error, ShardWriter(tmp_path / "d", blocks=2) as writer:
        add(writer, x, u)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m["splits"]["train"]["shards"][0].pop("points"), "must list the points"),
        (lambda m: m["splits"]["train"]["shards"][0]["points"][""].pop(), "must list the points"),
        (lambda m: m["splits"]["train"]["shards"][0]["points"].update(a=[1]), "must list the points"),
        (lambda m: m["splits"]["train"]["shards"][0]["points"][""].__setitem__(0, 2**31), "points"),
        (lambda m: m["splits"]["train"]["shards"][0]["steps"].__setitem__(0, 2**31), "steps"),
        (lambda m: m["points"].update(dim=4), "points.dim"),
        (lambda m: m["points"].pop("block_points"), "block_points"),
        (lambda m: m["fields"][0].update(point_set="surface"), "lives on 'surface'"),
        (lambda m: m.update(sets={"a": m["points"]}), "either a grid or points"),
    ],
)
def test_manifests_of_clouds_are_validated(tmp_path, change, says):
    write(tmp_path / "d", [cloud(0, 10), cloud(1, 12)], blocks=2)
    edit_manifest(tmp_path / "d", change)
    with pytest.raises(UpsDataError, match=says) as error:
        Manifest.load(tmp_path / "d")
    assert "\n" not in str(error.value)
