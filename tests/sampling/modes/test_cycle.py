"""Draws without repetition: every point once before any twice, and each epoch a draw like any other."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.sampling.cases import DOMAINS, SMALLEST_P, grid, keys
from ups_data import QueryLoader, UpsDataError
from ups_data.points.domain import Domain
from ups_data.sampling import QuerySampling, Stream, draw_queries, sample_keys
from ups_data.sampling.modes import cycle as cycle_module

MODES = ["uniform", "stratified"]
CASES = [
    (name, mode, count)
    for name in ("1d", "1d odd", "2d", "2d odd", "3d odd", "cloud 2d", "tiny")
    for mode in MODES
    for count in sorted({max(1, DOMAINS[name].num_points // 10), DOMAINS[name].num_points // 2})
]


def drawn(domain: Domain, mode: str, count: int, epoch: int, number: int = 20) -> np.ndarray:
    sampling = QuerySampling(num_queries=count, mode=mode, cycle=True)
    return draw_queries(sampling, domain, keys(number), epoch).points


def times_seen(rows: list[np.ndarray], total: int) -> np.ndarray:
    """(B, N)."""
    return np.sum([[np.bincount(row, minlength=total) for row in index] for index in rows], axis=0)


@pytest.mark.parametrize(("name", "mode", "count"), CASES)
def test_every_point_once_before_any_twice(name: str, mode: str, count: int) -> None:
    """In each of two cycles: no point again before the last epoch, every point by then, and no more than need be."""
    domain = DOMAINS[name]
    total = domain.num_points
    length = -(-total // count)
    for first in (0, length):
        windows = [drawn(domain, mode, count, epoch) for epoch in range(first, first + length)]
        assert all(np.unique(row).size == count for index in windows for row in index)
        assert times_seen(windows[:-1], total).max(initial=0) <= 1
        seen = times_seen(windows, total)
        assert seen.min() == 1
        assert (seen - 1).sum(1).tolist() == [length * count - total] * len(seen)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("total", "count"), [(32, 8), (30, 7)])
def test_each_epoch_draws_every_point_as_often(mode: str, total: int, count: int) -> None:
    """χ² of the points of one epoch over many samples, for each epoch of a cycle, the wrapped last one too."""
    for epoch in range(-(-total // count)):
        seen = np.bincount(drawn(grid(total), mode, count, epoch, 8000).ravel(), minlength=total)
        # Without replacement, counts vary by (1 - Q / N) less than independent ones would (and less with strata).
        statistic = float(((seen - seen.mean()) ** 2 / seen.mean()).sum()) / (1 - count / total)
        assert stats.chi2(total - 1).sf(statistic) > SMALLEST_P


def test_strata_and_pairs_are_those_of_any_stratified_draw() -> None:
    """One point in each aligned stratum in every epoch, and no tie between neighbouring strata."""
    for epoch in range(4):
        index = drawn(grid(64), "stratified", 16, epoch, 8000)
        assert (np.sort(index // 4, axis=1) == np.arange(16)).all()
        pairs = np.bincount(4 * (index[:, 4] % 4) + index[:, 5] % 4, minlength=16)
        assert stats.chisquare(pairs).pvalue > SMALLEST_P


@pytest.mark.parametrize("mode", MODES)
def test_cycles_and_samples_have_orders_of_their_own(mode: str) -> None:
    first, second = (drawn(grid(16, 16), mode, 64, epoch) for epoch in (0, 4))
    assert (np.sort(first, axis=1) != np.sort(second, axis=1)).any(axis=1).all()
    assert np.unique(np.sort(first, axis=1), axis=0).shape[0] == len(first)


@pytest.mark.parametrize("mode", MODES)
def test_a_row_is_a_function_of_its_own_key(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = drawn(grid(17, 10), mode, 13, 5)
    monkeypatch.setattr(cycle_module, "AT_ONCE", 1)  # row by row
    np.testing.assert_array_equal(drawn(grid(17, 10), mode, 13, 5), whole)


def test_order_and_places_off_the_grid_are_new_in_each_epoch() -> None:
    sampling = QuerySampling(num_queries=64, mode="stratified", cycle=True, order="random", off_grid=True)
    found = [draw_queries(sampling, grid(16, 16), keys(3), epoch) for epoch in range(4)]
    assert times_seen([draw.points for draw in found], 256).tolist() == [[1] * 256] * 3
    offsets = [draw.offset for draw in found if draw.offset is not None]
    assert len(offsets) == 4
    assert not np.array_equal(offsets[0], offsets[1])
    assert all((np.diff(draw.points[0]) < 0).any() for draw in found)


def test_it_is_off_unless_asked_for() -> None:
    """And keys that hold the epoch are drawn from as ever."""
    given = sample_keys(0, 3, np.arange(5), 0, Stream.TARGET_QUERIES)
    plain = draw_queries(QuerySampling(num_queries=64), grid(16, 16), given, 3).points
    off = draw_queries(QuerySampling(num_queries=64, cycle=False), grid(16, 16), given, 3).points
    np.testing.assert_array_equal(plain, off)
    assert QuerySampling(ratio=0.1, cycle=True).as_lattice().cycle is False


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mode": "importance"}, "does not draw without repetition"),
        ({"mode": {"stratified": 0.5, "uniform": 0.5}}, "does not draw without repetition"),
        ({"schedule": "cosine", "start_ratio": 1.0, "end_ratio": 0.1, "end_epoch": 9}, "leave schedule or cycle out"),
        ({"mode_schedule": {3: "stratified"}}, "leave mode_schedule or cycle out"),
        ({"shared": True}, "leave shared or cycle out"),
    ],
)
def test_what_cannot_cycle_is_refused(options: dict, says: str) -> None:
    ratio = {} if "schedule" in options else {"ratio": 0.1}
    with pytest.raises(UpsDataError, match=says) as error:
        QuerySampling(cycle=True, **ratio, **options)
    assert "\n" not in str(error.value)


def test_a_loader_s_samples_go_through_their_points(tmp_path: Path) -> None:
    """Every target frame is whole after 1 ÷ ratio epochs, also for a loader that goes on in the middle of a cycle."""
    from ups_data import ShardWriter

    with ShardWriter(tmp_path / "d") as writer:
        for number in range(3):
            values = np.arange(3 * 64, dtype=np.float32).reshape(3, 64, 1) + 1000 * number
            writer.add({"u": values}, split="train")

    def opened() -> QueryLoader:
        sampling = QuerySampling(ratio=0.25, mode="stratified", cycle=True)
        return QueryLoader(tmp_path / "d", split="train", batch_size=2, sampling=sampling, threads=0)

    loader, seen, rest = opened(), dict[tuple[int, int], list[float]](), list[np.ndarray]()
    for epoch in range(4):
        for number, batch in enumerate(loader):
            for sample in range(len(batch)):
                frame = int(batch.trajectory[sample]), int(batch.step[sample])
                seen.setdefault(frame, []).extend(batch.target_queries.values["u"][sample].flatten().tolist())
            if epoch == 2 and number == 0:
                state = loader.state_dict()
            elif epoch >= 2:
                rest.append(batch.target_queries.values["u"].numpy())
    for (trajectory, step), values in seen.items():
        assert sorted(values) == [1000 * trajectory + 64 * (step + 1) + place for place in range(64)]
    again = opened()
    again.load_state_dict(state)
    found = [batch.target_queries.values["u"].numpy() for _ in range(2) for batch in again]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(rest))
