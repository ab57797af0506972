"""The importance of tiles, stored as frames are written or added afterwards."""

import os
import tracemalloc

import numpy as np
import pytest
import zarr

from tests import warm
from tests.datasets import fields, write_grid
from ups_data import ShardWriter, UpsDataError
from ups_data.atomic import exclusive
from ups_data.conversion.convert import convert
from ups_data.points.activity import tile_importance
from ups_data.points.domain import Domain
from ups_data.points.tiles import tiles_in
from ups_data.schema import MANIFEST, Manifest
from ups_data.store.shard import Shard
from ups_data.store.verify import verify_dataset
from ups_data.trajectory import Axis, PointSet
from ups_data.writing.add_importance import add_importance

METRICS = ("gradient", "variance")


def stored(root, metric, split="train", set_name=None):
    """All rows of the importance of a split, `(rows, K)`, and the manifest."""
    manifest = Manifest.load(root)
    parts = []
    for spec in manifest.split(split).shards:
        array = Shard(root, manifest, spec).importance(metric, set_name)
        chunks = range(-(-array.shape[0] // array.chunk_rows))
        parts.append(np.concatenate([array.chunk(i) for i in chunks])[: array.shape[0]])
    return np.concatenate(parts)


def cloud(points, steps=3, seed=0, dim=3, moving=False):
    rng = np.random.default_rng(seed)
    coords = rng.random((steps, points, dim) if moving else (points, dim)).astype(np.float32)
    return coords, rng.standard_normal((steps, points, 2)).astype(np.float32)


def write_clouds(root, counts=(640, 700, 6, 300), moving=False, **options):
    """Trajectories of different numbers of points; K is that of the first: 10."""
    with ShardWriter(root, **options) as writer:
        for number, points in enumerate(counts):
            coords, u = cloud(points, seed=number, moving=moving)
            writer.add({"u": u}, coords=coords)


def write_two_fields(root, **options):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3, 9, 16, 16, 1)).astype(np.float32)
    wide = np.concatenate([b, b**2, a], axis=-1)
    axes = [Axis(name, np.arange(16.0), periodic=True) for name in "yx"]
    with ShardWriter(root, **options) as writer:
        for run in range(3):
            static = {"mask": np.ones((16, 16, 1), np.float32)}
            writer.add(
                {"a": a[run], "wide": wide[run]}, static=static, axes=axes, split="valid" if run == 2 else "train"
            )
    return np.concatenate([a, wide], axis=-1)


def write_sets(root, **options):
    with ShardWriter(root, **options) as writer:
        for number in range(2):
            surface, volume = cloud(200, seed=number), cloud(300 + 40 * number, seed=9 + number)
            writer.add(
                sets={
                    "surface": PointSet(surface[0], {"p": surface[1]}, {"normal": surface[1][0]}),
                    "volume": PointSet(volume[0], {"v": volume[1]}),
                }
            )


DATASETS = {
    "grid": lambda root, **o: write_grid(root, grid=(24, 20), steps=(5, 3, 7), **o),
    "grid, 1-D": lambda root, **o: write_grid(root, grid=(150,), steps=(4, 4), **o),
    "grid in blocks": lambda root, **o: write_grid(root, grid=(18, 20), blocks=4, steps=(5, 3), **o),
    "grid, lz4": lambda root, **o: write_grid(root, grid=(24, 20), steps=(5, 3), codec="lz4", **o),
    "several shards": lambda root, **o: write_grid(root, grid=(24, 20), steps=(5, 3, 7), shard_bytes=20_000, **o),
    "two fields": write_two_fields,
    "clouds": write_clouds,
    "clouds in blocks": lambda root, **o: write_clouds(root, blocks=4, codec="lz4", **o),
    "moving": lambda root, **o: write_clouds(root, (640, 640, 640), moving=True, blocks=4, **o),
    "sets": write_sets,
}


@pytest.mark.parametrize("codec", ["none", "lz4"])
@pytest.mark.parametrize("blocks", [1, 4])
def test_rows_are_those_of_the_frames(tmp_path, codec, blocks):
    runs = write_grid(tmp_path / "d", grid=(24, 20), codec=codec, blocks=blocks, importance=METRICS)
    domain = Domain(480, (24, 20))
    assert Manifest.load(tmp_path / "d").importance == {"gradient": {"": 8}, "variance": {"": 8}}
    for metric in METRICS:
        expected = [tile_importance(metric, frame, domain, tiles_in(domain, 8)) for run in runs for frame in run]
        np.testing.assert_array_equal(stored(tmp_path / "d", metric), expected)


@pytest.mark.parametrize("read_bytes", [1, 5000, 2**24])
def test_fields_add_up_however_many_frames_are_read_at_once(tmp_path, monkeypatch, read_bytes):
    """Fields of different widths come in pieces of different lengths."""
    monkeypatch.setattr("ups_data.writing.shard.frames.READ_BYTES", read_bytes)
    monkeypatch.setattr("ups_data.writing.chunks.WHOLE_FRAMES", 1)
    together = write_two_fields(tmp_path / "d", importance=METRICS)
    domain = Domain(256, (16, 16), periodic=(True, True))
    for metric in METRICS:
        expected = [tile_importance(metric, f, domain, tiles_in(domain, 4)) for run in together[:2] for f in run]
        np.testing.assert_allclose(stored(tmp_path / "d", metric), expected, rtol=1e-3)  # two sums' order, in float16


def test_fields_are_stored_the_same_with_importance(tmp_path):
    for name, options in (("with", {"importance": METRICS}), ("without", {})):
        write_two_fields(tmp_path / name, **options)
    for field in ("a", "wide", "mask"):
        file = f"train/shard-000000.zarr/fields/{field}/c/0/0/0/0"
        assert (tmp_path / "with" / file).read_bytes() == (tmp_path / "without" / file).read_bytes()
    with_, without = (Manifest.load(tmp_path / name) for name in ("with", "without"))
    assert with_.split("train").statistics == without.split("train").statistics


def test_clouds_have_a_tile_for_each_point_at_most(tmp_path):
    write_clouds(tmp_path / "d", importance=METRICS)
    rows = stored(tmp_path / "d", "variance").reshape(4, 3, 10)
    coords, u = cloud(700, seed=1)
    domain = Domain(700, coords=coords)
    np.testing.assert_array_equal(rows[1, 2], tile_importance("variance", u[2], domain, tiles_in(domain, 10)))
    assert (rows[2, :, 6:] == 0).all()
    gradient = stored(tmp_path / "d", "gradient").reshape(4, 3, 10)
    np.testing.assert_array_equal(gradient[1, 0], tile_importance("gradient", u[0], domain, tiles_in(domain, 10)))


def test_zarr_opens_it_by_itself(tmp_path):
    write_grid(tmp_path / "d", importance=["variance"])
    array = zarr.open_array(tmp_path / "d/train/shard-000000.zarr/importance/variance", mode="r")
    assert (array.dtype, array.shape, array.metadata.dimension_names) == (np.float16, (35, 2), ("row", "tile"))
    np.testing.assert_array_equal(array[:], stored(tmp_path / "d", "variance"))


def test_a_frame_that_is_not_finite_prefers_no_tile(tmp_path):
    u = fields(0, 3, (16, 16))
    u[1, 4, 4] = np.nan
    with ShardWriter(tmp_path / "d", allow_nonfinite=True, importance=METRICS) as writer:
        writer.add({"u": u})
    assert np.isnan(stored(tmp_path / "d", "gradient")).all(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize("name", DATASETS)
def test_added_later_it_is_the_same(tmp_path, name):
    DATASETS[name](tmp_path / "at once", importance=METRICS)
    DATASETS[name](tmp_path / "later")
    seen = []
    manifest = add_importance(tmp_path / "later", METRICS, progress=lambda *done: seen.append(done))
    at_once = Manifest.load(tmp_path / "at once")
    assert manifest == Manifest.load(tmp_path / "later")
    assert manifest.importance == at_once.importance
    for metric, tiles in at_once.importance.items():
        for set_name in tiles:
            for split in at_once.splits:
                rows = [stored(tmp_path / d, metric, split, set_name or None) for d in ("later", "at once")]
                np.testing.assert_array_equal(*rows)
    assert verify_dataset(tmp_path / "later") == []
    assert seen == sorted(seen)
    total = sum(s.rows for split in manifest.splits.values() for s in split.shards)
    assert seen[-1] == (total, total)


def test_adding_rewrites_no_field(tmp_path):
    write_grid(tmp_path / "d", grid=(24, 20))
    before = (tmp_path / "d/train/shard-000000.zarr/fields/u/c/0/0/0/0").stat()
    add_importance(tmp_path / "d", ["gradient"])
    (shard,) = (tmp_path / "d/train").iterdir()
    after = (shard / "fields/u/c/0/0/0/0").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_one_metric_after_the_other(tmp_path):
    write_grid(tmp_path / "d", grid=(24, 20))
    gradient = add_importance(tmp_path / "d", ["gradient"])
    rows = stored(tmp_path / "d", "gradient")
    both = add_importance(tmp_path / "d", METRICS)
    assert list(gradient.importance) == ["gradient"]
    assert list(both.importance) == ["gradient", "variance"]
    np.testing.assert_array_equal(stored(tmp_path / "d", "gradient"), rows)
    assert verify_dataset(tmp_path / "d") == []
    before = (tmp_path / "d" / MANIFEST).stat().st_mtime_ns
    assert add_importance(tmp_path / "d", METRICS) == both
    assert (tmp_path / "d" / MANIFEST).stat().st_mtime_ns == before


KILLED = """
import os, sys
from pathlib import Path
import ups_data.writing.add_importance as module

root, where, after = sys.argv[1:]
owner, name = {
    "link": (os, "link"), "array": (module.ArrayWriter, "append"), "publish": (Path, "rename"),
    "manifest": (module.Manifest, "save"), "clean": (module, "_remove_unlisted"),
}[where]
wanted, calls = getattr(owner, name), 0

def until(*args, **options):
    global calls
    calls += 1
    if calls > int(after):
        os._exit(9)
    return wanted(*args, **options)

setattr(owner, name, until)
module.add_importance(root, ["gradient", "variance"])
"""


@pytest.mark.parametrize(("where", "after"), [("link", 7), ("array", 5), ("publish", 1), ("manifest", 0), ("clean", 1)])
def test_killed_at_any_moment_the_dataset_is_whole_and_the_command_goes_on(tmp_path, where, after):
    write_grid(tmp_path / "d", grid=(24, 20), steps=(5, 3, 7), shard_bytes=20_000)
    write_grid(tmp_path / "undisturbed", grid=(24, 20), steps=(5, 3, 7), shard_bytes=20_000)
    killed = warm.run(["-c", KILLED, tmp_path / "d", where, after])
    assert killed.returncode == 9
    assert verify_dataset(tmp_path / "d") == []
    found = add_importance(tmp_path / "d", METRICS)
    assert found == add_importance(tmp_path / "undisturbed", METRICS)
    assert verify_dataset(tmp_path / "d") == []
    left = {p.name for p in (tmp_path / "d/train").iterdir()}
    assert left == {s.path.removeprefix("train/") for s in found.split("train").shards}


def test_what_was_finished_is_taken_over_if_it_is_of_this_shard(tmp_path, monkeypatch):
    write_grid(tmp_path / "d", grid=(24, 20), steps=(5, 3, 7), shard_bytes=20_000)
    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            add_importance(tmp_path / "d", METRICS)
    shards = sorted((tmp_path / "d/train").glob("*-gradient-variance.zarr"))
    made = [s.stat().st_ino for s in shards]
    group = shards[0] / "importance/zarr.json"
    group.write_text(group.read_text().replace("sha256:", "sha256:0"))
    manifest = add_importance(tmp_path / "d", METRICS)
    assert [s.stat().st_ino == inode for s, inode in zip(shards, made, strict=True)] == [False, True]
    assert [s.path for s in manifest.split("train").shards] == [f"train/{s.name}" for s in shards]


def test_without_links_files_are_copied(tmp_path, monkeypatch):
    write_grid(tmp_path / "d", grid=(24, 20))
    link = os.link

    def refused(source, to):  # but zarr's own links
        if "shard-000000.zarr/" in str(source):
            raise PermissionError
        link(source, to)

    monkeypatch.setattr("os.link", refused)
    add_importance(tmp_path / "d", ["variance"])
    assert verify_dataset(tmp_path / "d") == []


def test_a_full_disk_leaves_the_dataset_as_it_was(tmp_path, monkeypatch):
    write_grid(tmp_path / "d", grid=(24, 20))

    def full(*_):
        raise OSError(28, "No space left on device", "file")

    monkeypatch.setattr("ups_data.writing.shard.array_writer.ArrayWriter.append", full)
    with pytest.raises(UpsDataError, match="No space left on device") as error:
        add_importance(tmp_path / "d", ["variance"])
    assert "\n" not in str(error.value)
    assert [p.name for p in (tmp_path / "d/train").iterdir()] == ["shard-000000.zarr"]
    assert verify_dataset(tmp_path / "d") == []


def test_one_at_a_time(tmp_path):
    write_grid(tmp_path / "d")
    with exclusive(tmp_path / "d" / MANIFEST), pytest.raises(UpsDataError, match="another process is at work"):
        add_importance(tmp_path / "d", ["variance"])


def test_refused(tmp_path):
    write_grid(tmp_path / "d", importance=["variance"])
    with pytest.raises(UpsDataError, match="no dataset here"):
        add_importance(tmp_path / "nowhere", ["variance"])
    with pytest.raises(UpsDataError, match="'gradients': choose one of gradient, variance"):
        add_importance(tmp_path / "d", ["gradients"])
    with pytest.raises(UpsDataError, match="'error' is fed back"):
        ShardWriter(tmp_path / "e", importance=["error"])
    assert not (tmp_path / "e").exists()
    manifest = Manifest.load(tmp_path / "d")
    with pytest.raises(UpsDataError, match=r"'gradient' \(it has variance\): add it with `ups-data importance DIR"):
        manifest.num_tiles("gradient")


@pytest.mark.parametrize("megabytes", [10, 40])
def test_memory_does_not_grow_with_the_file(tmp_path, megabytes):
    steps = megabytes * 1024**2 // (64 * 64 * 4 * 4)
    np.save(tmp_path / "f.npy", np.zeros((2, steps, 64, 64, 2), np.float32))
    tracemalloc.start()
    convert(tmp_path / "f.npy", tmp_path / "d", split={"train": 1.0}, importance=METRICS, codec="lz4")
    add_importance(tmp_path / "d", METRICS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25 * 1024**2
