"""On real frames: no mode is biased, and strata, blocks and importance need fewer points than a uniform draw."""

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.sampling.efficiency import estimated_means, relative_variance
from tests.sampling.cases import SMALLEST_P, dealt, grid
from tests.sampling.real_frames import Frame, burgers, car, diffusion_reaction
from ups_data.errors import UpsDataError
from ups_data.points.activity import tile_importance
from ups_data.sampling import QuerySampling, Stream, draw_queries, interpolation, sample_keys

MODES = {
    "uniform": "uniform",
    "stratified": "stratified",
    "blocks": "blocks",
    "importance": "importance",
    "stratified + importance": {"stratified": 0.7, "importance": 0.3},
    "uniform + stratified": {"uniform": 0.5, "stratified": 0.5},
    "three": {"uniform": 0.2, "stratified": 0.3, "importance": 0.5},
}
GRIDS = {
    "diffusion–reaction, late": lambda: diffusion_reaction(3, -1),
    "diffusion–reaction, early": lambda: diffusion_reaction(5, 5),
    "Burgers, shocks": lambda: burgers(3, 100),
    "Burgers, late": lambda: burgers(7, 200),
}
CARS = {f"car {number}": lambda number=number: car(number) for number in range(3)}
FRAMES = GRIDS | CARS


def standing_in_for(frame: Frame) -> np.ndarray:
    """The quantity of issue 4: squared gradient on grids, squared pressure on cars."""
    return frame.values[:, 0] ** 2 if frame.domain.grid_shape is None else frame.gradient


def importance_of(frame: Frame, metric: str = "gradient") -> np.ndarray:
    return tile_importance(metric, frame.values, frame.domain, frame.tiles)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "ratio"), [*((n, 1 / 16) for n in FRAMES), ("diffusion–reaction, late", 0.4), ("car 0", 0.4)]
)
def test_unbiased_on_real_frames(name: str, mode: str, ratio: float) -> None:
    """2,000 draws: the weighted mean lies within 4 standard errors of the dense one."""
    frame = FRAMES[name]()
    values = standing_in_for(frame)
    sampling = QuerySampling(ratio=ratio, mode=MODES[mode])
    found = estimated_means(frame.domain, sampling, values, 2000, 0, importance_of(frame))
    assert abs(found.mean() - values.mean()) < 4 * found.std(ddof=1) / math.sqrt(len(found))


@pytest.mark.parametrize("name", ["diffusion–reaction, late", "Burgers, late", "car 0"])
@pytest.mark.parametrize("mode", ["stratified", "blocks"])
@pytest.mark.parametrize("ratio", [1 / 16, 0.1])
def test_every_point_is_as_likely(name: str, mode: str, ratio: float) -> None:
    """One random member of each of 50,000 draws, as in test_draws, over all points of the real domains; those of a car
    are dealt into 2 blocks of 225 points and 14 of 224."""
    domain, draws = FRAMES[name]().domain, 50_000
    counts = np.zeros(domain.num_points, np.int64)
    for first in range(0, draws, 1000):
        keys = sample_keys(0, 0, np.arange(first, first + 1000), 0, Stream.TARGET_QUERIES)
        index = draw_queries(QuerySampling(ratio=ratio, mode=mode), domain, keys, 0).index
        member = np.random.default_rng(first).integers(index.shape[1], size=1000)
        counts += np.bincount(index[np.arange(1000), member], minlength=domain.num_points)
    assert stats.chisquare(counts).pvalue > SMALLEST_P


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("mode", ["stratified", "importance", {"stratified": 0.7, "importance": 0.3}], ids=str)
def test_unbiased_off_the_grid(name: str, mode: object) -> None:
    """The field itself, interpolated at places between the points."""
    frame = GRIDS[name]()
    values, importance = frame.values[:, 0], importance_of(frame)
    keys = sample_keys(0, 0, np.arange(2000), 0, Stream.TARGET_QUERIES)
    found = []
    for part in np.array_split(keys, 20):
        rows = np.broadcast_to(importance, (len(part), len(importance)))
        draw = draw_queries(QuerySampling(ratio=1 / 16, mode=mode, off_grid=True), frame.domain, part, 0, rows)
        corners, weights = interpolation(draw, frame.domain)
        at = (values[corners] * weights).sum(axis=-1)
        found.append((at if draw.weight is None else at * draw.weight).mean(axis=1))
    means = np.concatenate(found)
    assert abs(means.mean() - values.mean()) < 4 * means.std(ddof=1) / math.sqrt(len(means))


@pytest.mark.parametrize("name", FRAMES)
def test_weights_have_mean_one(name: str) -> None:
    """A mean of ones is estimated without bias too; no draw's weights are made to sum to Q."""
    frame = FRAMES[name]()
    sampling = QuerySampling(ratio=0.1, mode="importance")
    found = estimated_means(frame.domain, sampling, np.ones(frame.domain.num_points), 2000, 0, importance_of(frame))
    assert abs(found.mean() - 1) < 4 * found.std(ddof=1) / math.sqrt(len(found))
    assert found.std() > 0


@pytest.mark.parametrize("name", [n for n in FRAMES if not n.startswith("Burgers")])
@pytest.mark.parametrize(("mode", "at_most"), [("stratified", 0.5), ("blocks", 0.7)])
def test_strata_and_blocks_need_fewer_points(name: str, mode: str, at_most: float, record_property) -> None:
    """Issue 4, at 1/16: one block of 16, or one point in each tile of 16."""
    frame = FRAMES[name]()
    found = relative_variance(
        frame.domain, QuerySampling(ratio=1 / 16, mode=mode), standing_in_for(frame), draws=2000, seed=0
    )
    record_property("variance relative to uniform", float(found))
    print(f"{name}, {mode}: {found:.3f} of uniform's variance")
    assert found <= at_most


@pytest.mark.parametrize(("mode", "at_most"), [("stratified", 0.5), ("blocks", 0.7)])
@pytest.mark.parametrize("step", [5, 10, 20])
def test_so_do_they_over_all_trajectories(mode: str, at_most: float, step: int, record_property) -> None:
    """The mean over the 12 runs: a single deal of 16 blocks can be lucky or not for a single frame. Frames before
    step 5 are nearly the white noise that the runs start from, in which no neighbour tells of another."""
    frames = [diffusion_reaction(trajectory, step) for trajectory in range(12)]
    sampling = QuerySampling(ratio=1 / 16, mode=mode)
    found = np.mean([relative_variance(f.domain, sampling, f.gradient, draws=500, seed=0) for f in frames])
    record_property("variance relative to uniform", float(found))
    print(f"diffusion–reaction, step {step}, {mode}: {found:.3f} of uniform's variance")
    assert found <= at_most


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("metric", ["gradient", "variance"])
@pytest.mark.parametrize("ratio", [1 / 16, 0.1])
def test_importance_needs_half_the_points(name: str, metric: str, ratio: float, record_property) -> None:
    """Issue 5: with half as many points no larger an error than a uniform draw's, in the quantity that is predicted."""
    frame = GRIDS[name]()
    domain, values = frame.domain, getattr(frame, metric)
    queries = round(ratio * domain.num_points)
    sampling = QuerySampling(num_queries=queries // 2, mode="importance", importance_metric=metric)
    found = relative_variance(domain, sampling, values, draws=2000, seed=0, importance=importance_of(frame, metric))
    uniform_of_twice = (queries // 2 / (1 - queries // 2 / domain.num_points)) * (1 / queries - 1 / domain.num_points)
    record_property("variance relative to uniform", float(found))
    print(f"{name}, {metric}, {ratio:.3f}: {found:.4f} of uniform's variance with as many points")
    assert found <= uniform_of_twice


def test_relative_variance_of_uniform_is_one() -> None:
    """The known variance against 4,000 draws: within 4 of its standard errors, 0.022 each."""
    values = np.random.default_rng(0).standard_normal(170)
    for ratio in (0.1, 0.5, 0.9):
        found = relative_variance(grid(17, 10), QuerySampling(ratio=ratio), values, draws=4000, seed=3)
        assert found == pytest.approx(1, abs=4 * math.sqrt(2 / 4000))


def test_relative_variance_of_one_block_that_is_no_sample() -> None:
    """All of the quantity lies in one block of four, so that a draw of a block sees all of it or nothing: the mean of
    16 ones and 48 zeros is told as 0 or 1."""
    domain = dealt(grid(64), 4)
    values = np.zeros(64)
    values[domain.blocks.index.reshape(4, -1)[2]] = 1.0
    found = relative_variance(domain, QuerySampling(ratio=0.25, mode="blocks"), values, draws=4000, seed=0)
    uniform = 0.25 * 0.75 / 16 * (64 - 16) / 63
    assert found == pytest.approx(0.25 * 0.75 / uniform, rel=0.05)


def test_nothing_to_compare_with() -> None:
    with pytest.raises(UpsDataError, match="every point is drawn, or the quantity is constant"):
        relative_variance(grid(16), QuerySampling(), np.arange(16.0), 10, 0)
    with pytest.raises(UpsDataError, match="every point is drawn, or the quantity is constant"):
        relative_variance(grid(16), QuerySampling(ratio=0.5), np.ones(16), 10, 0)


def test_the_seed_decides() -> None:
    values = np.arange(64.0)
    one, same, other = (relative_variance(grid(64), QuerySampling(ratio=0.1), values, 300, seed) for seed in (1, 1, 2))
    assert one == same != other
