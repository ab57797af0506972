"""Off-grid queries: places between the grid's points, and the interpolation that gives their targets."""

import numpy as np
import pytest
from scipy import stats

from tests.sampling.cases import SMALLEST_P, cloud, grid, keys
from tests.sampling.modes.test_importance import peaked
from ups_data.errors import UpsDataError
from ups_data.points.coords import normalise_axis, outer_coords
from ups_data.points.domain import Domain
from ups_data.sampling import Draw, QuerySampling, coordinates, draw_queries, interpolation

SHAPES = [(50,), (12, 9), (5, 7, 4), (1, 20)]
MODES = ["full", "uniform", "stratified", "importance", {"stratified": 0.5, "importance": 0.5}]


def domain_of(shape: tuple[int, ...], periodic: bool) -> Domain:
    return Domain(int(np.prod(shape)), shape, periodic=(periodic,) * len(shape))


def off_grid(domain: Domain, ratio: float = 0.4, samples: int = 500, mode: object = "stratified") -> Draw:
    return draw_queries(QuerySampling(ratio=ratio, mode=mode, off_grid=True), domain, keys(samples), 0)


def position(draw: Draw, shape: tuple[int, ...]) -> np.ndarray:
    """(B, Q, d), in cells."""
    return np.stack(np.unravel_index(draw.index, shape), axis=-1) + draw.offset.astype(np.float64)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_points_are_those_of_the_mode_on_the_grid(mode: object) -> None:
    domain = grid(12, 9)
    rows = peaked(50, 9)
    on, off = (
        draw_queries(QuerySampling(ratio=0.3, mode=mode, off_grid=o), domain, keys(50), 0, rows) for o in (False, True)
    )
    assert on.offset is None
    assert np.array_equal(off.index, on.index)
    assert np.array_equal(off.weight, on.weight)
    assert off.offset.shape == (*on.index.shape, 2)
    assert off.offset.dtype == np.float32


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("periodic", [False, True])
def test_offsets_stay_in_the_cell_and_ends_in_the_domain(shape: tuple[int, ...], periodic: bool) -> None:
    draw = off_grid(domain_of(shape, periodic))
    assert np.abs(draw.offset).max() <= 0.5
    at = position(draw, shape)
    inside = (at >= 0) & (at <= np.array(shape) - 1)
    assert inside.all() != periodic
    corners, weights = interpolation(draw, domain_of(shape, periodic))
    assert corners.shape == weights.shape == (*draw.index.shape, 2 ** len(shape))
    assert corners.min() >= 0
    assert corners.max() < np.prod(shape)
    assert weights.min() >= 0
    assert weights.sum(axis=-1) == pytest.approx(np.ones(draw.index.shape), abs=1e-6)


def test_offsets_are_uniform_and_independent_of_the_points() -> None:
    draw = off_grid(domain_of((12, 9), True), samples=2000)
    for axis in range(2):
        along = draw.offset[..., axis].astype(np.float64)
        assert stats.kstest(along.ravel() + 0.5, "uniform").pvalue > SMALLEST_P
        assert abs(stats.pearsonr(along.ravel(), draw.index.ravel()).statistic) < 4 / np.sqrt(along.size)
    assert abs(stats.pearsonr(*draw.offset.reshape(-1, 2).T.astype(np.float64)).statistic) < 4 / np.sqrt(along.size)


@pytest.mark.parametrize("shape", SHAPES)
def test_multilinear_fields_are_interpolated_exactly(shape: tuple[int, ...]) -> None:
    """A product of linear factors, one per axis."""
    slope, constant = np.array([0.3, -0.7, 1.1])[: len(shape)], 0.5

    def field(at: np.ndarray) -> np.ndarray:
        return (constant + slope * at).prod(axis=-1)

    values = field(np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=-1))
    draw = off_grid(domain_of(shape, False))
    corners, weights = interpolation(draw, domain_of(shape, False))
    assert (values[corners] * weights).sum(axis=-1) == pytest.approx(field(position(draw, shape)), abs=1e-5)


def test_periodic_axes_join_their_ends() -> None:
    """A tent of one value: its peak at the first point falls off over the last as over the second."""
    domain = domain_of((8,), True)
    values = np.eye(8)[0]
    draw = off_grid(domain, mode="full", ratio=1.0)
    corners, weights = interpolation(draw, domain)
    found = (values[corners] * weights).sum(axis=-1)
    at = position(draw, (8,))[..., 0]
    distance = np.minimum(np.abs(at), np.abs(8 - at))
    assert found == pytest.approx(np.maximum(0, 1 - distance), abs=1e-6)
    assert (found[:, 7] > 0.25).any()


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("shape", [(6,), (4, 3)])
@pytest.mark.parametrize("mode", ["uniform", "importance"])
def test_each_value_counts_once(shape: tuple[int, ...], periodic: bool, mode: str) -> None:
    """The weight that a grid point's value has in the mean, averaged over draws, is 1 / N for every point: the mean of
    any field is estimated without bias, ends included."""
    domain, draws = domain_of(shape, periodic), 20_000
    total = domain.num_points
    chosen = QuerySampling(num_queries=total // 2, mode=mode, off_grid=True)
    draw = draw_queries(chosen, domain, keys(draws), 0, np.repeat(peaked(1, 3), draws, axis=0))
    corners, weights = interpolation(draw, domain)
    if draw.weight is not None:
        weights = weights * draw.weight[..., None]
    of_point = np.zeros((draws, total))
    np.add.at(of_point, (np.arange(draws)[:, None], corners.reshape(draws, -1)), weights.reshape(draws, -1))
    share = of_point * total / (total // 2)
    z = (share.mean(axis=0) - 1) / (share.std(axis=0) / np.sqrt(draws))
    assert np.abs(z).max() < stats.norm.isf(SMALLEST_P / 2 / total)


def test_a_key_draws_the_same_in_any_batch() -> None:
    domain = domain_of((12, 9), False)
    whole = off_grid(domain, samples=20)
    chosen = QuerySampling(ratio=0.4, mode="stratified", off_grid=True)
    for row in range(5):
        alone = draw_queries(chosen, domain, keys(20)[row : row + 1], 0)
        assert np.array_equal(alone.offset[0], whole.offset[row])


def test_errors() -> None:
    with pytest.raises(UpsDataError, match="off_grid needs a grid to interpolate on"):
        off_grid(cloud(50, 2))
    with pytest.raises(UpsDataError, match="interpolation needs the offsets of an off-grid draw"):
        interpolation(draw_queries(QuerySampling(ratio=0.5), grid(4, 4), keys(1), 0), grid(4, 4))
    with pytest.raises(UpsDataError, match=r"grid \(4, 4\) has other axes than periodic=\(True,\)"):
        Domain(16, (4, 4), periodic=(True,))


@pytest.mark.parametrize("shape", [(50,), (12, 9), (5, 7, 4)])
@pytest.mark.parametrize("periodic", [False, True])
def test_coordinates_are_where_the_query_is(shape: tuple[int, ...], periodic: bool) -> None:
    """x along the last axis; a linear field, interpolated, has the value of its coordinate, but around the ends."""
    coords = outer_coords([normalise_axis(np.arange(n)) for n in shape])
    domain = Domain(int(np.prod(shape)), shape, coords, periodic=(periodic,) * len(shape))
    draw = off_grid(domain, samples=50)
    found, cells = coordinates(draw, domain), position(draw, shape)
    np.testing.assert_allclose(found, (cells / (np.array(shape) - 1))[..., ::-1], atol=1e-6)
    corners, weights = interpolation(draw, domain)
    inside = ((cells >= 0) & (cells <= np.array(shape) - 1)).all(axis=-1)
    interpolated = (coords[corners] * weights[..., None]).sum(axis=-2)
    np.testing.assert_allclose(found[inside], interpolated[inside], atol=1e-6)


def test_coordinates_follow_an_uneven_axis() -> None:
    axis = np.array([0.0, 0.1, 0.4, 1.0], np.float32)
    domain = Domain(4, (4,), axis[:, None], periodic=(True,))
    draw = Draw(np.array([[0, 1, 1, 3, 3]]), offset=np.array([-0.5, -0.5, 0.5, -0.5, 0.5], np.float32)[None, :, None])
    np.testing.assert_allclose(coordinates(draw, domain)[0, :, 0], [-0.05, 0.05, 0.25, 0.7, 1.3], atol=1e-7)
    with pytest.raises(UpsDataError, match="off-grid draw"):
        coordinates(Draw(np.array([[0]])), domain)
