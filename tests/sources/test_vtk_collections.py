"""Ghosts of every convention, identifiers, parts and blocks in time, newer containers: compared with what vtk wrote."""

from pathlib import Path

import numpy as np
import pytest

from tests.sources import vtk_text
from ups_data import UpsDataError
from ups_data.sources import open_source

vtk = pytest.importorskip("vtkmodules.all", reason="vtk is not installed: pip install 'ups_data[mesh]'")
support = pytest.importorskip("vtkmodules.util.numpy_support")


def named(name, values):
    array = support.numpy_to_vtk(np.ascontiguousarray(values), deep=True)
    array.SetName(name)
    return array


def row(cells: int, begin: float = 0.0, shift: float = 0.0, on: str = "cells", **more):
    """Cubes in a row along x; p is x of what it lies on, plus `shift`."""
    points, corners = vtk_text.hexes(cells, begin)
    grid, held = vtk.vtkUnstructuredGrid(), vtk.vtkPoints()
    held.SetData(support.numpy_to_vtk(points, deep=True))
    grid.SetPoints(held)
    for cell in corners:
        grid.InsertNextCell(vtk.VTK_HEXAHEDRON, len(cell), cell)
    if "cells" in on:
        grid.GetCellData().AddArray(named("p", begin + np.arange(cells) + 0.5 + shift))
    if "points" in on:
        grid.GetPointData().AddArray(named("T", points[:, 0] + shift))
    for name, values in more.items():
        grid.GetCellData().AddArray(named(name, values))
    return grid


def write(data, path: Path, writer: str = "vtkXMLUnstructuredGridWriter") -> None:
    made = getattr(vtk, writer)()
    made.SetFileName(str(path))
    made.SetInputData(data)
    assert made.Write()


def composite(kind: str, **blocks):
    data = getattr(vtk, kind)()
    for number, (name, grid) in enumerate(blocks.items()):
        if "Partitioned" in kind:
            data.SetPartition(number, 0, grid)
        else:
            data.SetBlock(number, grid)
        data.GetMetaData(number).Set(vtk.vtkCompositeDataSet.NAME(), name)
    return data


@pytest.mark.parametrize(
    ("name", "flags", "kept"),
    [
        ("vtkGhostType", [0, 2, 16, 1], [0.5, 1.5, 2.5]),  # connected to many, at the exterior: cells of the mesh
        ("vtkGhostType", [0, 32, 4, 8], [0.5, 2.5]),  # hidden, connected to few, refined
        ("vtkGhostType", [0, 18, 17, 0], [0.5, 1.5, 3.5]),
        ("vtkGhostLevels", [0, 0, 1, 2], [0.5, 1.5]),
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_which_cells_are_ghosts(tmp_path, name, flags, kept, legacy):
    grid = row(4, **{name: np.array(flags, np.uint8)})
    write(grid, tmp_path / "g", "vtkUnstructuredGridWriter" if legacy else "vtkXMLUnstructuredGridWriter")
    [t] = open_source(tmp_path / "g")
    np.testing.assert_allclose(t.fields["p"][0, :, 0], kept)
    np.testing.assert_allclose(t.coords[:, 0], kept)
    assert list(t.fields) == ["p"]


def test_identifiers_are_bookkeeping(tmp_path):
    grid = row(2, on="points")
    grid.GetPointData().SetGlobalIds(support.numpy_to_vtkIdTypeArray(np.arange(12), deep=True))
    grid.GetPointData().GetGlobalIds().SetName("GlobalIds")
    write(grid, tmp_path / "g.vtu")
    [t] = open_source(tmp_path / "g.vtu")
    assert (list(t.fields), t.left_out) == (["T"], {"GlobalIds": "numbers of the points"})


def pvd(path: Path, entries) -> None:
    text = "".join(f'<DataSet timestep="{t}" part="{part}" file="{file}"/>' for t, part, file in entries)
    path.write_text(f'<?xml version="1.0"?><VTKFile type="Collection"><Collection>{text}</Collection></VTKFile>')


def test_parts_of_a_time_are_one_mesh(tmp_path):
    entries = []
    for time in (0, 1):
        for part in (1, 0):
            write(row(2, 2.0 * part, 10.0 * time), tmp_path / f"{time}_{part}.vtu")
            entries.append((0.5 * time, part, f"{time}_{part}.vtu"))
    pvd(tmp_path / "s.pvd", entries)
    [t] = open_source(tmp_path / "s.pvd")
    assert t.time.tolist() == [0, 0.5]
    np.testing.assert_allclose(t.coords[:, 0], [0.5, 1.5, 2.5, 3.5])
    np.testing.assert_allclose(t.fields["p"][:][..., 0], [[0.5, 1.5, 2.5, 3.5], [10.5, 11.5, 12.5, 13.5]])
    np.testing.assert_allclose(t.static["cell_volume"][:, 0], 1)
    pvd(tmp_path / "twice.pvd", [(0, 0, "0_0.vtu"), (0, 0, "0_1.vtu")])
    with pytest.raises(UpsDataError, match="names two files for one part at the time 0: leave one of them"):
        open_source(tmp_path / "twice.pvd")
    write(row(2, 2.0, on="points"), tmp_path / "0_1.vtu")
    with pytest.raises(UpsDataError, match="parts of one time have different fields"):
        open_source(tmp_path / "s.pvd")[0]


@pytest.mark.parametrize("kind", ["blocks", "points and cells"])
def test_a_collection_of_meshes_with_several_places(tmp_path, kind):
    for time in (0, 1):
        if kind == "blocks":
            data = composite("vtkMultiBlockDataSet", fluid=row(2, 0, 10 * time), wall=row(3, 5, 10 * time))
            write(data, tmp_path / f"{time}.vtm", "vtkXMLMultiBlockDataWriter")
        else:
            write(row(2, 0, 10 * time, "points cells"), tmp_path / f"{time}.vtu")
    ending = "vtm" if kind == "blocks" else "vtu"
    pvd(tmp_path / "s.pvd", [(t, 0, f"{t}.{ending}") for t in (0, 1)])
    [t] = open_source(tmp_path / "s.pvd")
    assert set(t.sets) == ({"fluid", "wall"} if kind == "blocks" else {"points", "cells"})
    for points in t.sets.values():
        [values] = [points.fields[n] for n in points.fields if n.endswith(("p", "T"))]
        np.testing.assert_allclose(values[:][..., 0], [points.coords[:, 0], points.coords[:, 0] + 10])


def test_nested_and_empty_blocks(tmp_path):
    inner = composite("vtkMultiBlockDataSet", wall=row(2), empty=vtk.vtkUnstructuredGrid())
    data = composite("vtkMultiBlockDataSet", boundary=inner, nothing=None, inside=row(3, 5.0))
    write(data, tmp_path / "a.vtm", "vtkXMLMultiBlockDataWriter")
    [t] = open_source(tmp_path / "a.vtm")
    assert {name: points.coords.shape[0] for name, points in t.sets.items()} == {"wall": 2, "inside": 3}


def test_a_collection_of_partitions(tmp_path):
    data = composite("vtkPartitionedDataSetCollection", fluid=row(2), wall=row(3, 5.0))
    write(data, tmp_path / "a.vtpc", "vtkXMLPartitionedDataSetCollectionWriter")
    [t] = open_source(tmp_path / "a.vtpc")
    for name, begin in (("fluid", 0), ("wall", 5)):
        points = t.sets[name]
        np.testing.assert_allclose(points.fields[f"{name}_p"][0, :, 0], points.coords[:, 0])
        assert points.coords[0, 0] == begin + 0.5


def test_vtkhdf(tmp_path):
    write(row(3, on="points cells"), tmp_path / "a.vtkhdf", "vtkHDFWriter")
    source = open_source(tmp_path / "a.vtkhdf")
    [t] = source
    assert (source.format, set(t.sets)) == ("vtkhdf", {"points", "cells"})
    np.testing.assert_allclose(t.sets["cells"].fields["p"][0, :, 0], t.sets["cells"].coords[:, 0])
    np.testing.assert_allclose(t.sets["points"].fields["T"][0, :, 0], t.sets["points"].coords[:, 0])
    damaged = (tmp_path / "a.vtkhdf").read_bytes()[:1500]
    (tmp_path / "b.vtkhdf").write_bytes(damaged)
    with pytest.raises(UpsDataError, match="truncated or damaged"):
        open_source(tmp_path / "b.vtkhdf")[0]


def with_number(mesh, name, value):
    mesh.GetFieldData().AddArray(named(name, np.array([float(value)])))
    return mesh


def test_numbers_of_the_whole_mesh_are_parameters_if_all_blocks_and_frames_agree(tmp_path):
    blocks = [with_number(with_number(row(2, 5.0 * n), "Re", 40), "patch", n) for n in range(2)]
    write(composite("vtkMultiBlockDataSet", a=blocks[0], b=blocks[1]), tmp_path / "a.vtm", "vtkXMLMultiBlockDataWriter")
    for n in range(2):
        write(with_number(with_number(row(2), "Re", 40), "iteration", n), tmp_path / f"{n}.vtu")
    pvd(tmp_path / "b.pvd", [(n, 0, f"{n}.vtu") for n in range(2)])
    for name, other in (("a.vtm", "patch"), ("b.pvd", "iteration")):
        [t] = open_source(tmp_path / name)
        assert t.params == {"Re": 40.0}, name
        assert t.left_out[other] == "another number in each block or frame"


def test_steps_of_vtkhdf_are_frames(tmp_path):
    algorithm = pytest.importorskip("vtkmodules.util.vtkAlgorithm")

    class Steps(algorithm.VTKPythonAlgorithmBase):
        def __init__(self):
            super().__init__(nInputPorts=0, nOutputPorts=1, outputType="vtkUnstructuredGrid")

        def RequestInformation(self, request, inputs, outputs):
            key, information = vtk.vtkStreamingDemandDrivenPipeline, outputs.GetInformationObject(0)
            information.Set(key.TIME_STEPS(), [0.5, 2.0, 3.0], 3)
            information.Set(key.TIME_RANGE(), [0.5, 3.0], 2)
            return 1

        def RequestData(self, request, inputs, outputs):
            information = outputs.GetInformationObject(0)
            time = information.Get(vtk.vtkStreamingDemandDrivenPipeline.UPDATE_TIME_STEP())
            vtk.vtkUnstructuredGrid.GetData(information).ShallowCopy(row(3, shift=time))
            return 1

    steps, writer = Steps(), vtk.vtkHDFWriter()
    writer.SetFileName(str(tmp_path / "a.vtkhdf"))
    writer.SetInputConnection(steps.GetOutputPort())
    writer.SetWriteAllTimeSteps(True)
    assert writer.Write()
    [t] = open_source(tmp_path / "a.vtkhdf")
    np.testing.assert_array_equal(t.time, [0.5, 2.0, 3.0])
    np.testing.assert_allclose(np.asarray(t.fields["p"][0:3])[..., 0], t.coords[:, 0] + np.array([[0.5], [2], [3]]))
