import tracemalloc
from collections import Counter

import numpy as np
import pytest

from tests.datasets import DARCY_PT, real
from ups_data import UpsDataError
from ups_data.schema import Manifest
from ups_data.shards.convert import assign_splits, convert


@pytest.mark.parametrize("megabytes", [20, 80])
def test_memory_does_not_grow_with_the_file(tmp_path, megabytes):
    steps = megabytes * 1024**2 // (256 * 256 * 4 * 2)
    file = np.lib.format.open_memmap(tmp_path / "f.npy", "w+", np.float32, (2, steps, 256, 256, 1))
    file[:] = 1.0
    del file
    tracemalloc.start()
    convert(tmp_path / "f.npy", tmp_path / "d", split={"train": 1.0}, codec="lz4")
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
