"""Meshes as solvers write them: every kind of cell, pieces, ghosts, series, runs of several files."""

import numpy as np
import pytest

from tests.sources.vtk_text import array, hexes, piece, pvd, vtu
from ups_data import UpsDataError
from ups_data.conversion.convert import convert
from ups_data.sources import SourceOptions, open_source

CUBE = [[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]]
BOX = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], float)


def shifted(faces, by):
    return [[corner + by for corner in face] for face in faces]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
def test_cell_data_stay_with_their_cells(tmp_path, order):
    """A hexahedron, a polyhedron of the same corners further on, and a wedge as a polyhedron, in any order."""
    wedge = np.array([[9, 0, 0], [10, 0, 0], [9, 1, 0], [9, 0, 1], [10, 0, 1], [9, 1, 1]], float)
    points = np.concatenate([BOX, BOX + np.array([4.0, 0, 0]), wedge])
    wedge_faces = [[0, 2, 1], [3, 4, 5], [0, 1, 4, 3], [1, 2, 5, 4], [2, 0, 3, 5]]
    kinds = [
        (list(range(8)), 42, CUBE),
        (list(range(8, 16)), 42, shifted(CUBE, 8)),
        (list(range(16, 22)), 42, shifted(wedge_faces, 16)),
    ]
    cells, types, faces = zip(*[kinds[n] for n in order], strict=True)
    x = [points[cell].mean(0)[0] for cell in cells]
    vtu(tmp_path / "p.vtu", piece(points, cells, types, None, {"x": x}, faces))
    [t] = open_source(tmp_path / "p.vtu")
    np.testing.assert_allclose(t.fields["x"][0, :, 0], t.coords[:, 0], rtol=1e-6)


@pytest.mark.parametrize("lengths", [(3, 2), (1, 4, 2)])
def test_all_pieces_of_a_file(tmp_path, lengths):
    starts = np.cumsum([0, *lengths])
    pieces, expected = [], []
    for n, start in zip(lengths, starts, strict=False):
        points, cells = hexes(n, float(start))
        x = [start + i + 0.5 for i in range(n)]
        pieces.append(piece(points, cells, [12] * n, None, {"x": x}))
        expected += x
    vtu(tmp_path / "t.vtu", *pieces)
    [t] = open_source(tmp_path / "t.vtu")
    np.testing.assert_allclose(t.fields["x"][0, :, 0], expected)
    np.testing.assert_allclose(t.coords[:, 0], expected)


@pytest.mark.parametrize("voxels", [(), (1,), (0, 2)])
def test_voxels_beside_hexahedra(tmp_path, voxels):
    points, cells = hexes(3)
    order = [0, 1, 3, 2, 4, 5, 7, 6]
    cells = [[cell[i] for i in order] if n in voxels else cell for n, cell in enumerate(cells)]
    types = [11 if n in voxels else 12 for n in range(3)]
    vtu(tmp_path / "v.vtu", piece(points, cells, types, None, {"x": [0.5, 1.5, 2.5]}))
    [t] = open_source(tmp_path / "v.vtu")
    np.testing.assert_allclose(t.coords, [[0.5, 0.5, 0.5], [1.5, 0.5, 0.5], [2.5, 0.5, 0.5]])


@pytest.mark.parametrize("ghosts", [(0, 0, 1), (1, 0, 1), (0, 32, 0)])
def test_ghosts_are_left_out(tmp_path, ghosts):
    """With the points that only they have."""
    points, cells = hexes(3)
    data = {"p": points[:, 0]}
    vtu(tmp_path / "g.vtu", piece(points, cells, [12] * 3, data, {"q": [0.5, 1.5, 2.5], "vtkGhostType": ghosts}))
    [t] = open_source(tmp_path / "g.vtu")
    real = [n for n, flag in enumerate(ghosts) if not flag]
    np.testing.assert_allclose(t.sets["cells"].fields["q"][0, :, 0], [n + 0.5 for n in real])
    np.testing.assert_allclose(t.sets["cells"].coords[:, 0], [n + 0.5 for n in real])
    kept = sorted({corner for n in real for corner in cells[n]})
    np.testing.assert_array_equal(t.sets["points"].coords, points[kept])
    np.testing.assert_allclose(t.sets["points"].fields["p"][0, :, 0], points[kept, 0])
    assert t.left_out == {"vtkGhostType": "bookkeeping of VTK"}


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("on", ["points", "cells"])
def test_a_series_is_one_trajectory(tmp_path, moving, on):
    times = [0.0, 0.5, 1.25]
    for i in range(3):
        points, cells = hexes(3)
        points = points + i * moving
        values = np.arange(len(points) if on == "points" else 3) + 10.0 * i
        data = ({"T": values}, None) if on == "points" else (None, {"T": values})
        vtu(tmp_path / f"s_{i}.vtu", piece(points, cells, [12] * 3, *data))
    pvd(tmp_path / "s.pvd", [(times[i], 0, f"s_{i}.vtu") for i in (2, 0, 1)])  # in any order
    [t] = open_source(tmp_path / "s.pvd")
    np.testing.assert_array_equal(t.time, times)
    np.testing.assert_array_equal(t.fields["T"][:][:, 0, 0], [0, 10, 20])
    assert (len(t.coords.shape) == 3) == moving
    manifest = convert(tmp_path / "s.pvd", tmp_path / "o", split={"train": 1.0})
    assert (manifest.split("train").num_trajectories, manifest.points.moving) == (1, moving)


def test_a_series_reads_no_file_outside_of_its_folder(tmp_path):
    points, cells = hexes(2)
    vtu(tmp_path / "elsewhere/a.vtu", piece(points, cells, [12] * 2, {"T": points[:, 0]}))
    (tmp_path / "given").mkdir()
    pvd(tmp_path / "given/s.pvd", [(0.0, 0, "../elsewhere/a.vtu")])
    with pytest.raises(UpsDataError, match="outside of its folder.*--allow-links"):
        open_source(tmp_path / "given/s.pvd")
    assert len(open_source(tmp_path / "given/s.pvd", options=SourceOptions(allow_links=True))) == 1
    pvd(tmp_path / "given/s.pvd", [(0.0, 0, "b.vtu")])
    with pytest.raises(UpsDataError, match=r"names b.vtu, which is missing"):
        open_source(tmp_path / "given/s.pvd")


@pytest.mark.parametrize("corner", [-1, 16, 2**40])
def test_corners_outside_of_the_points_are_refused(tmp_path, corner):
    points, cells = hexes(3)
    cells[1][2] = corner
    vtu(tmp_path / "c.vtu", piece(points, cells, [12] * 3, None, {"x": [0.5, 1.5, 2.5]}))
    with pytest.raises(UpsDataError, match="a corner outside of its 16 points"):
        list(open_source(tmp_path / "c.vtu"))


CLAIMS = {
    "legacy": "# vtk DataFile Version 3.0\nx\nASCII\nDATASET STRUCTURED_POINTS\nDIMENSIONS 500 500 500\nORIGIN 0 0 0\n"
    "SPACING 1 1 1\nPOINT_DATA 125000000\nSCALARS u float 1\nLOOKUP_TABLE default\n0 0 0\n",
    "image": '<?xml version="1.0"?><VTKFile type="ImageData"><ImageData WholeExtent="0 999 0 999 0 999" Origin="0 0 0" '
    'Spacing="1 1 1"><Piece Extent="0 999 0 999 0 999"/></ImageData></VTKFile>',
    "vtu": '<?xml version="1.0"?><VTKFile type="UnstructuredGrid"><UnstructuredGrid><Piece '
    'NumberOfPoints="1000000000000" NumberOfCells="1"></Piece></UnstructuredGrid></VTKFile>',
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_few_bytes_claim_no_memory(tmp_path, claim):
    (tmp_path / "f").write_text(CLAIMS[claim])
    with pytest.raises(UpsDataError, match="claims .* raise --max-expansion"):
        list(open_source(tmp_path / "f"))


@pytest.mark.parametrize("same_name", [False, True])
def test_files_of_a_run_are_its_sets(tmp_path, same_name):
    """DrivAerML: `run_i/boundary_i.vtp` and `run_i/volume_i.vtu`."""
    for i in (1, 2, 10):
        points, cells = hexes(2 + i)
        name = "p" if same_name else "pMean"
        vtu(tmp_path / f"r/run_{i}/volume_{i}.vtu", piece(points, cells, [12] * len(cells), {"p": points[:, 0]}))
        vtu(tmp_path / f"r/run_{i}/boundary_{i}.vtu", piece(points[:4], [[0, 1, 2]], [5], {name: points[:4, 0]}))
    source = open_source(tmp_path / "r")
    assert [t.key for t in source] == ["run_1", "run_2", "run_10"]
    t = source[2]
    fields = {name: list(points.fields) for name, points in t.sets.items()}
    expected = (
        {"boundary": ["boundary_p"], "volume": ["volume_p"]} if same_name else {"boundary": ["pMean"], "volume": ["p"]}
    )
    assert fields == expected
    assert t.sets["volume"].coords.shape == (52, 3)
    manifest = convert(tmp_path / "r", tmp_path / "o", split={"train": 1.0})
    assert manifest.split("train").num_trajectories == 3


@pytest.mark.parametrize("kind", ["vtp", "vti", "vts", "vtr"])
def test_other_kinds_of_vtk(tmp_path, kind):
    """Written by vtk itself; a lattice's points and cells are in its order."""
    vtk = pytest.importorskip("vtkmodules.all")
    kinds = {"vtp": "PolyData", "vti": "ImageData", "vts": "StructuredGrid", "vtr": "RectilinearGrid"}
    data = getattr(vtk, f"vtk{kinds[kind]}")()
    n = 12
    if kind == "vtr":
        data.SetDimensions(3, 2, 2)
        for axis, size in (("X", 3), ("Y", 2), ("Z", 2)):
            values = vtk.vtkFloatArray()
            for i in range(size):
                values.InsertNextValue(i * i)
            getattr(data, f"Set{axis}Coordinates")(values)
    elif kind == "vti":
        data.SetDimensions(3, 2, 2)
    else:
        points = vtk.vtkPoints()
        for i in range(n):
            points.InsertNextPoint(i % 3, i // 3 % 2, i // 6)
        data.SetPoints(points)
        if kind == "vts":
            data.SetDimensions(3, 2, 2)
        else:
            polys = vtk.vtkCellArray()
            for cell in ([0, 1, 4, 3], [6, 7, 10]):
                polys.InsertNextCell(len(cell), cell)
            data.SetPolys(polys)
    for name, count, target in (("p", n, data.GetPointData()), ("c", 2, data.GetCellData())):
        values = vtk.vtkFloatArray()
        values.SetName(name)
        for i in range(count):
            values.InsertNextValue(i)
        target.AddArray(values)
    writer = getattr(vtk, f"vtkXML{kinds[kind]}Writer")()
    writer.SetFileName(str(tmp_path / "f"))
    writer.SetInputData(data)
    writer.Write()
    [t] = open_source(tmp_path / "f")
    np.testing.assert_array_equal(t.sets["points"].fields["p"][0, :, 0], np.arange(n))
    np.testing.assert_array_equal(t.sets["cells"].fields["c"][0, :, 0], [0, 1])
    np.testing.assert_allclose(t.sets["points"].coords, [data.GetPoint(i) for i in range(n)])
    cells = [data.GetCell(c).GetPoints() for c in range(1)]
    centres = [np.mean([cell.GetPoint(i) for i in range(cell.GetNumberOfPoints())], axis=0) for cell in cells]
    np.testing.assert_allclose(t.sets["cells"].coords[:1], centres, rtol=1e-6)


def test_text_in_field_data_and_arrays_is_no_field(tmp_path):
    points, cells = hexes(2)
    time = array("TimeValue", [0.25], "Float64").replace("Name", 'NumberOfTuples="1" Name')
    note = '<FieldData><Array type="String" Name="note" NumberOfTuples="1" format="ascii">104 105 0</Array>'
    field = f"{note}{time}</FieldData>"
    vtu(tmp_path / "a.vtu", piece(points, cells, [12] * 2, {"T": points[:, 0]}), field=field)
    [t] = open_source(tmp_path / "a.vtu")
    assert (list(t.fields), list(t.time)) == (["T"], [0.25])


@pytest.mark.parametrize("components", [10**5, 2**63, -1])
def test_components_that_are_claimed(tmp_path, components):
    """vtk makes a list of their names first, and never ends; of a negative number it ends the process."""
    points, cells = hexes(2)
    vtu(tmp_path / "m.vtu", piece(points, cells, [12] * 2, {"u": np.ones(len(points))}))
    text = (
        (tmp_path / "m.vtu")
        .read_text()
        .replace('Name="u" NumberOfComponents="1"', f'Name="u" NumberOfComponents="{components}"')
    )
    (tmp_path / "m.vtu").write_text(text)
    with pytest.raises(UpsDataError, match="components"):
        open_source(tmp_path / "m.vtu")[0]


def test_a_legacy_file_that_ends_in_an_array_is_refused(tmp_path):
    """vtk serves the rest as the memory had it."""
    text = "# vtk DataFile Version 3.0\nt\nASCII\nDATASET POLYDATA\nPOINTS 3 float\n0 0 0 1 0 0 0 1 0\n"
    data = "POINT_DATA 3\nSCALARS p float 1\nLOOKUP_TABLE default\n1 2 3\n"
    (tmp_path / "whole").write_text(text + data)
    np.testing.assert_array_equal(open_source(tmp_path / "whole")[0].fields["p"][0, :, 0], [1, 2, 3])
    for cut in (text[:-8], text + data[:-3]):
        (tmp_path / "cut").write_text(cut)
        with pytest.raises(UpsDataError, match="ends in the middle of an array"):
            open_source(tmp_path / "cut")[0]
    field = "FIELD f 1\nq 1000000 1000000 float\n1 2 3\n"
    (tmp_path / "claim").write_text(f"{text}POINT_DATA 3\n{field}")
    with pytest.raises(UpsDataError, match="1,000,000,000,000 values"):
        open_source(tmp_path / "claim")[0]
