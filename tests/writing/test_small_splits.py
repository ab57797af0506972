"""A chunk of a small split is no larger than the split."""

import numpy as np
import pytest

from tests.writing.arrays import agreed, shards_of
from ups_data import ShardWriter
from ups_data.schema import Manifest
from ups_data.store.verify import verify_dataset

ROWS = {"train": 40, "valid": 5, "test": 5}
POINTS = np.random.default_rng(0).uniform(size=(256, 2)).astype(np.float32)


def samples(split: str) -> np.ndarray:
    return np.random.default_rng(ROWS[split]).standard_normal((ROWS[split], 1, 16, 16, 1)).astype(np.float32)


def write(root, points: bool = False, **options) -> None:
    with ShardWriter(root, **options) as writer:
        for split in ROWS:
            for u in samples(split):
                frames, coords = (u.reshape(1, 256, 1), {"coords": POINTS}) if points else (u, {})
                writer.add({"u": frames}, split=split, static={"a": 2 * frames[0]}, **coords)


@pytest.mark.parametrize("codec", ["none", "zstd"])
@pytest.mark.parametrize("options", [{}, {"blocks": 4}, {"points": True}, {"importance": ["gradient"]}], ids=str)
def test_a_chunk_is_no_longer_than_the_split(tmp_path, codec, options):
    write(tmp_path / "d", codec=codec, **options)
    assert not list(verify_dataset(tmp_path / "d", threads=1))
    for split, rows in ROWS.items():
        (shard,) = shards_of(tmp_path / "d", split)
        for name, factor in (("u", 1), ("a", 2)):
            array = shard.field(name)
            assert array.chunk_rows <= rows
            frames = np.stack([shard.frame(name, k) for k in range(rows)])
            agreed(array, shard.path / "fields" / name)
            np.testing.assert_array_equal(frames.reshape(rows, 256), factor * samples(split).reshape(rows, 256))


def test_fifty_samples_take_the_room_of_their_values(tmp_path):
    write(tmp_path / "d")
    objects = [p for p in (tmp_path / "d").rglob("fields/*/c/**/*") if p.is_file()]
    values = 2 * 50 * 256 * 4
    assert values < sum(p.stat().st_size for p in objects) < values + 1000


def test_an_array_of_more_than_a_chunk_keeps_whole_ones(tmp_path):
    with ShardWriter(tmp_path / "d") as writer:
        for rows in (600, 40):
            writer.add({"u": np.ones((rows, 16, 16, 1), np.float32)}, split=f"r{rows}")
    rows = Manifest.load(tmp_path / "d").field("u").chunk_rows
    assert 40 < rows < 600
    (shard,) = shards_of(tmp_path / "d", "r600")
    assert shard.field("u").chunk_rows == rows
    agreed(shard.field("u"), shard.path / "fields/u")
