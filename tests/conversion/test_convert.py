import tracemalloc
from collections import Counter

import numpy as np
import pytest

from tests.datasets import DARCY_PT, real
from tests.sources import files
from tests.writing.arrays import shards_of
from ups_data import UpsDataError
from ups_data.conversion.convert import convert
from ups_data.conversion.splits import assign_splits
from ups_data.schema import Manifest


@pytest.mark.parametrize(("megabytes", "blocks"), [(20, 1), (80, 1), (80, 16)])
def test_memory_does_not_grow_with_the_file(tmp_path, megabytes, blocks):
    steps = megabytes * 1024**2 // (256 * 256 * 4 * 2)
    file = np.lib.format.open_memmap(tmp_path / "f.npy", "w+", np.float32, (2, steps, 256, 256, 1))
    file[:] = 1.0
    del file
    tracemalloc.start()
    convert(tmp_path / "f.npy", tmp_path / "d", split={"train": 1.0}, codec="lz4", blocks=blocks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30 * 1024**2


def test_shares_become_whole_trajectories():
    for total in (1, 2, 3, 10, 12, 1000):
        splits = assign_splits([None] * total, None, seed=0)
        counts = Counter(splits)
        assert len(splits) == total
        assert counts["train"] >= 1
        if total >= 3:
            assert set(counts) == {"train", "valid", "test"}
        if total >= 10:
            assert abs(counts["train"] - 0.8 * total) <= 1
    assert Counter(assign_splits([None] * 1000, None, 0)) == {"train": 800, "valid": 100, "test": 100}


def test_splits_depend_on_the_seed_only():
    one, again, other = (assign_splits([None] * 50, None, seed) for seed in (0, 0, 1))
    assert one == again != other


def test_a_split_that_the_source_brings_is_kept():
    assert assign_splits(["train", "test"], None, 0) == ["train", "test"]
    with pytest.raises(UpsDataError, match="brings its own splits .* leave --split out"):
        assign_splits(["train", "test"], {"train": 1.0}, 0)
    with pytest.raises(UpsDataError, match="only some"):
        assign_splits(["train", None], None, 0)


def test_a_folder_of_splits(tmp_path):
    for split, count in (("train", 3), ("valid", 1), ("test", 2)):
        (tmp_path / "raw" / split).mkdir(parents=True)
        np.save(tmp_path / "raw" / split / "runs.npy", np.full((count, 2, 4, 4, 1), count, np.float32))
    convert(tmp_path / "raw", tmp_path / "d")
    splits = Manifest.load(tmp_path / "d").splits
    assert {n: (s.num_trajectories, s.statistics["data"].mean) for n, s in splits.items()} == {
        "train": (3, [3.0]),
        "valid": (1, [1.0]),
        "test": (2, [2.0]),
    }


def test_every_trajectory_arrives_once(tmp_path):
    convert(real(DARCY_PT), tmp_path / "d", shard_bytes=100_000)
    manifest = Manifest.load(tmp_path / "d")
    assert sum(s.num_trajectories for s in manifest.splits.values()) == 1000
    assert len(manifest.splits["train"].shards) > 5


def test_moving_particles(tmp_path):
    written = files.write_lagrangebench(tmp_path / "train.h5", points=(70, 90, 31), frames=5, dim=2)
    convert(tmp_path / "train.h5", tmp_path / "d", blocks=8, codec="lz4", cast="float32")
    manifest = Manifest.load(tmp_path / "d")
    assert manifest.points.moving
    assert manifest.points_of("train").tolist() == [70, 90, 31]
    (shard,) = shards_of(tmp_path / "d")
    for t, run in enumerate(written.values()):
        for step in range(5):
            assert np.array_equal(shard.positions(None, t, step), run["position"][step].astype(np.float32))


def test_surface_and_volume(tmp_path):
    runs = [
        files.write_case(
            tmp_path / "runs" / f"case_{i}",
            surface_position=files.values(40 + i, 3, seed=i),
            surface_pressure=files.values(40 + i, seed=10 + i),
            volume_position=files.values(90, 3, seed=20 + i),
            volume_velocity=files.values(90, 3, seed=30 + i),
        )
        for i in range(3)
    ]
    convert(tmp_path / "runs", tmp_path / "d", blocks=4, split={"train": 1.0})
    (shard,) = shards_of(tmp_path / "d")
    for t, run in enumerate(runs):
        assert np.array_equal(shard.frame("surface_pressure", t)[:, 0], run["surface_pressure"])
        assert np.array_equal(shard.frame("volume_velocity", t), run["volume_velocity"])
        for name in ("surface", "volume"):
            assert np.array_equal(shard.positions(name, t), run[f"{name}_position"])


def test_the_seed_deals_the_points(tmp_path):
    np.save(tmp_path / "f.npy", np.zeros((2, 2, 8, 8, 1), np.float32))
    for seed in (0, 1):
        convert(tmp_path / "f.npy", tmp_path / str(seed), blocks=4, seed=seed, split={"train": 1.0})
    one, other = (shards_of(tmp_path / str(seed))[0].geometry(None, 0) for seed in (0, 1))
    assert not np.array_equal(one.index, other.index)
