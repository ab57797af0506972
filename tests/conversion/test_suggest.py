"""What a draw costs to read, against what is fetched; how many blocks are suggested."""

import numpy as np
import pytest

from tests.writing.arrays import shards_of
from ups_data import ShardWriter, UpsDataError
from ups_data.conversion.suggest import FrameSize, candidates, dataset_cost, query_cost, suggest, trajectory_sizes
from ups_data.schema import Manifest
from ups_data.trajectory import PointSet, Trajectory
from ups_data.writing import chunks

GRID = FrameSize((128, 128), 128**2, 21, (16,))
CLOUD = FrameSize(None, 1 << 20, 1, (16,), 16)


def test_a_draw_takes_whole_blocks():
    cost = query_cost(GRID, 16, 0.1)
    assert (cost.block_points, cost.chunk_rows, cost.queries, cost.drawn) == (1024, 1, 1638, 2)
    assert (cost.frame, cost.used, cost.read, cost.chunks) == (262144, 1638 * 16, 2 * 1024 * 16, 2)


def test_coordinates_of_points_are_read_with_them():
    cost = query_cost(CLOUD, 64, 1 / 64)
    assert cost.read == cost.used == 16384 * 32
    assert cost.chunks == 2


def test_whole_frames_are_read_once_for_all_that_share_a_chunk():
    cost = query_cost(FrameSize((1024,), 1024, 201, (4,)), 1, 0.1)
    assert (cost.read, cost.chunk_rows) == (4096, 67)
    assert cost.chunks == pytest.approx(1 / 67)


@pytest.mark.parametrize("k", [1, 3])
def test_the_estimate_is_what_draws_fetch_on_average(tmp_path, monkeypatch, k):
    """Every frame of a trajectory draws 2 of 16 blocks at random, and a pool keeps every chunk."""
    monkeypatch.setattr(chunks, "BLOCK", k * 64 * 8)
    monkeypatch.setattr(chunks.rows_of_block_chunk, "__defaults__", (k * 64 * 8,))
    with ShardWriter(tmp_path / "d", blocks=16) as writer:
        writer.add({"u": np.zeros((12, 32, 32, 2), np.float32)})
    cost = dataset_cost(Manifest.load(tmp_path / "d"), 0.125)
    assert (cost.chunk_rows, cost.drawn) == (k, 2)
    (shard,) = shards_of(tmp_path / "d")
    rng, fetched = np.random.default_rng(0), []
    for _ in range(200):
        drawn = {(t // k, b) for t in range(12) for b in rng.permutation(16)[:2]}
        fetched.append(len(drawn))
    chunk = shard.field("u").chunk(0).nbytes
    assert cost.read == pytest.approx(np.mean(fetched) * chunk / 12, rel=0.03)


@pytest.mark.parametrize(
    ("size", "ratio", "blocks"),
    [
        (GRID, 0.1, 9),  # one block of 1/9 holds the draw; the next, 1/16, takes two
        (FrameSize((64, 64, 64), 64**3, 12, (16,)), 0.02, 125),
        (CLOUD, 1 / 64, 64),  # exactly the draw
        (FrameSize((1024,), 1024, 201, (4,)), 0.1, 1),  # a whole frame is 4 kB
        (GRID, 1.0, 1),  # dense
    ],
)
def test_suggestions(size, ratio, blocks):
    found = suggest([size], ratio)
    assert found.chosen.blocks == blocks
    assert found.chosen in found.costs
    assert f"{found.chosen.frame / 1e3:,.1f} kB" in found.why


def test_only_numbers_that_fit_are_tried():
    assert candidates(FrameSize((6, 7), 42, 1, (4,)), 0.1) == [1, 4, 9, 16, 25, 36]
    assert candidates(FrameSize((3, 3, 3), 27, 1, (4,)), 0.1) == [1, 8, 27]
    assert candidates(FrameSize((40,), 40, 1, (4,)), 0.1) == [1, 2, 4, 8, 10, 16, 20, 32, 40]


def test_sizes_of_a_trajectory_need_no_data():
    class Unread:
        shape, dtype = (5, 8, 8, 3), np.dtype(np.float32)

        def __getitem__(self, key):
            raise AssertionError("read")

    run = Trajectory("a", "f", {"u": Unread()}, {"k": np.zeros((8, 8, 1), np.uint8)})
    assert trajectory_sizes(run) == [FrameSize((8, 8), 64, 5, (12, 4))]
    with pytest.raises(UpsDataError, match="cast it"):
        trajectory_sizes(Trajectory("a", "f", {"u": np.zeros((2, 4, 4, 1))}))
    surface = PointSet(np.zeros((10, 3)), {"p": np.zeros((2, 10, 1), np.float32)})
    volume = PointSet(np.zeros((2, 50, 2)), {"v": np.zeros((2, 50, 2), np.float32)})
    sets = Trajectory("a", "f", {}, sets={"surface": surface, "volume": volume})
    assert trajectory_sizes(sets) == [FrameSize(None, 10, 2, (4,), 16), FrameSize(None, 50, 2, (8,), 12)]


def test_several_sets_add_up(tmp_path):
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path / "d", blocks=10) as writer:
        for n in (100, 120):
            sets = {
                "s": PointSet(rng.random((n, 3)), {"p": np.zeros((2, n, 1), np.float32)}),
                "v": PointSet(rng.random((500, 3)), {"u": np.zeros((2, 500, 3), np.float32)}),
            }
            writer.add(sets=sets)
    cost = dataset_cost(Manifest.load(tmp_path / "d"), 0.1)
    assert cost.queries == 12 + 50
    assert cost.frame == 120 * (4 + 16) + 500 * (12 + 16)
    assert (cost.blocks, cost.block_points) == (10, 50)
