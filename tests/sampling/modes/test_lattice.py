"""Lattice draws: a regular coarse grid, its shape and its offset."""

import math

import numpy as np
import pytest

from tests.sampling.cases import grid, keys
from ups_data.sampling import lattice_shape
from ups_data.sampling.modes.lattice import draw_lattice


@pytest.mark.parametrize(
    ("shape", "count", "expected"),
    [
        ((128, 128), 1024, (32, 32)),
        ((128, 128), 4096, (64, 64)),
        ((64, 64, 64), 512, (8, 8, 8)),
        ((64, 64, 64), 5243, (17, 17, 18)),
        ((1024,), 102, (102,)),
        ((1, 1000), 100, (1, 100)),
        ((3, 500), 100, (1, 100)),  # the thin axis keeps one row and the other makes up for it
        ((128, 64), 128, (16, 8)),
        ((5, 5), 1, (1, 1)),
    ],
)
def test_shape(shape: tuple[int, ...], count: int, expected: tuple[int, ...]) -> None:
    assert lattice_shape(grid(*shape), count) == expected


@pytest.mark.parametrize("shape", [(128, 128), (17, 10), (64, 64, 64), (30, 9, 21), (4, 4)])
def test_shape_is_near_the_count_and_fits(shape: tuple[int, ...]) -> None:
    total = math.prod(shape)
    for count in range(1, total, max(1, total // 97)):
        coarse = lattice_shape(grid(*shape), count)
        assert all(1 <= h <= full for h, full in zip(coarse, shape, strict=True))
        step = max(math.prod(coarse) // h for h in coarse)  # one row more or fewer along the costliest axis
        assert abs(math.prod(coarse) - count) <= step


@pytest.mark.parametrize(("shape", "count"), [((128, 128), 1024), ((17, 10), 40), ((9, 8, 7), 60), ((97,), 10)])
def test_points_form_the_grid_that_is_told(shape: tuple[int, ...], count: int) -> None:
    draw = draw_lattice(grid(*shape), keys(200), count)
    assert draw.grid_shape is not None
    cells = np.unravel_index(draw.index.reshape((200, *draw.grid_shape)), shape)
    for axis, (full, coarse) in enumerate(zip(shape, draw.grid_shape, strict=True)):
        along = np.moveaxis(cells[axis], 1 + axis, -1).reshape(200, -1, coarse)
        assert (along == along[:, :1]).all()  # the row number depends on its own axis only
        spacing = np.diff(along[:, 0], axis=1)
        assert set(np.unique(spacing)) <= {full // coarse, -(-full // coarse)}


def test_offsets_of_the_axes_are_independent() -> None:
    draw = draw_lattice(grid(8, 8), keys(6400), 4)  # 2 × 2 points, 4 × 4 offsets
    first = draw.index[:, 0]
    counts = np.bincount(first, minlength=64).reshape(8, 8)
    assert (counts[4:] == 0).all()
    assert (counts[:, 4:] == 0).all()
    assert ((counts[:4, :4] - 400) ** 2).sum() / 400 < 37.7  # χ² with 15 degrees of freedom, p = 0.001
