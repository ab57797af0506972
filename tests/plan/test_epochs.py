import numpy as np
import pytest

from tests.datasets import write_grid
from ups_data import UpsDataError, plan
from ups_data.schema import Manifest
from ups_data.writing import layout


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    root = tmp_path_factory.mktemp("plan") / "d"
    # Several shards, trajectories of unequal length, a frame to a chunk.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "CHUNK_BYTES", 960)
        write_grid(root, steps=(7, 7, 5, 9, 7, 30, 2), shard_bytes=12_000)
    loaded = Manifest.load(root)
    assert len(loaded.splits["train"].shards) > 2
    return loaded


def table_of(manifest, **options):
    return plan.sample_table(manifest, "train", ["u"], **options)


def test_every_frame_with_room_around_it_is_a_sample(manifest):
    table = table_of(manifest, input_steps=2, horizon=2, dt_stride=2)
    expected = [(i, s) for i, t in enumerate((7, 7, 5, 9, 7, 30, 2)) for s in range(2, t - 4)]
    assert list(zip(table.trajectory.tolist(), table.step.tolist(), strict=True)) == expected


def test_rows_are_where_the_shards_hold_the_frames(manifest):
    table = table_of(manifest)
    start, first = {}, 0
    for number, shard in enumerate(manifest.splits["train"].shards):
        row = 0
        for local, steps in enumerate(shard.steps):
            start[first] = (number, row, local)
            first, row = first + 1, row + steps
    for trajectory, step, shard, row, local in zip(
        table.trajectory, table.step, table.shard, table.row, table.static_row, strict=True
    ):
        assert (shard, row - step, local) == start[trajectory]


def test_a_horizon_longer_than_every_trajectory_is_refused(manifest):
    with pytest.raises(UpsDataError, match="longest trajectory has 30 frames, a sample spans 31"):
        table_of(manifest, horizon=30)
    assert len(table_of(manifest, horizon=29)) == 1


def test_windows_are_runs_of_one_shard_and_hold_short_trajectories_whole(manifest, monkeypatch):
    monkeypatch.setattr(plan.samples, "WINDOW_BYTES", 8 * 960)  # eight frames
    monkeypatch.setattr(plan.samples, "SPANS_PER_WINDOW", 1)
    table = table_of(manifest)
    assert (np.diff(table.window) >= 0).all()
    assert table.window.max() > 4
    for window in range(table.window.max() + 1):
        assert len(set(table.shard[table.window == window])) == 1
    for trajectory in set(table.trajectory.tolist()):
        windows = set(table.window[table.trajectory == trajectory].tolist())
        assert len(windows) == 1 or (table.trajectory == trajectory).sum() > 16


@pytest.mark.parametrize("shuffle", [True, False])
def test_an_epoch_holds_every_sample_once(manifest, shuffle):
    table = table_of(manifest)
    order = plan.epoch_order(table, seed=3, epoch=5, shuffle=shuffle)
    assert np.array_equal(np.sort(order), np.arange(len(table)))
    assert np.array_equal(order, np.arange(len(table))) is not shuffle


def test_epochs_and_seeds_differ_and_repeat(manifest):
    table = table_of(manifest)
    orders = {(s, e): plan.epoch_order(table, seed=s, epoch=e, shuffle=True).tobytes() for s in (0, 1) for e in (0, 1)}
    assert len(set(orders.values())) == 4
    assert orders[1, 0] == plan.epoch_order(table, seed=1, epoch=0, shuffle=True).tobytes()


def test_groups_bound_what_is_in_use_at_once(manifest, monkeypatch):
    """Samples of a window lie together, within a run as long as a group."""
    monkeypatch.setattr(plan.samples, "WINDOW_BYTES", 8 * 960)
    monkeypatch.setattr(plan.samples, "SPANS_PER_WINDOW", 1)
    monkeypatch.setattr(plan.samples, "GROUP_BYTES", 40 * 960)
    table = table_of(manifest)
    place = np.empty(len(table), int)
    place[plan.epoch_order(table, seed=0, epoch=0, shuffle=True)] = np.arange(len(table))
    longest = np.bincount(table.window).max()
    spans = [np.ptp(place[table.window == w]) for w in range(table.window.max() + 1)]
    assert max(spans) < 40
    assert max(spans) > longest  # windows are mixed, not read one by one


def test_first_samples_are_uniform_over_the_split(manifest, monkeypatch):
    monkeypatch.setattr(plan.samples, "WINDOW_BYTES", 4 * 960)
    monkeypatch.setattr(plan.samples, "GROUP_BYTES", 16 * 960)
    table = table_of(manifest)
    first = [plan.epoch_order(table, seed=0, epoch=e, shuffle=True)[0] for e in range(2000)]
    counts = np.bincount(table.window[first], minlength=table.window.max() + 1)
    share = counts / len(first)
    # A window comes first as often as its share of its group's samples: never absent, never dominant.
    assert share.min() > 0.2 / len(share)
    assert share.max() < 4 / len(share)


@pytest.mark.parametrize("world", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("drop_last", [True, False])
def test_ranks_share_the_global_batches_of_one_process(manifest, world, drop_last):
    table = table_of(manifest)
    options = {"seed": 0, "epoch": 2, "drop_last": drop_last}
    whole = plan.plan_epoch(table, batch_size=12, **options)
    ranks = [plan.plan_epoch(table, batch_size=12 // world, rank=r, world_size=world, **options) for r in range(world)]
    assert {len(p) for p in ranks} == {len(whole)}
    for batch in range(len(whole)):
        assert np.array_equal(np.concatenate([p[batch] for p in ranks]), whole[batch])
    if not drop_last:
        assert sum(len(whole[b]) for b in range(len(whole))) == len(table)


@pytest.mark.parametrize("samples", range(8, 60))
@pytest.mark.parametrize(("size", "world"), [(1, 2), (2, 3), (2, 4), (4, 2)])
def test_no_rank_is_left_without_a_batch(samples, size, world):
    if size == 1 and samples % world:
        with pytest.raises(UpsDataError, match="do not give each of 2 rank"):
            plan.batch_bounds(samples, batch_size=size, world_size=world, drop_last=False)
        return
    bounds = plan.batch_bounds(samples, batch_size=size, world_size=world, drop_last=False)
    sizes = np.diff(bounds)
    assert (bounds[0], bounds[-1]) == (0, samples)
    assert sizes.min() >= world
    assert sizes.max() <= size * world


def test_too_few_samples_for_a_batch_is_an_error_not_an_empty_epoch():
    with pytest.raises(UpsDataError, match="lower batch_size, or set drop_last=False"):
        plan.batch_bounds(7, batch_size=8, world_size=1, drop_last=True)
