"""VTK, VTU, PLY and OBJ: points, what they carry, and cells at their centres."""

import sys
import tracemalloc

import numpy as np
import pytest

from tests.sources import files
from ups_data import UpsDataError
from ups_data.sources import open_source

TRIANGLES = np.array([[0, 1, 2], [1, 2, 3]])
QUADS = np.array([[2, 3, 4, 5]])
POINTS = files.values(6, 3)


@pytest.fixture
def write_mesh():
    meshio = pytest.importorskip("meshio", reason="meshio, which writes these files, is not installed")

    def write(path, kind="vtu", points=POINTS, **options):
        mesh = meshio.Mesh(points, [("triangle", TRIANGLES), ("quad", QUADS)], **options)
        mesh.write(path, file_format=kind)

    return write


def shapes(arrays):
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}


@pytest.mark.parametrize("kind", ["vtu", "vtk", "vtk42"])
def test_points_and_cells_are_two_sets(tmp_path, write_mesh, kind):
    p, u, stress = files.values(6), files.values(6, 3, seed=1).astype(np.float64), np.arange(3, dtype=np.int32)
    cells_p = [files.values(2, seed=2), files.values(1, seed=3)]
    write_mesh(
        tmp_path / "run 3", kind, point_data={"p": p, "U": u}, cell_data={"p": cells_p, "id": [stress[:2], stress[2:]]}
    )
    source = open_source(tmp_path / "run 3")
    assert (source.format, len(source), source.splits()) == ("vtk", 1, [None])
    [t] = source
    assert (t.key, t.coords, t.fields, t.time) == ("run 3", None, {}, None)
    points, cells = t.sets["points"], t.sets["cells"]
    np.testing.assert_array_equal(points.coords, POINTS)
    assert shapes(points.fields) == {"p": ((1, 6, 1), np.float32), "U": ((1, 6, 3), np.float64)}
    np.testing.assert_array_equal(points.fields["U"][0], u)
    assert shapes(cells.fields) == {"cells_p": ((1, 3, 1), np.float32), "id": ((1, 3, 1), np.int32)}
    np.testing.assert_array_equal(cells.fields["cells_p"][0, :, 0], np.concatenate(cells_p))
    np.testing.assert_array_equal(cells.fields["id"][0, :, 0], [0, 1, 2])
    centres = [POINTS[[0, 1, 2]].mean(0), POINTS[[1, 2, 3]].mean(0), POINTS[[2, 3, 4, 5]].mean(0)]
    np.testing.assert_allclose(cells.coords, centres, rtol=1e-6)


def test_point_data_alone_cell_data_alone_and_nothing(tmp_path, write_mesh):
    write_mesh(tmp_path / "a", point_data={"p": files.values(6)})
    write_mesh(tmp_path / "b", cell_data={"p": [files.values(2), files.values(1)]})
    write_mesh(tmp_path / "c")
    a, b, c = open_source(tmp_path)
    assert (a.sets, b.sets, c.sets) == ({}, {}, {})
    assert (a.coords.shape, a.fields["p"].shape) == ((6, 3), (1, 6, 1))
    assert (b.coords.shape, b.fields["p"].shape) == ((3, 3), (1, 3, 1))
    np.testing.assert_array_equal(c.fields["position"][0], POINTS)


def test_the_time_of_a_vtu(tmp_path, write_mesh):
    write_mesh(tmp_path / "a", point_data={"p": files.values(6)})
    text = (tmp_path / "a").read_text()
    value = '<FieldData><DataArray type="Float64" Name="TimeValue" NumberOfTuples="1" format="ascii">0.25</DataArray>'
    (tmp_path / "a").write_text(text.replace("<UnstructuredGrid>", f"<UnstructuredGrid>{value}</FieldData>"))
    [t] = open_source(tmp_path / "a")
    np.testing.assert_array_equal(t.time, [0.25])


def test_vtk_is_asked_for_where_it_is_missing(tmp_path, monkeypatch):
    (tmp_path / "a.vtu").write_text('<?xml version="1.0"?>\n<VTKFile type="UnstructuredGrid"/>')
    monkeypatch.setitem(sys.modules, "vtkmodules.all", None)
    with pytest.raises(UpsDataError, match=r"needs vtk, which is not installed: pip install 'ups_data\[mesh\]'"):
        open_source(tmp_path / "a.vtu")


def test_one_mesh_is_read_at_a_time(tmp_path, write_mesh, monkeypatch):
    """A mesh is read when it is reached, not when its folder is opened."""
    from ups_data.sources.meshes import vtk
    from ups_data.sources.meshes.apart.source import reading_here

    read = []
    original = vtk.read_mesh
    monkeypatch.setattr(vtk, "read_mesh", lambda path, *rest: read.append(path.name) or original(path, *rest))
    for name in "abc":
        write_mesh(tmp_path / name, point_data={"p": files.values(6)})
    source = open_source(tmp_path)
    assert (len(source), read) == (3, [])
    trajectories = iter(source)
    with reading_here():
        next(trajectories), next(trajectories)
    assert read == ["a", "b"]


COLOURED = {
    "x": ("double", POINTS[:, 0]),
    "y": ("double", POINTS[:, 1]),
    "z": ("double", POINTS[:, 2]),
    "red": ("uchar", np.array([0, 127, 128, 200, 255, 1])),
    "quality": ("float", files.values(6, seed=1)),
}


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_vertices(tmp_path, encoding):
    written = files.write_ply(tmp_path / "car.ply", encoding, properties=COLOURED)
    source = open_source(tmp_path / "car.ply")
    assert (source.format, len(source)) == ("ply", 1)
    [t] = source
    assert (t.key, t.coords.dtype, t.sets) == ("car", np.float64, {})
    np.testing.assert_array_equal(t.coords, POINTS.astype(np.float64))
    assert shapes(t.fields) == {"red": ((1, 6, 1), np.uint8), "quality": ((1, 6, 1), np.float32)}
    for name, field in t.fields.items():
        np.testing.assert_array_equal(field[0, :, 0], written[name])


def test_ply_in_the_plane_and_without_fields(tmp_path):
    files.write_ply(tmp_path / "a", properties={"x": ("float", POINTS[:, 0]), "y": ("float", POINTS[:, 1])})
    [t] = open_source(tmp_path / "a")
    np.testing.assert_array_equal(t.coords, POINTS[:, :2])
    np.testing.assert_array_equal(t.fields["position"][:], POINTS[None, :, :2])


def test_a_binary_ply_is_read_in_pieces(tmp_path):
    n = 1 << 18
    columns = {name: ("float", np.zeros(n)) for name in [*"xyz", *(f"f{i}" for i in range(13))]}
    files.write_ply(tmp_path / "a", count=n, properties=columns)
    tracemalloc.start()
    [t] = open_source(tmp_path / "a")
    assert not t.fields["f12"][:].any()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(t.fields) == 13
    assert peak < 0.7 * n * 16 * 4


def test_obj_vertices(tmp_path):
    text = (
        "# a car\nmtllib a.mtl\no car\nv 0 0 0\nv 1 0.5 0\nv -1e-3 0 2 1 0 0\nvt 0 0\nvn 0 0 1\nf 1/1/1 2/1/1 3/1/1\n"
    )
    (tmp_path / "a.obj").write_text(text)
    source = open_source(tmp_path / "a.obj")
    assert (source.format, len(source)) == ("obj", 1)
    [t] = source
    expected = [[0, 0, 0], [1, 0.5, 0], [-1e-3, 0, 2]]
    np.testing.assert_array_equal(t.coords, expected)
    np.testing.assert_array_equal(t.fields["position"][:], [expected])
    assert t.key == "a"


def _nan_mesh(path, write_mesh):
    write_mesh(path, points=np.where(np.arange(6)[:, None] == 4, np.nan, POINTS))


def _no_components(path, write_mesh):
    """An array that does not fit its number of components."""
    write_mesh(path, point_data={"U": files.values(6, 3)})
    text = path.read_text()
    at = text.index('Name="U"')
    path.write_text(text[:at] + text[at:].replace('NumberOfComponents="3"', 'NumberOfComponents="4"', 1))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_nan_mesh, "3 values of the coordinates are NaN or Inf .*point 4"),
        (_no_components, "U|truncated or damaged"),
        (
            lambda path, write: path.write_text('<?xml version="1.0"?>\n<VTKFile type="PolyData"/>'),
            "Cannot find PolyData element",
        ),
        (
            lambda path, write: path.write_text("# vtk DataFile Version 3.0\nx\nASCII\nDATASET POLYDATA\n"),
            "no points|damaged",
        ),
        (lambda path, write: (write(path), files.truncate(path)), "read by vtk, it is truncated or damaged"),
        (lambda path, write: (write(path, "vtk"), files.truncate(path)), "read by vtk, it is truncated or damaged"),
    ],
)
def test_vtk_files_that_do_not_fit_are_refused_in_one_line(tmp_path, write_mesh, write, message):
    write(tmp_path / "f", write_mesh)
    with pytest.raises(UpsDataError, match=message) as caught:
        list(open_source(tmp_path / "f"))
    assert str(tmp_path / "f") in str(caught.value)
    assert "\n" not in str(caught.value)


def _nan_ply(encoding):
    nan = np.where(np.arange(6) == 4, np.nan, POINTS[:, 0])
    return lambda path: files.write_ply(path, encoding, properties=COLOURED | {"x": ("double", nan)})


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_nan_ply("ascii"), "1 values of the coordinates .*point 4"),
        (_nan_ply("binary_big_endian"), "1 values of the coordinates .*point 4"),
        (lambda path: files.write_ply(path, lines=("element lamp 0",)), "first element is lamp 0, not vertices"),
        (lambda path: files.write_ply(path, properties={"u": ("float", POINTS[:, 0])}), "no vertices with x, y"),
        (
            lambda path: files.write_ply(path, count=0, properties={n: ("float", []) for n in "xyz"}),
            "no vertices with x, y",
        ),
        (lambda path: path.write_text("ply\nformat ascii 1.0\nelement vertex 1\n"), "header has no end"),
        (lambda path: path.write_text("ply\nformat ascii 2\nelement vertex 1\nend_header\n"), "no vertices with x, y"),
        (
            lambda path: path.write_text(
                "ply\nformat ascii 1.0\nelement vertex 1\nproperty list int int x\nend_header\n0\n"
            ),
            "its vertices have a 'property list int int x'",
        ),
        (
            lambda path: path.write_text(
                "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nend_header\n0 1\n"
            ),
            "1 of 2 vertices",
        ),
        (lambda path: (files.write_ply(path), files.truncate(path, 0.9)), "ends before its 6 vertices do"),
        (lambda path: path.write_text("v 0 0 0\nv 1 2\nf 1 1 1\n"), "line 2 is no vertex of three numbers"),
        (lambda path: path.write_text("v 0 0 0\nv nan 2 0\nf 1 1 1\n"), "1 values of the coordinates"),
        (lambda path: path.write_text("v 0 0 0\nhello\n\n"), "bytes of no known kind"),
    ],
)
def test_files_of_points_that_do_not_fit_are_refused_in_one_line(tmp_path, write, message):
    write(tmp_path / "f")
    with pytest.raises(UpsDataError, match=message) as caught:
        list(open_source(tmp_path / "f"))
    assert str(tmp_path / "f") in str(caught.value)
    assert "\n" not in str(caught.value)
