"""Errors fed back: averages over tiles, tables that change with a window only, in every worker and in the state."""

import itertools

import numpy as np
import pytest
import torch

from tests.datasets import fields, write_grid
from tests.warm_ranks import ended, start
from ups_data import QueryLoader, QuerySampling, ShardWriter, UpsDataError
from ups_data.loader.feedback.averages import TileAverages, zero_table
from ups_data.points.domain import Domain
from ups_data.points.tiles import tiles_in

GRID = (24, 20)  # 480 points: 8 tiles
SAMPLING = QuerySampling(ratio=0.1, mode="importance", importance_metric="error")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("feedback") / "d"
    write_grid(root, grid=GRID, steps=(6,) * 6)
    return root


def loader(root, sampling=SAMPLING, **options):
    return QueryLoader(root, **{"split": "train", "batch_size": 5, "sampling": sampling, "seed": 2, **options})


def error_of(batch):
    """Ten times larger in tiles 2 and 5, and in trajectory 3 a hundred times in tile 7; large numbers in all."""
    tile = torch.from_numpy(tiles_in(Domain(480, GRID), 8).of_point)[batch.target_queries.index]
    error = 1.0 + 9.0 * ((tile == 2) | (tile == 5))
    return error + 99.0 * ((tile == 7) & (batch.trajectory == 3).view(-1, *[1] * (tile.dim() - 1)))


def passes(source, epochs, error=error_of):
    """The points of every sample, epoch by epoch."""
    found = []
    for _ in range(epochs):
        drawn = {}
        for batch in source:
            for run, step, index in zip(batch.trajectory, batch.step, batch.target_queries.index, strict=True):
                drawn[int(run), int(step)] = index.tolist()
            source.feedback(batch, error(batch))
        found.append(drawn)
    return found


def per_tile(drawn, run=0):
    """Points of a trajectory in each tile, over all its samples."""
    tiles = tiles_in(Domain(480, GRID), 8).of_point
    return np.bincount(tiles[np.concatenate([i for (r, _), i in drawn.items() if r == run])], minlength=8)


def test_tiles_are_drawn_by_their_errors_from_the_second_window_on(root):
    first, second = passes(loader(root), 2)
    assert per_tile(first).max() <= 36  # 240 points: 30 a tile
    expected = 240 * (0.9 * np.where(np.isin(np.arange(8), (2, 5)), 10, 1) / 26 + 0.1 / 8)
    assert np.abs(per_tile(second) - expected).max() <= 5
    assert per_tile(second, run=3)[7] > 120


def test_shared_by_all_trajectories(root):
    shared = SAMPLING.model_copy(update={"importance_shared": True})
    source = loader(root, shared)
    _, second = passes(source, 2)
    assert source._source.errors[None].shape == (1, 8)
    assert np.abs(per_tile(second, run=3) - per_tile(second, run=0)).max() <= 6


@pytest.mark.parametrize("window", [1, 2, 3])
def test_nothing_changes_within_a_window(root, window):
    """Errors that jump about: tables change where a window begins and nowhere else."""
    sampling = SAMPLING.model_copy(update={"importance_window": window})
    source, tables = loader(root, sampling), []
    for epoch in range(7):
        for number, batch in enumerate(source):
            source.feedback(batch, torch.rand(batch.target_queries.index.shape) * (1 + epoch))
            tables.append((epoch // window, source._source.errors[None].clone(), number))
    for (one, before, _), (other, after, _) in itertools.pairwise(tables):
        assert torch.equal(before, after) == (one == other)


@pytest.mark.parametrize("options", [{"threads": 3}, {"num_workers": 2}, {"num_workers": 1, "prefetch": 4}])
def test_it_reaches_persistent_workers(root, options):
    assert passes(loader(root, **options), 4) == passes(loader(root, threads=0), 4)


def test_a_batch_made_ahead_for_a_device_changes_nothing(root):
    moved = loader(root).to("meta")
    for batch in moved:
        assert batch.target_queries.index.is_meta
        assert set(moved.state_dict()["feedback"]) == {""}


@pytest.mark.parametrize("stop", [0, 1, 4, 5, 7, 12])
@pytest.mark.parametrize("workers", [0, 2])
def test_resume_in_the_middle(root, stop, workers):
    if workers and stop not in (4, 7):
        return
    sampling = SAMPLING.model_copy(update={"importance_window": 2})

    def steps(source, number):
        found = []
        stream = itertools.chain.from_iterable(source for _ in range(9))
        for batch in itertools.islice(stream, number):
            source.feedback(batch, error_of(batch) * (1 + batch.step[:, None]))
            found.append(batch.target_queries.index.tolist())
        return found

    source = loader(root, sampling)
    assert len(source) == 6
    expected = steps(source, 20)
    source = loader(root, sampling)
    stream = itertools.chain.from_iterable(source for _ in range(9))
    for batch in itertools.islice(stream, stop):
        source.feedback(batch, error_of(batch) * (1 + batch.step[:, None]))
    state = source.state_dict()
    resumed = loader(root, sampling, num_workers=workers)
    resumed.load_state_dict(state)
    assert steps(resumed, 20 - stop) == expected[stop:]


def test_the_state_is_plain_and_of_this_sampling(root, tmp_path):
    source = loader(root)
    passes(source, 1)
    torch.save(source.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    loader(root).load_state_dict(state)
    with pytest.raises(UpsDataError, match="sampling.mode was 'importance' and is not given"):
        loader(root, QuerySampling(ratio=0.1)).load_state_dict(state)
    with pytest.raises(UpsDataError, match=r"errors of the sets \[\], this sampling looks at those of \[''\]"):
        loader(root).load_state_dict({**state, "feedback": {}})
    shared = loader(root, SAMPLING.model_copy(update={"importance_shared": True}))
    with pytest.raises(UpsDataError, match="importance_shared was not given and is True"):
        shared.load_state_dict(state)
    with pytest.raises(UpsDataError, match=r"errors of \(6, 8\) .* this run has \(1, 8\)"):
        shared._feedback.load_state_dict(state["feedback"])
    plain = loader(root, QuerySampling(ratio=0.1))
    assert plain.state_dict()["feedback"] == {}
    plain.load_state_dict(plain.state_dict())


def test_without_the_metric_nothing_happens(root):
    source = loader(root, QuerySampling(ratio=0.1))
    for batch in source:
        source.feedback(batch, torch.ones(batch.target_queries.index.shape))
    assert source.state_dict()["feedback"] == {}


def test_errors_of_another_shape_are_refused(root):
    source = loader(root)
    batch = next(iter(source))
    with pytest.raises(UpsDataError, match=r"errors have shape \(5, 3\), the batch's target queries \(5, 48\)"):
        source.feedback(batch, torch.ones(5, 3))
    with pytest.raises(UpsDataError, match=r"errors of the sets \[.surface.\], the batch has those of \[None\]"):
        source.feedback(batch, {"surface": torch.ones(5, 48)})


@pytest.mark.parametrize("options", [{"horizon": 3}, {"horizon": 0}, {"inputs": SAMPLING}])
def test_every_kind_of_batch(root, options):
    first, second = (passes(loader(root, input_queries=False, drop_last=False, **options), 2)[e] for e in (0, 1))
    assert first.keys() == second.keys()
    flat = {key: np.ravel(index) for key, index in second.items()}
    assert per_tile(flat)[[2, 5]].min() > 2 * per_tile(flat)[[0, 1, 3, 4, 6, 7]].max()


def test_dense_epochs_feed_back_too(root):
    """Before its start a constant schedule draws every point: the best time to learn the errors."""
    sampling = SAMPLING.model_copy(update={"start_epoch": 1})
    first, second = passes(loader(root, sampling), 2)
    assert {len(i) for i in first.values()} == {480}
    assert per_tile(second)[[2, 5]].min() > 2 * per_tile(second)[[0, 1, 3, 4, 6, 7]].max()


@pytest.mark.parametrize("ragged", ["sample", "pad"])
def test_clouds(tmp_path, ragged):
    """A table has as many tiles as the largest cloud; padded queries do not count."""
    counts = (300, 640, 6)
    rng = np.random.default_rng(0)
    clouds = [rng.random((n, 2)).astype(np.float32) for n in counts]
    with ShardWriter(tmp_path / "d") as writer:
        for x in clouds:
            writer.add({"u": fields(len(x), 4, (len(x),))}, coords=x)
    sampling = QuerySampling(ratio=0.5, mode="importance", importance_metric="error")
    source = loader(tmp_path / "d", sampling, batch_size=3, ragged=ragged)
    for batch in itertools.chain.from_iterable(source for _ in range(12)):
        queries, error = batch.target_queries, torch.ones(batch.target_queries.index.shape)
        if queries.mask is not None:
            error[~queries.mask] = 1e9
        error[(batch.trajectory[:, None] == 1) & (queries.coords[..., 0] < 0.5)] = 50.0
        source.feedback(batch, error)
    next(iter(source))
    table = source._source.errors[None]
    assert table.shape == (3, 10)
    assert table[0].unique().tolist() == [1.0]
    tiles = tiles_in(Domain(640, coords=clouds[1]), 10)
    left = tiles.mean((clouds[1][:, 0] < 0.5).astype(float))
    assert np.corrcoef(left, table[1].numpy())[0, 1] > 0.9


def averages(rows=2, tiles=4, window=1, decay=0.5):
    return TileAverages(zero_table(rows, tiles), window=window, decay=decay)


def fed(one, trajectory, index, errors, mask=None):
    tiles = np.arange(8, dtype=np.int32) // 2  # eight points, two a tile
    one.add(torch.tensor(trajectory), torch.tensor(index), torch.tensor(errors), lambda _: [tiles], mask)


def test_averages():
    one = averages()
    fed(one, [0, 0], [[0, 1, 2], [0, 3, 4]], [[1.0, 3.0, -4.0], [2.0, 6.0, float("nan")]])
    one.begin(1)
    assert one.table.tolist() == [[2.0, 5.0, 3.5, 3.5], [0, 0, 0, 0]]  # tiles 2 and 3 were not seen: the others' mean
    fed(one, [0, 1], [[0], [7]], [[6.0], [3.0]])
    one.begin(2)
    assert one.table.tolist() == [[4.0, 5.0, 4.5, 4.5], [3.0, 3.0, 3.0, 3.0]]


def test_tables_of_ten_thousand_trajectories():
    """128 × 128 points, 256 tiles: their size does not depend on the number of frames."""
    averages = TileAverages(zero_table(10_000, 256), window=1, decay=0.5)
    held = {name: value.nbytes for name, value in averages.state_dict().items() if isinstance(value, torch.Tensor)}
    print(f"errors of 10,000 trajectories: {sum(held.values()) / 1e6:.0f} MB, {held}")
    assert sum(held.values()) < 64e6


def test_a_window_takes_every_epoch_into_the_average():
    one = averages(rows=1, window=3)
    for epoch, error in enumerate((8.0, 4.0, 2.0)):
        one.begin(epoch)
        assert one.table.unique().tolist() == [0.0]
        fed(one, [0], [[0]], [[error]])
    one.begin(3)
    assert one.table.unique().tolist() == [4.0]  # ((8 + 4) / 2 + 2) / 2


def test_two_ranks_add_up():
    """Sums and counts, not means: a rank that saw more counts for more."""
    ranks, together = [averages(rows=1), averages(rows=1)], averages(rows=1)
    seen = ([[0, 1, 2]], [[1.0, 2.0, 5.0]]), ([[0]], [[6.0]])
    for rank, (index, errors) in zip(ranks, seen, strict=True):
        fed(rank, [0], index, errors)
        fed(together, [0], index, errors)
    summed = sum(np.stack([rank._sum, rank._count]) for rank in ranks)
    for rank in ranks:
        rank.begin(1, lambda _: summed)
    together.begin(1)
    assert torch.equal(ranks[0].table, together.table)
    assert torch.equal(ranks[1].table, together.table)
    assert together.table[0, 0] == 3.0


def test_errors_that_all_ranks_were_told_go_to_one_of_them(root):
    source = loader(root)
    source.feedback(batch := next(iter(source)), error_of(batch))
    state = source.state_dict()
    ranks = [loader(root, batch_size=1, rank=r, world_size=5) for r in range(5)]
    for rank in ranks:
        rank.load_state_dict(state)
    sums = [rank._feedback._averages[None]._sum for rank in ranks]
    assert sums[0].sum() > 0
    assert not np.any(sums[1:])


def test_a_rank_that_is_only_played_keeps_its_own(root):
    ranks = [loader(root, batch_size=1, rank=r, world_size=5) for r in range(5)]
    for rank in ranks:
        rank.feedback(batch := next(iter(rank)), error_of(batch))
    state = ranks[3].state_dict()
    again = loader(root, batch_size=1, rank=3, world_size=5)
    again.load_state_dict(state)
    assert again._feedback._averages[None]._sum.sum() == ranks[3]._feedback._averages[None]._sum.sum() > 0
    with pytest.raises(UpsDataError, match="errors of rank 3 alone, this is rank 0: give each rank its own"):
        ranks[0].load_state_dict(state)


def test_sums_do_not_depend_on_who_adds_them():
    """Errors over five decades, added in any order and in any parts, to the last bit."""
    rng = np.random.default_rng(0)
    index, errors = rng.integers(0, 8, (60, 500)), 10.0 ** rng.uniform(-5, 0, (60, 500))
    sums = []
    for parts in (1, 3, 20):
        ranks, order = [averages(rows=1) for _ in range(parts)], rng.permutation(60)
        for number, one in enumerate(ranks):
            mine = order[number::parts]
            fed(one, [0] * len(mine), index[mine], errors[mine])
        sums.append(np.sum([one._sum for one in ranks[::-1]], axis=0))
    assert np.array_equal(sums[0], sums[1])
    assert np.array_equal(sums[0], sums[2])
    exact = [errors[index // 2 == tile].sum() for tile in range(4)]
    assert sums[0][0] == pytest.approx(exact, rel=1e-5)


SCRIPT = """
import sys
import torch
import torch.distributed as dist
from ups_data import QueryLoader, QuerySampling

if __name__ == "__main__":
    root, out, workers = sys.argv[1:]
    dist.init_process_group("gloo")
    sampling = QuerySampling(ratio=0.1, mode="importance", importance_metric="error")
    loader = QueryLoader(root, split="train", batch_size=8 // dist.get_world_size(), sampling=sampling,
                         num_workers=int(workers))
    drawn = []
    for epoch in range(3):
        for batch in loader:
            loader.feedback(batch, 1.0 + batch.target_queries.index % 7)
            drawn.append(batch.target_queries.index.clone())
    torch.save((drawn, loader._source.errors[None]), f"{out}.{dist.get_rank()}")
    dist.barrier()
    dist.destroy_process_group()
"""


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_ranks_share_what_was_fed_back(tmp_path, root, workers):
    """Whole numbers add up exactly, in whatever order: two ranks draw what one process draws."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = (tmp_path / "script.py", root, tmp_path / "out", workers)
    assert ended(start(2, *command, log=tmp_path / "log")) == [0, 0]
    (first, table_of_first), (second, table_of_second) = (torch.load(tmp_path / f"out.{rank}") for rank in range(2))
    source, expected = loader(root, batch_size=8, seed=0), []
    for batch in itertools.chain.from_iterable(source for _ in range(3)):
        source.feedback(batch, 1.0 + batch.target_queries.index % 7)
        expected.append(batch.target_queries.index)
    table = source._source.errors[None]
    assert torch.equal(table_of_first, table)
    assert torch.equal(table_of_second, table)
    assert table.unique().numel() > 10
    for whole, *parts in zip(expected, first, second, strict=True):
        assert torch.equal(torch.cat(parts), whole)
