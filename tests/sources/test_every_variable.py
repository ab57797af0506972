"""The rule that every reader keeps: a variable of a file is stored, or named as left out with the reason, or refused.

Each registered format has an example here, a file that holds fields, coordinates, and what can be no field. The names
in it are listed by the library that wrote it, so that a reader which passes over one is found out.
"""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from tests.sources import files
from tests.sources.operator_files import write_domino
from tests.sources.solver_files import write_cgns, write_ensight, write_openfoam
from tests.sources.well_files import write_well
from ups_data import ShardWriter
from ups_data.exporting import export_dataset
from ups_data.sources import FORMATS, Trajectory, open_source
from ups_data.sources.domino.source import NAMES, SETS
from ups_data.trajectory import PointSet

# A format's example: writes a file in the folder → its path, the names in it, those that are coordinates or times.
Example = tuple[Path, set[str], set[str]]
EXAMPLES: dict[str, Callable[[Path], list[Example]]] = {}


def example(format: str):
    def put(function):
        EXAMPLES[format] = function
        return function

    return put


def names_in_hdf5(path: Path, under: str = "/") -> set[str]:
    names: set[str] = set()
    with h5py.File(path) as file:
        file[under].visititems(lambda name, item: names.add(name) if isinstance(item, h5py.Dataset) else None)
    return names


@example("well")
def _well(folder):
    write_well(folder / "a.h5")
    with h5py.File(folder / "a.h5", "a") as file:
        file["notes"] = np.arange(3)
        file["t0_fields/unlisted"] = np.arange(3)
    names = {name.split("/", 1)[-1].replace("/", ".") for name in names_in_hdf5(folder / "a.h5")}
    return [(folder / "a.h5", names, {"x", "y", "time"})]


@example("pdebench")
def _pdebench(folder):
    made = {"tensor": files.write_tensor, "darcy": files.write_darcy, "groups": files.write_groups}
    made |= {"flow": files.write_compressible, "incompressible": files.write_incompressible}
    found = []
    for name, write in made.items():
        path = folder / f"{name}.h5"
        write(path)
        with h5py.File(path, "a") as file:
            file["extra"] = np.arange(4)
            if name == "groups":
                file["0000/forcing"] = np.arange(4)
        names = names_in_hdf5(path)
        if name == "groups":
            names = {n.removeprefix("0000/") for n in names if n[:4] not in ("0001", "0002")}
        carried = {n for n in names if n.endswith(("-coordinate", "grid/x", "grid/y", "grid/t"))} | {"t"}
        found.append((path, names, carried - ({"t-coordinate"} if name == "darcy" else set())))
    return found


@example("npy")
def _npy(folder):
    files.write_npy(folder / "a.npy", files.values(2, 3, 4, 1))
    return [(folder / "a.npy", {"data"}, set())]


@example("npz")
def _npz(folder):
    u = files.values(2, 3, 4, 5, 1)
    files.write_npz(folder / "a.npz", u=u, nu=np.arange(2.0), time=np.arange(3.0), x=np.arange(5.0), y=np.arange(4.0))
    files.write_npz(folder / "b.npz", coords=files.values(5, 3), p=files.values(5), Re=np.float64(3))
    return [
        (folder / "a.npz", {"u", "nu", "time", "x", "y"}, {"time", "x", "y"}),
        (folder / "b.npz", {"coords", "p", "Re"}, {"coords"}),
    ]


@example("neuraloperator")
def _neuraloperator(folder):
    tensors = {"x": torch.rand(4, 6, 5), "y": torch.rand(4, 6, 5), "nu": torch.rand(4), "lost": torch.rand(7, 2)}
    torch.save({**tensors, "note": "text"}, folder / "a.pt")
    cars = [
        {
            "vertices": torch.rand(7, 3),
            "press": torch.rand(1, 7),
            "distance": torch.rand(2, 2, 2, 1),
            "query_points": torch.rand(2, 2, 2, 3),
            "centroids": torch.rand(12, 3),
            "triangle_areas": torch.rand(12),
            "name": "car",
        }
    ]
    torch.save(cars, folder / "b.pt")
    return [(folder / "a.pt", {*tensors, "note"}, set()), (folder / "b.pt", set(cars[0]), {"vertices"})]


@example("cases")
def _cases(folder):
    case = {"surface_position": files.values(5, 3), "surface_pressure": files.values(5), "speed": np.array([30.0])}
    case |= {"volume_position": files.values(7, 3), "volume_u": files.values(7, 3), "triangles": np.zeros((4, 3), int)}
    files.write_case(folder / "a/case_1", **case)
    return [(folder / "a", set(case), {"surface_position", "volume_position"})]


@example("lagrangebench")
def _lagrangebench(folder):
    groups = files.write_lagrangebench(folder / "train.h5", mass=np.ones(7), points=(7,))
    return [(folder / "train.h5", set(groups["00000"]), {"position"})]


@example("ply")
def _ply(folder):
    kinds = {name: ("float", files.values(6, seed=n)) for n, name in enumerate(("x", "y", "z", "quality"))}
    files.write_ply(folder / "a.ply", properties=kinds)
    return [(folder / "a.ply", {*kinds, "face"}, {"x", "y", "z"})]


@example("obj")
def _obj(folder):
    (folder / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nvn 0 0 1\nvt 0 0\nf 1/1/1 2/1/1 3/1/1\n")
    return [(folder / "a.obj", {"normals", "textures", "faces"}, set())]


@example("stl")
def _stl(folder):
    corners = "".join(f"vertex {x} {y} 0\n" for x, y in ((0, 0), (1, 0), (0, 1)))
    text = f"facet normal 0 0 1\nouter loop\n{corners}endloop\nendfacet\n"
    (folder / "a.stl").write_text(f"solid made\n{text}endsolid made\n")
    return [(folder / "a.stl", {"vertices"}, set())]


@example("openfoam")
def _openfoam(folder):
    pytest.importorskip("vtkmodules.all")
    write_openfoam(folder / "c", {"0": {"p": np.ones(3)}, "1": {"p": np.ones(3), "T": np.ones(3)}})
    return [(folder / "c", {"p", "T", "walls"}, set())]


@example("ensight")
def _ensight(folder):
    pytest.importorskip("vtkmodules.all")
    write_ensight(folder, files.values(2, 4), [0.0, 1.0])
    return [(folder / "a.case", {"temperature"}, set())]


@example("cgns")
def _cgns(folder):
    pytest.importorskip("vtkmodules.all")
    write_cgns(folder / "a.cgns", np.arange(12.0))
    return [(folder / "a.cgns", {"Pressure"}, set())]


def filled(vtk, cube, kinds) -> set[str]:
    """Put arrays of those kinds on a cube of eight cells → their names."""
    arrays = {"point": cube.GetPointData(), "cell": cube.GetCellData(), "whole": cube.GetFieldData()}
    names = set()
    for place, data in arrays.items():
        for kind in kinds:
            array = {"number": vtk.vtkDoubleArray, "text": vtk.vtkStringArray}[kind]()
            array.SetName(f"{place}_{kind}")
            array.SetNumberOfTuples({"point": 27, "cell": 8, "whole": 1}[place])
            for n in range(array.GetNumberOfTuples()):
                array.SetValue(n, 1.0 if kind == "number" else "a")
            data.AddArray(array)
            names.add(array.GetName())
    return names


@example("vtk")
def _vtk(folder):
    vtk = pytest.importorskip("vtkmodules.all")
    cube = vtk.vtkImageData()
    cube.SetDimensions(3, 3, 3)
    names = filled(vtk, cube, ("number", "text"))
    writer = vtk.vtkXMLImageDataWriter()
    writer.SetFileName(str(folder / "a.vti"))
    writer.SetInputData(cube)
    writer.Write()
    return [(folder / "a.vti", names, set())]


@example("vtkhdf")
def _vtkhdf(folder):
    vtk = pytest.importorskip("vtkmodules.all")
    cube = vtk.vtkImageData()
    cube.SetDimensions(3, 3, 3)
    to_cells = vtk.vtkAppendFilter()
    to_cells.SetInputData(cube)
    to_cells.Update()
    names = filled(vtk, to_cells.GetOutput(), ("number",))
    writer = vtk.vtkHDFWriter()
    writer.SetFileName(str(folder / "a.vtkhdf"))
    writer.SetInputData(to_cells.GetOutput())
    writer.Write()
    return [(folder / "a.vtkhdf", names, set())]


@example("mat")
def _mat(folder):
    io = pytest.importorskip("scipy.io")
    arrays = {"a": files.values(4, 6, 5), "u": files.values(4, 6, 5, 7), "t": np.arange(7.0), "nu": np.ones((4, 1))}
    arrays |= {"note": "text", "options": {"solver": 1.0}, "odd": np.zeros((3, 2))}
    io.savemat(folder / "a.mat", arrays)
    return [(folder / "a.mat", set(arrays), {"t"})]


@example("domino")
def _domino(folder):
    names = write_domino(folder / "car.zarr")
    return [(folder / "car.zarr", {NAMES.get(n, n) for n in names}, {c for c, _ in SETS.values()})]


@example("noether")
def _noether(folder):
    with ShardWriter(folder / "d", cast="float32") as writer:
        places = files.values(6, 3)
        sets = {name: PointSet(places, {f"{name}_p": places[None]}) for name in ("surface", "volume")}
        writer.add(sets=sets)
    export_dataset(folder / "d", folder / "store", "noether")
    names = {f"{domain}_{name}" for domain in ("surface", "volume") for name in ("p", "position")}
    return [(folder / "store", names, {"surface_position", "volume_position"})]


@example("xarray")
def _xarray(folder):
    xarray = pytest.importorskip("xarray")
    dataset = xarray.Dataset(
        {
            "u": (("time", "y", "x"), files.values(3, 4, 5)),
            "orography": (("y", "x"), files.values(4, 5)),
            "time_bnds": (("time", "bnds"), np.zeros((3, 2))),
            "lid": ("time", np.arange(3.0)),
            "name": ("x", np.array(list("abcde"))),
            "nu": ((), 0.5),
        },
        {"time": np.arange(3.0), "x": np.arange(5.0), "y": np.arange(4.0), "area": (("y", "x"), np.ones((4, 5)))},
    )
    dataset.to_netcdf(folder / "a.nc", engine="h5netcdf")
    return [(folder / "a.nc", set(map(str, dataset.variables)), {"time", "x", "y"})]


def accounted(t: Trajectory) -> set[str]:
    """Names that a trajectory stores, or names as left out."""
    sets = [name for points in t.sets.values() for name in (*points.fields, *points.static)]
    return {*t.fields, *t.static, *t.params, *sets, *t.left_out}


def test_each_format_has_an_example():
    assert set(EXAMPLES) == set(FORMATS)


@pytest.mark.parametrize("format", FORMATS)
def test_every_variable_is_stored_or_named(format, tmp_path):
    for path, names, carried in EXAMPLES[format](tmp_path):
        t = open_source(path, format)[0]
        known = accounted(t) | {name.rsplit("_", 1)[0] for name in t.params}
        missing = {n for n in names - carried - known if not any(k.endswith(f".{n}") for k in known)}
        assert not missing, (path.name, known)
        assert all(reason and len(reason.splitlines()) == 1 for reason in t.left_out.values())
