"""The order of a domain's points along the Hilbert curve."""

import numpy as np
import pytest

from tests.sampling.cases import DOMAINS, grid
from ups_data.errors import UpsDataError
from ups_data.points.domain import Domain
from ups_data.points.hilbert import hilbert_index


@pytest.mark.parametrize(("d", "bits"), [(1, 6), (2, 1), (2, 5), (3, 1), (3, 4), (4, 2)])
def test_hilbert_curve_visits_every_cell_by_unit_steps(d: int, bits: int) -> None:
    cells = np.indices((2**bits,) * d).reshape(d, -1).T
    index = hilbert_index(cells, bits)
    assert np.array_equal(np.sort(index), np.arange(len(cells)))
    assert (np.abs(np.diff(cells[np.argsort(index)], axis=0)).sum(axis=1) == 1).all()


@pytest.mark.parametrize("name", DOMAINS)
def test_curve_is_a_permutation(name: str) -> None:
    domain = DOMAINS[name]
    assert domain.curve.dtype == np.int64
    assert np.array_equal(np.sort(domain.curve), np.arange(domain.num_points))


@pytest.mark.parametrize(("shape", "side"), [((64, 64), 2), ((64, 64), 8), ((64, 64), 32), ((16, 16, 16), 4)])
def test_aligned_runs_are_the_aligned_tiles(shape: tuple[int, ...], side: int) -> None:
    d = len(shape)
    cells = np.stack(np.unravel_index(grid(*shape).curve, shape), axis=-1)
    runs = (cells // side).reshape(-1, side**d, d)
    assert (runs == runs[:, :1]).all()
    assert len(np.unique(runs[:, 0], axis=0)) == np.prod(shape) // side**d


@pytest.mark.parametrize("shape", [(50,), (1, 50), (50, 1, 1), (1,)])
def test_curve_of_a_line_is_the_line(shape: tuple[int, ...]) -> None:
    assert np.array_equal(grid(*shape).curve, np.arange(np.prod(shape)))


@pytest.mark.parametrize("shape", [(100, 37), (17, 10), (30, 9, 21)])
def test_runs_on_any_grid_are_compact(shape: tuple[int, ...]) -> None:
    cells = np.stack(np.unravel_index(grid(*shape).curve, shape), axis=-1)
    run = 4 ** len(shape)
    runs = cells[: len(cells) // run * run].reshape(-1, run, len(shape))
    spread = runs.std(axis=1).mean()
    tile = np.arange(4).std()  # of a 4 × … × 4 tile, along each axis
    assert spread < 1.5 * tile


@pytest.mark.parametrize("d", [2, 3])
def test_runs_of_a_point_set_are_compact_where_it_is_refined_too(d: int) -> None:
    coarse = np.random.default_rng(0).random((2000, d))
    fine = 1e-3 * np.random.default_rng(1).random((2000, d))  # a corner with as many points in 1/1000 of the length
    x = np.concatenate([coarse, fine])
    curve = Domain(4000, coords=x).curve
    step = np.linalg.norm(np.diff(x[curve], axis=0), axis=1)
    in_fine = (curve[1:] >= 2000) & (curve[:-1] >= 2000)
    typical = 2000 ** (-1 / d)  # the distance to a neighbour
    assert np.median(step[in_fine]) < 3e-3 * typical
    assert np.median(step[~in_fine]) < 3 * typical


def test_curve_of_points_on_a_line_follows_them() -> None:
    x = np.random.default_rng(0).random((100, 1))
    assert np.array_equal(Domain(100, coords=x).curve, np.argsort(x[:, 0]))


def test_curve_of_coinciding_points() -> None:
    assert np.array_equal(Domain(5, coords=np.ones((5, 3))).curve, np.arange(5))


def test_curve_is_computed_once_and_cannot_be_written() -> None:
    domain = grid(8, 8)
    assert domain.curve is domain.curve
    with pytest.raises(ValueError, match="read-only"):
        domain.curve[0] = 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Domain(0), "0 points"),
        (lambda: Domain(2**31), "2147483648 points"),
        (lambda: Domain(10, (3, 3)), r"\(3, 3\) does not have 10 points"),
        (lambda: Domain(10, coords=np.zeros((9, 2))), r"\(9, 2\): give \(10, d\)"),
        (lambda: Domain(10).curve, "neither a grid shape nor coordinates"),
        (lambda: Domain(2, coords=np.array([[0.0, np.nan], [0.0, 0.0]])).curve, "NaN or infinite"),
    ],
)
def test_errors(make, message: str) -> None:
    with pytest.raises(UpsDataError, match=message):
        make()
