import numpy as np
import torch

from ups_data import make_grid_coords
from ups_data.points.coords import normalise_axis


def test_components_are_x_then_y_and_rows_row_major():
    coords = make_grid_coords((3, 5))
    assert coords.shape == (1, 15, 2)
    assert coords.dtype == torch.float32
    for row in range(3):
        for column in range(5):
            x, y = coords[0, row * 5 + column].tolist()
            assert (x, y) == (np.float32(column / 4), np.float32(row / 2))


def test_every_axis_is_linspace():
    for n in (1, 2, 7, 128):
        assert np.array_equal(make_grid_coords((n,))[0, :, 0].numpy(), np.linspace(0, 1, n).astype(np.float32))


def test_three_dimensions():
    coords = make_grid_coords((2, 3, 4))[0].reshape(2, 3, 4, 3)
    assert coords[1, 0, 0].tolist() == [0, 0, 1]
    assert coords[0, 2, 0].tolist() == [0, 1, 0]
    assert coords[0, 0, 3].tolist() == [1, 0, 0]


def test_even_axes_become_exact_and_uneven_ones_keep_their_spacing():
    cells = (np.arange(128) + 0.5) / 128 * 2 - 1
    assert np.array_equal(normalise_axis(cells.astype(np.float32)), np.linspace(0, 1, 128).astype(np.float32))
    uneven = normalise_axis(np.array([0.0, 1.0, 4.0]))
    assert uneven.tolist() == [0.0, 0.25, 1.0]
