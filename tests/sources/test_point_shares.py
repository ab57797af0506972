"""Each point's share of a mesh: sums of shares times values are integrals, of every kind of cells and file."""

import numpy as np
import pytest

from tests.sources import vtk_text
from ups_data.conversion.convert import convert
from ups_data.schema import Manifest
from ups_data.schema.measures import size_field
from ups_data.sources import open_source

pytest.importorskip("vtkmodules.all", reason="vtk is not installed: pip install 'ups_data[mesh]'")
SQUARE = np.array([[0, 0, 0], [1, 0, 0], [3, 0, 0], [0, 2, 0], [1, 2, 0], [3, 2, 0]], float)
TRIANGLES = [[0, 1, 3], [1, 4, 3], [1, 2, 4], [2, 5, 4]]  # [0, 3] × [0, 2], finer on the left


def write(path, points, cells, types, data, cell_data=None):
    vtk_text.vtu(path, vtk_text.piece(points, cells, types, data, cell_data))
    [trajectory] = open_source(path)
    return trajectory


def test_linear_fields_are_integrated_exactly(tmp_path):
    x, y, _ = SQUARE.T
    t = write(tmp_path / "a.vtu", SQUARE, TRIANGLES, [5] * 4, {"u": 2 + 3 * x - y})
    assert {name: v.shape for name, v in t.static.items()} == {"point_area": (6, 1)}
    shares = t.static["point_area"][:, 0]
    assert shares.sum() == pytest.approx(6)
    assert (shares * (2 + 3 * x - y)).sum() == pytest.approx(6 * (2 + 4.5 - 1))
    np.testing.assert_allclose(shares[[0, 2]], [1 / 3, 4 / 3], rtol=1e-6)


def test_of_cells_of_several_dimensions_the_highest_count(tmp_path):
    """A mesh that lists its boundary's faces beside its cells, as mesh generators write them."""
    points, cells = vtk_text.hexes(2)
    mixed = [*cells, cells[0][:4], cells[0][:2]]
    t = write(tmp_path / "a.vtu", points, mixed, [12, 12, 9, 3], {"u": np.arange(12.0)})
    expected = np.array([1, 2, 1] * 4) / 8
    np.testing.assert_allclose(t.static["point_volume"][:, 0], expected, rtol=1e-6)


def test_lines_and_points_without_cells(tmp_path):
    points = np.array([[0, 0, 0], [0, 1, 0], [0, 3, 0]], float)
    t = write(tmp_path / "a.vtu", points, [[0, 1], [1, 2]], [3, 3], {"u": np.arange(3.0)})
    np.testing.assert_allclose(t.static["point_length"][:, 0], [0.5, 1.5, 1])
    assert write(tmp_path / "b.vtu", points, [[0], [1], [2]], [1] * 3, {"u": np.arange(3.0)}).static == {}


def test_ghosts_have_no_share(tmp_path):
    points, cells = vtk_text.hexes(3)
    ghosts = {"vtkGhostType": [0, 0, 1], "q": [1.0, 2, 3]}
    t = write(tmp_path / "a.vtu", points, cells, [12] * 3, {"u": np.arange(16.0)}, ghosts)
    shares = t.sets["points"].static["point_volume"][:, 0]
    np.testing.assert_allclose(shares, np.array([1, 2, 1] * 4) / 8, rtol=1e-6)
    np.testing.assert_allclose(t.sets["cells"].static["cell_volume"][:, 0], [1, 1], rtol=1e-6)


def test_a_field_of_sizes_in_the_file_comes_first(tmp_path):
    t = write(tmp_path / "a.vtu", SQUARE, TRIANGLES, [5] * 4, {"u": SQUARE[:, 0], "Area": np.ones(6)})
    assert t.static == {}
    convert(tmp_path / "a.vtu", tmp_path / "d", split={"train": 1.0})
    assert size_field(Manifest.load(tmp_path / "d"), None) == "Area"


def test_series_that_stand_still_have_them_and_moving_ones_have_none(tmp_path):
    for moves in (False, True):
        folder = tmp_path / str(moves)
        for frame in range(2):
            points = SQUARE * [1 + moves * frame, 1, 1]
            vtk_text.vtu(folder / f"{frame}.vtu", vtk_text.piece(points, TRIANGLES, [5] * 4, {"u": points[:, 0]}))
        vtk_text.pvd(folder / "run.pvd", [(float(frame), 0, f"{frame}.vtu") for frame in range(2)])
        [t] = open_source(folder / "run.pvd")
        assert set(t.static) == (set() if moves else {"point_area"})
        if not moves:
            assert t.static["point_area"].sum() == pytest.approx(6)
