"""Surfaces, blocks, series and solvers' cases; values, sizes and normals are compared with vtk's own."""

import json

import numpy as np
import pytest

from tests.sources import files, vtk_text
from tests.sources.solver_files import write_cgns, write_ensight, write_openfoam
from ups_data import QueryLoader, QuerySampling, UpsDataError
from ups_data.conversion.convert import convert
from ups_data.sources import SourceOptions, open_source

vtk = pytest.importorskip("vtkmodules.all", reason="vtk is not installed: pip install 'ups_data[mesh]'")
support = pytest.importorskip("vtkmodules.util.numpy_support")
ONE = {"train": 1.0}
FACES = [[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]]  # of a cube


def numpy_of(array):
    return support.vtk_to_numpy(array)


def vtk_write(writer, data, path, **calls):
    writer.SetFileName(str(path))
    writer.SetInputData(data)
    for name, value in calls.items():
        getattr(writer, name)(value) if value is not None else getattr(writer, name)()
    assert writer.Write()


def sphere():
    source = vtk.vtkSphereSource()
    source.SetThetaResolution(9)
    source.SetPhiResolution(7)
    source.SetCenter(100, 0, 0)
    source.Update()
    source.GetOutput().GetPointData().Initialize()  # its normals
    return source.GetOutput()


def with_cell_data(data, name="p"):
    values = support.numpy_to_vtk(files.values(data.GetNumberOfCells()), deep=True)
    values.SetName(name)
    data.GetCellData().AddArray(values)
    return data


def sizes_by_vtk(data, name):
    sizes = vtk.vtkCellSizeFilter()
    sizes.SetInputData(data)
    sizes.Update()
    return numpy_of(sizes.GetOutput().GetCellData().GetArray(name))


def test_areas_and_normals_of_a_surface(tmp_path):
    surface = with_cell_data(sphere())
    vtk_write(vtk.vtkXMLPolyDataWriter(), surface, tmp_path / "a.vtp")
    [t] = open_source(tmp_path / "a.vtp")
    assert (set(t.fields), set(t.static)) == ({"p"}, {"cell_area", "normal"})
    np.testing.assert_allclose(t.static["cell_area"][:, 0], sizes_by_vtk(surface, "Area"), rtol=1e-5)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(surface)
    for call in ("ComputeCellNormalsOn", "ComputePointNormalsOff", "SplittingOff", "ConsistencyOff"):
        getattr(normals, call)()
    normals.Update()
    expected = numpy_of(normals.GetOutput().GetCellData().GetNormals())
    np.testing.assert_allclose(t.static["normal"][:], expected, atol=1e-5)
    outward = t.coords - np.array([100, 0, 0])
    assert ((t.static["normal"] * outward).sum(1) > 0).all()
    manifest = convert(tmp_path / "a.vtp", tmp_path / "o", split=ONE)
    assert {f.name: f.static for f in manifest.fields} == {"p": False, "cell_area": True, "normal": True}


@pytest.mark.parametrize("kind", ["image", "hexahedra", "polyhedra", "pixels"])
def test_sizes_of_cells(tmp_path, kind):
    if kind in ("image", "pixels"):
        data = vtk.vtkImageData()
        data.SetDimensions(4, 3, 3 if kind == "image" else 1)
        data.SetSpacing(0.5, 2.0, 3.0)
        vtk_write(vtk.vtkXMLImageDataWriter(), with_cell_data(data), tmp_path / "a.vti")
        expected = {"cell_volume": 3.0} if kind == "image" else {"cell_area": 1.0}
        path = tmp_path / "a.vti"
    else:
        points, cells = vtk_text.hexes(3)
        faces = [[[c[i] for i in face] for face in FACES] for c in cells] if kind == "polyhedra" else None
        path, expected = tmp_path / "a.vtu", {"cell_volume": 1.0}
        data = {"p": files.values(3)}
        vtk_text.vtu(path, vtk_text.piece(points, cells, [42 if faces else 12] * 3, None, data, faces))
    [t] = open_source(path)
    for name, size in expected.items():
        np.testing.assert_allclose(t.static[name][:], size, rtol=1e-5)
    if kind == "pixels":
        np.testing.assert_array_equal(np.abs(t.static["normal"]), [[0, 0, 1]] * 6)
        assert len(np.unique(t.static["normal"], axis=0)) == 1


def test_cells_of_two_dimensions_have_no_sizes_and_an_own_field_comes_first(tmp_path):
    points, cells = vtk_text.hexes(1)
    data = {"p": files.values(2), "cell_volume": np.array([7.0, 8.0])}
    vtk_text.vtu(tmp_path / "a.vtu", vtk_text.piece(points, [cells[0], cells[0][:4]], [12, 9], None, data))
    [t] = open_source(tmp_path / "a.vtu")
    assert t.static == {}
    np.testing.assert_array_equal(t.fields["cell_volume"][0, :, 0], [7, 8])


@pytest.mark.parametrize("binary", [True, False])
def test_stl(tmp_path, binary):
    surface = sphere()
    vtk_write(
        vtk.vtkSTLWriter(),
        surface,
        tmp_path / "a.stl",
        **{"SetFileTypeToBinary" if binary else "SetFileTypeToASCII": None},
    )
    source = open_source(tmp_path / "a.stl")
    t = source[0]
    assert (source.format, set(t.fields), list(t.left_out)) == ("stl", {"cell_area", "normal"}, ["vertices"])
    np.testing.assert_allclose(t.fields["cell_area"][0, :, 0], sizes_by_vtk(surface, "Area"), rtol=1e-4)
    centres = vtk.vtkCellCenters()
    centres.SetInputData(surface)
    centres.Update()
    np.testing.assert_allclose(t.coords, numpy_of(centres.GetOutput().GetPoints().GetData()), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(t.fields["normal"][:], axis=-1), 1, rtol=1e-5)
    files.truncate(tmp_path / "a.stl", 0.7)
    with pytest.raises(UpsDataError, match="truncated or damaged"):
        convert(tmp_path / "a.stl", tmp_path / "o", format="stl")
    assert not (tmp_path / "o").exists()


def blocks(tmp_path):
    made = vtk.vtkMultiBlockDataSet()
    for number, (name, data) in enumerate({"car body": with_cell_data(sphere()), "air": with_cell_data(box())}.items()):
        made.SetBlock(number, data)
        made.GetMetaData(number).Set(vtk.vtkCompositeDataSet.NAME(), name)
    vtk_write(vtk.vtkXMLMultiBlockDataWriter(), made, tmp_path / "a.vtm")
    return made


def box():
    data = vtk.vtkImageData()
    data.SetDimensions(3, 3, 3)
    return data


def test_blocks_are_sets_of_points(tmp_path):
    made = blocks(tmp_path)
    [t] = open_source(tmp_path / "a.vtm")
    assert set(t.sets) == {"car_body", "air"}
    for number, name in enumerate(("car_body", "air")):
        data = made.GetBlock(number).GetCellData()
        np.testing.assert_array_equal(t.sets[name].fields[f"{name}_p"][0, :, 0], numpy_of(data.GetArray("p")))
    assert set(t.sets["car_body"].static) == {"cell_area", "normal"}
    assert set(t.sets["air"].static) == {"cell_volume"}
    manifest = convert(tmp_path / "a.vtm", tmp_path / "o", split=ONE)
    assert {n: s.num_points for n, s in manifest.sets.items()} == {
        "car_body": made.GetBlock(0).GetNumberOfCells(),
        "air": 8,
    }


def test_a_block_outside_of_the_folder_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    blocks(tmp_path / "in")
    text = (tmp_path / "in/a.vtm").read_text()
    (tmp_path / "in/a.vtm").write_text(text.replace('file="a/', 'file="../a/'))
    with pytest.raises(UpsDataError, match="outside of its folder: copy it there, or give --allow-links"):
        open_source(tmp_path / "in/a.vtm")


def series(folder, moving=False, stamped=False):
    """Three files of hexahedra with a field on their points; returns positions and values, (T, N, 3) and (T, N)."""
    folder.mkdir(exist_ok=True)
    points, cells = vtk_text.hexes(2)
    where = np.stack([points + (0.1 * n if moving else 0) for n in range(3)])
    u = files.values(3, len(points))
    for n in range(3):
        stamp = vtk_text.array("TimeValue", [10.0 + 2.5 * n], "Float64").replace(
            "format=", 'NumberOfTuples="1" format='
        )
        piece = vtk_text.piece(where[n], cells, [12] * 2, {"u": u[n]}, None)
        vtk_text.vtu(folder / f"s_{n}.vtu", piece, field=f"<FieldData>{stamp}</FieldData>" if stamped else "")
    return where, u


def test_a_series_of_paraview(tmp_path):
    _, u = series(tmp_path)
    listed = [{"name": f"s_{n}.vtu", "time": 0.5 * n} for n in (2, 0, 1)]
    (tmp_path / "s.vtu.series").write_text(json.dumps({"file-series-version": "1.0", "files": listed}))
    [t] = open_source(tmp_path / "s.vtu.series")
    np.testing.assert_array_equal(t.time, [0, 0.5, 1])
    np.testing.assert_allclose(t.fields["u"][:, :, 0], u, rtol=1e-6)
    listed[0]["name"] = "../../etc/passwd"
    (tmp_path / "s.vtu.series").write_text(json.dumps({"file-series-version": "1.0", "files": listed}))
    with pytest.raises(UpsDataError, match="outside of its folder"):
        open_source(tmp_path / "s.vtu.series")


@pytest.mark.parametrize("moving", [False, True])
def test_numbered_files_with_times(tmp_path, moving):
    where, u = series(tmp_path / "run", moving, stamped=True)
    [t] = open_source(tmp_path / "run", options=SourceOptions(concat="time"))
    np.testing.assert_array_equal(t.time, [10, 12.5, 15])
    np.testing.assert_allclose(t.fields["u"][1:3, :, 0], u[1:3], rtol=1e-6)
    np.testing.assert_allclose(t.coords[:], where if moving else where[0], rtol=1e-6)


FOAM = {
    "0": {"p": np.array([1.0, 2, 3]), "U": np.arange(9.0).reshape(3, 3)},
    "0.5": {"p": np.array([4.0, 5, 6]), "U": np.arange(9.0, 18).reshape(3, 3), "phi2": np.zeros(3)},
    "1": {"p": np.array([7.0, 8, 9]), "U": np.arange(18.0, 27).reshape(3, 3), "phi2": np.ones(3)},
}


def test_openfoam(tmp_path):
    centres = write_openfoam(tmp_path / "cavity", FOAM)
    source = open_source(tmp_path / "cavity")
    t = source[0]
    assert (source.format, t.key, set(t.fields)) == ("openfoam", "cavity", {"p", "U"})
    np.testing.assert_array_equal(t.time, [0, 0.5, 1])
    for frame, values in enumerate(FOAM.values()):
        np.testing.assert_allclose(t.fields["p"][frame, :, 0], values["p"])
        np.testing.assert_allclose(t.fields["U"][frame], values["U"])
    np.testing.assert_allclose(t.coords[:], centres)
    np.testing.assert_allclose(t.static["cell_volume"][:], 1, rtol=1e-6)
    assert t.left_out["phi2"] == "not in all frames"
    assert t.left_out["walls"] == "a boundary"
    convert(tmp_path / "cavity", tmp_path / "o", split=ONE)
    loader = QueryLoader(
        tmp_path / "o",
        split="train",
        batch_size=1,
        horizon=0,
        sampling=QuerySampling(ratio=1.0),
        shuffle=False,
        threads=0,
    )
    got = np.stack([batch.inputs.fields["U"][0].numpy() for batch in loader])
    np.testing.assert_allclose(got, np.stack([values["U"] for values in FOAM.values()]))


def test_a_folder_of_openfoam_cases(tmp_path):
    for name in ("case_1", "case_2"):
        write_openfoam(tmp_path / name, FOAM)
    assert [t.key for t in open_source(tmp_path)] == ["case_1", "case_2"]


@pytest.mark.parametrize(
    "line", ['#include "/etc/passwd"', "#calc #{ 1+1 #}", '#includeEtc "caseDicts/a"', "#codeStream {}"]
)
def test_openfoam_reads_nothing_else_and_runs_nothing(tmp_path, line):
    write_openfoam(tmp_path / "cavity", FOAM)
    with open(tmp_path / "cavity/0/p", "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(UpsDataError, match="which leads out of the case or runs code"):
        open_source(tmp_path / "cavity")


def test_ensight(tmp_path):
    frames = files.values(3, 4)
    points = write_ensight(tmp_path, frames, [0.0, 0.5, 1.0])
    source = open_source(tmp_path / "a.case")
    t = source[0]
    assert (source.format, set(t.fields)) == ("ensight", {"temperature"})
    np.testing.assert_allclose(t.fields["temperature"][:, :, 0], frames, rtol=1e-4)
    np.testing.assert_array_equal(t.time, [0, 0.5, 1])
    np.testing.assert_array_equal(t.coords[:], points)
    text = (tmp_path / "a.case").read_text()
    (tmp_path / "a.case").write_text(text.replace("model: a.geo", "model: ../../../etc/passwd"))
    with pytest.raises(UpsDataError, match="outside of its folder"):
        open_source(tmp_path / "a.case")


def test_cgns(tmp_path):
    pressure = files.values(12).astype(np.float64)
    points = write_cgns(tmp_path / "a.cgns", pressure)
    source = open_source(tmp_path / "a.cgns")
    t = source[0]
    assert (source.format, set(t.fields)) == ("cgns", {"Pressure"})
    np.testing.assert_array_equal(t.coords[:], points)
    np.testing.assert_array_equal(t.fields["Pressure"][0, :, 0], pressure)
