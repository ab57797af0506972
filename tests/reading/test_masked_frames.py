"""Masks that are constant and that change with each frame, from shards to weights: in every mode each point that counts
is as likely as any other, and the weighted mean is that over the points, or over the domain, that counts."""

import math

import numpy as np
import pytest
from scipy import stats

from ups_data import QueryLoader, QuerySampling, ShardWriter
from ups_data.trajectory import Axis

STEPS, SHAPE, FILL, SMALLEST_P = 4, (16, 12), -5.0, 1e-3  # three tiles
N = math.prod(SHAPE)
GRADED = 0.1 * 1.3 ** np.arange(SHAPE[0])
MIXTURE = {"importance": 0.4, "stratified": 0.4, "uniform": 0.2}
MODES = ["uniform", "stratified", "lattice", "blocks", "importance", MIXTURE]
KINDS = ["same", "moving"]
WHAT = ["grid", "sized grid", "cloud"]
CASES = [
    pytest.param(what, kind, mode, marks=[] if kind == "moving" and what != "sized grid" else pytest.mark.slow)
    for what in WHAT
    for kind in KINDS
    for mode in MODES
    if what != "cloud" or mode != "lattice"
]


def counted(kind: str) -> np.ndarray:
    """`(T, N)`: a hole of another size and place in every frame, and another one of single points."""
    found = np.ones((STEPS, *SHAPE), bool)
    for step in range(STEPS):
        row, height = (2, 5) if kind == "same" else (1 + step, 3 + 2 * step)
        found[step, row : row + height, 3:8] = False
        found[step, 0, 0 if kind == "same" else step] = False
    return found.reshape(STEPS, N)


def sizes() -> np.ndarray:
    """`(N,)`: cells that grow along the first axis, as its trapezoid rule has them."""
    gaps = np.diff(GRADED)
    widths = np.append(gaps[0], gaps) + np.append(gaps, gaps[-1])
    return np.repeat(widths, SHAPE[1])


def values() -> np.ndarray:
    """`(T, N)`: small where cells are large, and different in every frame."""
    of_point = 3 - 2 * np.log(sizes() / sizes().mean()) + np.sin(np.arange(N))
    return of_point[None] + np.arange(STEPS)[:, None]


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    found = {}
    for what in WHAT:
        for kind in KINDS:
            root = found[what, kind] = tmp_path_factory.mktemp("masked") / f"{what}-{kind}"
            u = np.where(counted(kind), values(), np.nan).astype(np.float32)[..., None]
            rows = np.stack(np.meshgrid(GRADED, np.arange(SHAPE[1]), indexing="ij"), -1).reshape(N, 2)
            options = {"mask_nan": True, "mask_fill": FILL, "importance": ["gradient", "variance"], "blocks": 4}
            with ShardWriter(root, **options) as writer:
                area = np.where(counted(kind).any(0), sizes(), np.nan).astype(np.float32)[:, None]
                if what == "cloud":
                    writer.add({"p": u}, coords=rows.astype(np.float32), static={"cell_area": area})
                else:
                    static = {"cell_area": area.reshape(*SHAPE, 1)} if what == "sized grid" else {}
                    axes = [Axis("y", GRADED), Axis("x", np.arange(float(SHAPE[1])))]
                    writer.add({"p": u.reshape(STEPS, *SHAPE, 1)}, axes=axes, static=static)
    return found


def batches(root, mode, measure="count", repeats=250, **options):
    drawing = {"ratio": options.pop("ratio", 0.3), "importance_metric": options.pop("metric", "gradient")}
    drawing |= {name: options.pop(name) for name in ("order", "off_grid") if name in options}
    sampling = QuerySampling(mode=mode, measure=measure, **drawing)
    given = {"target_fields": ["p"], "inputs": False, "horizon": 0, "threads": 0, "ragged": "pad", "seed": 3}
    return QueryLoader(root, split="train", batch_size=250, sampling=sampling, repeats=repeats, **{**given, **options})


def check_means(found, kind, measure, part=lambda queries: queries):
    """Of every frame within four standard errors, and those are small."""
    means, of_points = {}, np.ones(N) if measure == "count" else sizes()
    for batch in found:
        queries = part(batch.target_queries)
        weighted = (queries.weight.double() * queries.values["p"][..., 0].double()).mean(-1)
        for step, mean in zip(batch.step.tolist(), weighted.tolist(), strict=True):
            means.setdefault(step, []).append(mean)
    assert len(means) == STEPS
    for step, estimates in means.items():
        weight = of_points * counted(kind)[step]
        expected, error = (weight * values()[step]).sum() / weight.sum(), np.std(estimates) / math.sqrt(len(estimates))
        assert abs(np.mean(estimates) - expected) < 4 * error + 1e-5
        assert error < 0.2


@pytest.mark.parametrize(
    ("what", "kind", "mode"),
    [pytest.param(*c.values, marks=[] if c.values[:2] == ("grid", "moving") else pytest.mark.slow) for c in CASES],
)
def test_each_point_of_each_frame_that_counts_is_as_likely_as_any_other(roots, what, kind, mode):
    """A member of each draw, kept with a probability in proportion to its weight, is uniform over them."""
    counts, rng = np.zeros((STEPS, N), np.int64), np.random.default_rng(1)
    for batch in batches(roots[what, kind], mode, repeats=1000):
        index, weight = batch.target_queries.index.numpy(), batch.target_queries.weight.numpy()
        assert not (weight * ~counted(kind)[batch.step.numpy()[:, None], index]).any()
        member = np.arange(len(index)), rng.integers(index.shape[1], size=len(index))
        # Rows of different frames are padded to one length; a row's weights are compared with its own largest.
        kept = rng.random(len(index)) * np.array([weight[batch.step == s].max() for s in batch.step]) < weight[member]
        np.add.at(counts, (batch.step.numpy()[kept], index[member][kept]), 1)
    assert not counts[~counted(kind)].any()
    each = [stats.chisquare(row[there]) for row, there in zip(counts, counted(kind), strict=True)]
    free = int(counted(kind).sum()) - STEPS
    assert stats.chi2.sf(sum(test.statistic for test in each), free) > SMALLEST_P


@pytest.mark.parametrize("measure", [pytest.param("count", marks=pytest.mark.slow), "volume"])
@pytest.mark.parametrize(("what", "kind", "mode"), CASES)
def test_the_weighted_mean_is_that_of_what_counts(roots, what, kind, mode, measure):
    # What fills the holes of the sizes, a negative number, is no size.
    metric = "volume" if measure == "volume" and mode == "importance" else "gradient"
    check_means(batches(roots[what, kind], mode, measure, metric=metric), kind, measure)


@pytest.mark.parametrize("kind", [pytest.param("same", marks=pytest.mark.slow), "moving"])
def test_of_both_parts_of_a_random_order_and_off_the_grid(roots, kind):
    found = list(batches(roots["cloud", kind], "stratified", "volume", order="random"))
    for part in (lambda q: q.split(7)[0], lambda q: q.split(7)[1]):
        check_means(found, kind, "volume", part)
    check_means(batches(roots["grid", kind], "stratified", "volume", off_grid=True, repeats=500), kind, "volume")


@pytest.mark.parametrize("measure", ["count", "volume"])
@pytest.mark.parametrize("kind", [pytest.param("same", marks=pytest.mark.slow), "moving"])
@pytest.mark.parametrize("what", WHAT)
def test_ratio_1_is_every_point_of_each_frame_that_counts(roots, what, kind, measure):
    sampling = QuerySampling(measure=measure)
    given = {"inputs": False, "horizon": 0, "threads": 0, "ragged": "pad", "target_fields": ["p"]}
    for batch in QueryLoader(roots[what, kind], split="train", batch_size=4, sampling=sampling, shuffle=False, **given):
        queries = batch.target_queries
        for row, step in enumerate(batch.step.tolist()):
            there = np.flatnonzero(counted(kind)[step])
            used = slice(None) if queries.mask is None else queries.mask[row]
            assert np.array_equal(queries.index[row][used].numpy(), there)
            mean = (queries.weight[row] * queries.values["p"][row, :, 0]).mean().item()
            weight = np.ones(len(there)) if measure == "count" else sizes()[there]
            assert mean == pytest.approx((weight * values()[step][there]).sum() / weight.sum(), rel=1e-5)
