"""Ranks share an epoch: the same global batches for every number of them, and windows of their own."""

import math

import numpy as np
import pytest

from ups_data import UpsDataError, plan

FRAME = 4096


def table_of(windows, samples, frame=FRAME):
    """A table of equal windows, one frame a sample."""
    number = np.arange(windows * samples)
    zeros = np.zeros_like(number)
    window = number // samples
    return plan.SampleTable(number, zeros, zeros, number, zeros, window, np.full(windows, samples * frame))


def ranks_of(table, size, world, **options):
    options = {"seed": 1, "epoch": 3, "batch_size": size // world, "world_size": world, **options}
    return [plan.plan_epoch(table, rank=r, **options) for r in range(world)]


def whole_batches(plans):
    return [np.concatenate([p[b] for p in plans]) for b in range(len(plans[0]))]


def windows_touched(table, plans):
    """Windows that each rank needs in the epoch, as a share of all."""
    found = [np.unique(table.window[np.concatenate([p[b] for b in range(len(p))])]) for p in plans]
    return [len(w) / len(table.window_bytes) for w in found]


@pytest.mark.parametrize("options", [{}, {"drop_last": False}, {"drop_last": False, "pad": True}, {"shuffle": False}])
def test_every_number_of_ranks_gives_the_same_batches(options):
    table = table_of(60, 17)
    expected = whole_batches(ranks_of(table, 48, 1, **options))
    for world in (2, 4, 8):
        found = whole_batches(ranks_of(table, 48, world, **options))
        assert len(found) == len(expected)
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)), world


@pytest.mark.parametrize("samples", [*range(17, 49), 1000])
def test_a_small_rest_is_shared_alike_by_every_number_of_ranks(samples):
    bounds = [
        plan.batch_bounds(samples, batch_size=16 // world, world_size=world, drop_last=False).tolist()
        for world in (1, 2, 4, 8)
    ]
    assert bounds[1:] == bounds[:-1]
    assert np.diff(bounds[0]).min() >= 8


def test_the_order_is_that_of_before_with_one_canonical_rank(monkeypatch):
    """One canonical rank shuffles a group as a whole; eight deal the same samples of the same groups."""
    monkeypatch.setattr(plan.samples, "GROUP_BYTES", 10 * 17 * FRAME)
    table = table_of(60, 17)
    orders = [plan.plan_epoch(table, seed=0, epoch=0, batch_size=34, canonical_ranks=c).order for c in (1, 8)]
    assert not np.array_equal(*orders)
    for group in range(6):
        mine, theirs = (np.sort(order[170 * group : 170 * (group + 1)]) for order in orders)
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("world", [2, 4, 8])
def test_a_rank_decodes_its_share_of_the_windows(monkeypatch, world):
    monkeypatch.setattr(plan.samples, "GROUP_BYTES", 64 * 16 * FRAME)
    table = table_of(640, 16)
    before = windows_touched(table, ranks_of(table, 32, world, canonical_ranks=1))
    after = windows_touched(table, ranks_of(table, 32, world))
    print(f"\n{world} ranks: windows that a rank decodes, before {max(before):.3f}, now {max(after):.3f} of all")
    assert min(before) > 0.85
    # A group's stretches end within windows: one more window at either end, of 64.
    assert max(after) <= 1 / world + 2 / 64
    assert sum(after) >= 1


def test_large_windows_are_cut_between_ranks(monkeypatch):
    """Four windows to a group and eight ranks: each rank needs half a window of them, not all four."""
    monkeypatch.setattr(plan.samples, "GROUP_BYTES", 4 * 64 * FRAME)
    table = table_of(40, 64)
    for p in ranks_of(table, 32, 8):
        for group in range(10):
            rows = np.sort(np.concatenate([p[b] for b in range(8 * group, 8 * (group + 1))]))
            assert len(rows) == 32
            assert np.ptp(rows) == 31  # a run of half a window's rows


def test_ranks_that_do_not_divide_the_canonical_ones_still_share_every_sample():
    table = table_of(60, 17)
    for world in (3, 6, 16, 24):
        plans = ranks_of(table, 48, world, drop_last=False)
        assert len({len(p) for p in plans}) == 1
        assert np.array_equal(np.sort(np.concatenate(whole_batches(plans))), np.arange(len(table)))


def live_bytes(table, order):
    """Most bytes of the windows that are in use at one place of the order: between their first and last sample."""
    window = table.window[order]
    first, last = np.full(len(table.window_bytes), len(order)), np.full(len(table.window_bytes), -1)
    np.minimum.at(first, window, np.arange(len(order)))
    np.maximum.at(last, window, np.arange(len(order)))
    used = last >= 0
    change = np.zeros(len(order) + 1, np.int64)
    np.add.at(change, first[used], table.window_bytes[used])
    np.subtract.at(change, last[used] + 1, table.window_bytes[used])
    return int(np.cumsum(change).max())


@pytest.mark.parametrize("world", [1, 2, 8])
def test_no_rank_needs_more_than_a_group_at_once(monkeypatch, world):
    monkeypatch.setattr(plan.samples, "GROUP_BYTES", 30 * 10 * FRAME)
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 40, 300)
    window = np.repeat(np.arange(300), sizes)
    number = np.arange(len(window))
    table = plan.SampleTable(number, number, number, number, number, window, sizes * FRAME)
    for p in ranks_of(table, 32, world, drop_last=False):
        mine = np.concatenate([p[b] for b in range(len(p))])
        assert live_bytes(table, mine) <= plan.samples.GROUP_BYTES
    # What it replaced, one shuffle of everything, would need more.
    assert live_bytes(table, rng.permutation(len(table))) > 3 * plan.samples.GROUP_BYTES


def test_samples_of_a_batch_come_from_all_over_the_group(monkeypatch):
    monkeypatch.setattr(plan.samples, "GROUP_BYTES", 64 * 16 * FRAME)
    table = table_of(640, 16)
    (p,) = ranks_of(table, 32, 1)
    distinct = [len(set(table.window[p[b]].tolist())) for b in range(len(p))]
    assert min(distinct) >= 16
    assert np.mean(distinct) > 25  # of 32 samples, over 64 windows


@pytest.mark.parametrize("samples", [1, 3, 16, 17, 31, 100])
def test_padding_gives_every_batch_one_shape(samples):
    table = table_of(1, samples)
    expected = None
    for world in (1, 2, 4, 8):
        plans = ranks_of(table, 16, world, drop_last=False, pad=True, shuffle=False)
        assert {len(p) for p in plans} == {math.ceil(samples / 16)}
        assert {len(p[b]) for p in plans for b in range(len(p))} == {16 // world}
        order, valid = (
            np.concatenate([part for b in range(len(plans[0])) for part in parts(b)])
            for parts in ((lambda b: [p[b] for p in plans]), (lambda b: [p.valid(b) for p in plans]))  # noqa: B023
        )
        assert order[valid].tolist() == list(range(samples))  # each sample once, in order, in evaluation
        assert set(order.tolist()) == set(range(samples))
        found = (order.tolist(), valid.tolist())
        assert found == (expected or found)
        expected = found


def test_padding_repeats_samples_that_the_rank_has():
    plans = ranks_of(table_of(60, 17), 48, 8, drop_last=False, pad=True)
    for p in plans:
        last, valid = p[len(p) - 1], p.valid(len(p) - 1)
        assert not valid.all()
        assert set(last[~valid]) <= set(last[valid])
        assert p.valid(0).all()


def test_batches_without_padding_are_all_valid():
    (p,) = ranks_of(table_of(60, 17), 48, 1, drop_last=False)
    assert [len(p.valid(b)) for b in range(len(p))] == [len(p[b]) for b in range(len(p))]
    assert all(p.valid(b).all() for b in range(len(p)))


def test_contradictions_are_refused():
    with pytest.raises(UpsDataError, match="give one of them"):
        plan.plan_epoch(table_of(4, 4), seed=0, epoch=0, batch_size=4, pad=True)
    with pytest.raises(UpsDataError, match="canonical_ranks is 0: give at least 1"):
        plan.plan_epoch(table_of(4, 4), seed=0, epoch=0, batch_size=4, canonical_ranks=0)
