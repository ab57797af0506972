"""Cells of grids: the midpoint rule along uneven axes, around periodic ones, on the sphere, and between points."""

import numpy as np
import pytest

from ups_data.points.cells import grid_cells
from ups_data.points.domain import Domain
from ups_data.sampling import QuerySampling, draw_queries, interpolation

GRADED = 1e-3 * 1.3 ** np.arange(24)  # cells that grow by a third from each to the next


def test_cells_of_even_grids_are_equal():
    assert grid_cells([np.linspace(3, 7, 9), np.arange(5), [2.0]]) is None
    assert grid_cells([np.linspace(0, 1, 9).astype(np.float32) + 1000]) is None  # even but for rounding


def test_a_cell_reaches_half_way_to_both_neighbours():
    cells = grid_cells([GRADED, np.arange(4), -(GRADED**2)])
    assert cells is not None
    sizes = cells.at(np.arange(24 * 4 * 24)).reshape(24, 4, 24)
    gaps = np.diff(GRADED)
    widths = 0.5 * (np.append(gaps[0], gaps) + np.append(gaps, gaps[-1]))
    others = np.diff(GRADED**2)
    heights = 0.5 * (np.append(others[0], others) + np.append(others, others[-1]))
    expected = np.repeat((widths[:, None] * heights)[:, None], 4, axis=1)
    np.testing.assert_allclose(sizes, expected / expected.mean(), rtol=1e-12)


def test_inside_it_is_the_trapezoid_rule():
    cells = grid_cells([GRADED])
    assert cells is not None
    values = np.sin(3 * GRADED)
    values[[0, -1]] = 0  # what the two rules make of the ends differs
    sizes = cells.at(np.arange(24))
    length = GRADED[-1] - GRADED[0] + 0.5 * (GRADED[1] - GRADED[0] + GRADED[-1] - GRADED[-2])
    np.testing.assert_allclose((sizes * values).mean(), np.trapezoid(values, GRADED) / length, rtol=1e-12)


def test_around_a_periodic_axis_there_are_no_ends():
    along = np.array([0.0, 1, 3, 4])  # and 5.0 is 0.0 again
    cells = grid_cells([along], periodic=[True])
    assert cells is not None
    np.testing.assert_allclose(cells.at(np.arange(4)) * 5 / 4, [1, 1.5, 1.5, 1])


@pytest.mark.parametrize("points", [np.linspace(90, -90, 37), np.linspace(-87.5, 87.5, 36)], ids=["poles", "between"])
def test_cells_on_the_sphere_shrink_towards_the_poles(points):
    cells = grid_cells([points, np.arange(72) * 5], periodic=[False, True], latitude=[True, False])
    assert cells is not None
    sizes = cells.at(np.arange(len(points) * 72)).reshape(len(points), 72)
    assert (np.ptp(sizes, axis=1) == 0).all()
    cosines = np.cos(np.radians(points))
    np.testing.assert_allclose(sizes[1:-1, 0], (cosines / cosines.mean())[1:-1], rtol=0.03)
    squares = np.sin(np.radians(points))[:, None] ** 2  # a third, over the sphere
    assert (sizes * squares).mean() == pytest.approx(1 / 3, abs=2e-3)


@pytest.mark.parametrize("periodic", [(False, False), (True, False)])
def test_between_the_points_the_integral_of_the_interpolated_field_is_estimated(periodic):
    axes = [GRADED[:6], np.array([0.0, 0.01, 0.02, 1.0])]
    cells = grid_cells(axes, periodic)
    assert cells is not None
    values = np.random.default_rng(0).random((6, 4))
    values[:, 1] += 50  # the cell beside it is fifty times as large
    values = values.ravel()
    domain = Domain(24, (6, 4), periodic=periodic)
    keys = np.arange(1, 4001, dtype=np.uint64) << np.uint64(20)
    draw = draw_queries(QuerySampling(ratio=0.999, mode="stratified", off_grid=True), domain, keys, 0)
    assert draw.offset is not None
    corners, shares = interpolation(draw, domain)
    found = (cells.at(draw.points, draw.offset) * (values[corners] * shares).sum(-1)).mean(1)
    exact = (cells.at(np.arange(24)) * values).mean()
    assert abs(found.mean() - exact) < 4 * found.std() / np.sqrt(len(found))
    as_points = (cells.at(draw.points) * (values[corners] * shares).sum(-1)).mean(1)
    assert abs(as_points.mean() - exact) > 4 * found.std() / np.sqrt(len(found))
