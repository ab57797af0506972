"""A small intact source of every format, by name: a function that writes it to a path."""

import importlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.sources import files, operator_files, solver_files, vtk_text
from tests.sources.well_files import write_well
from ups_data import ShardWriter
from ups_data.exporting import export_dataset

Write = Callable[[Path], object]


def old_pt(path: Path) -> None:
    """As torch.save wrote before 1.6."""
    x = torch.from_numpy(files.values(4, 6, 5))
    torch.save({"x": x, "y": x + 1}, path, _use_new_zipfile_serialization=False)


def obj(path: Path) -> None:
    vertices = "".join(f"v {x} {y} {z}\n" for x, y, z in files.values(9, 3).tolist())
    path.write_text(f"# made by a test\n{vertices}f 1 2 3\n")


def vtk(path: Path) -> None:
    points = " ".join(map(str, files.values(6, 3).ravel().tolist()))
    values = " ".join(map(str, files.values(6).tolist()))
    path.write_text(
        f"# vtk DataFile Version 3.0\nmade by a test\nASCII\nDATASET POLYDATA\nPOINTS 6 float\n{points}\n"
        f"POINT_DATA 6\nSCALARS p float 1\nLOOKUP_TABLE default\n{values}\n"
    )


def vtu(path: Path, on_cells: bool = True) -> None:
    points, cells = vtk_text.hexes(3)
    of_cells = {"p": files.values(3)} if on_cells else {}
    data = vtk_text.piece(points, cells, [12] * 3, {"u": files.values(len(points))}, of_cells)
    vtk_text.vtu(path, data)


def stl(path: Path) -> None:
    record = np.zeros(6, [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    record["corners"] = files.values(6, 3, 3)
    path.write_bytes(b"made by a test".ljust(80) + (6).to_bytes(4, "little") + record.tobytes())


def dataset(path: Path, **options: Any) -> None:
    xarray = importlib.import_module("xarray")
    variables = {"u": (("sample", "time", "y", "x"), files.values(3, 4, 5, 6)), "nu": ("sample", np.arange(3.0))}
    coords = {"time": np.arange(4.0), "y": np.arange(5.0), "x": np.arange(6.0)}
    made = xarray.Dataset(variables, coords)
    if "zarr_format" in options:
        made.to_zarr(path, consolidated=False, **options)
    else:
        made.to_netcdf(path, **options)


def openfoam(folder: Path) -> None:
    values = {"p": np.arange(3.0), "U": np.arange(9.0).reshape(3, 3)}
    solver_files.write_openfoam(folder, {"0": values, "0.5": values})


def ensight(folder: Path) -> None:
    solver_files.write_ensight(folder, np.arange(8.0).reshape(2, 4), [0.0, 0.5])


def vtkhdf(path: Path) -> None:
    vtk = importlib.import_module("vtkmodules.all")
    image, writer = vtk.vtkImageData(), vtk.vtkHDFWriter()
    image.SetDimensions(3, 3, 2)
    values = importlib.import_module("vtkmodules.util.numpy_support").numpy_to_vtk(np.arange(18.0), deep=True)
    values.SetName("p")
    image.GetPointData().AddArray(values)
    mesh = vtk.vtkAppendFilter()
    mesh.AddInputData(image)
    mesh.Update()
    writer.SetFileName(str(path))
    writer.SetInputData(mesh.GetOutput())
    assert writer.Write()


def blocks(folder: Path) -> None:
    """A composite of two meshes."""
    folder.mkdir()
    for n in range(2):
        vtu(folder / f"b{n}.vtu", on_cells=False)
    rows = "".join(f'<DataSet index="{n}" name="b{n}" file="b{n}.vtu"/>' for n in range(2))
    kind = "vtkMultiBlockDataSet"
    (folder / "s.vtm").write_text(
        f'<?xml version="1.0"?><VTKFile type="{kind}" version="1.0"><{kind}>{rows}</{kind}></VTKFile>'
    )


def noether(folder: Path) -> None:
    """As it is exported."""
    with tempfile.TemporaryDirectory() as place:
        with ShardWriter(Path(place, "d")) as writer:
            for n in range(2):
                writer.add({"p": files.values(1, 9, 1)}, coords=files.values(9, 3, seed=n), key=f"r{n}")
        export_dataset(Path(place, "d"), folder, "noether")


# name → what writes a file
FILES: dict[str, Write] = {
    "npy": lambda p: files.write_npy(p, files.values(3, 4, 6, 5, 2)),
    "npz": lambda p: files.write_npz(p, u=files.values(3, 4, 6, 5, 2), time=np.arange(4.0), nu=np.arange(3.0)),
    "npz, deflated": lambda p: files.write_npz(p, compressed=True, u=np.ones((3, 4, 6, 5, 2), np.float32)),
    "tensor": files.write_tensor,
    "compressible": files.write_compressible,
    "darcy": files.write_darcy,
    "groups": files.write_groups,
    "incompressible": files.write_incompressible,
    "lagrangebench": files.write_lagrangebench,
    "darcy.pt": files.write_darcy_pt,
    "burgers.pt": files.write_burgers_pt,
    "cars.pt": files.write_cars_pt,
    "old.pt": old_pt,
    "vtk": vtk,
    "vtu": vtu,
    "ply": files.write_ply,
    "ply, ascii": lambda p: files.write_ply(p, "ascii"),
    "obj": obj,
    "netcdf": lambda p: dataset(p, engine="scipy", format="NETCDF3_64BIT"),
    "netcdf4": lambda p: dataset(p, engine="h5netcdf"),
    "well": write_well,
    "mat": lambda p: operator_files.write_mat5(
        p, a=files.values(3, 6, 5), u=files.values(3, 6, 5, 4), t=np.arange(4.0)
    ),
    "mat 7.3": lambda p: operator_files.write_mat73(p, a=files.values(3, 6, 5), u=files.values(3, 6, 5, 4)),
    "stl": stl,
    "cgns": lambda p: solver_files.write_cgns(p, np.arange(12.0)),
    "vtkhdf": vtkhdf,
}
# name → what writes a folder
FOLDERS: dict[str, Write] = {
    "zarr": lambda p: dataset(p, zarr_format=3),
    "zarr2": lambda p: dataset(p, zarr_format=2),
    "cases": lambda p: [
        files.write_case(p / f"c{n}", surface_position=files.values(7, 3, seed=n), surface_pressure=files.values(7))
        for n in range(3)
    ],
    "splits": lambda p: [
        (p / split).mkdir(parents=True) or files.write_npy(p / split / "u.npy", files.values(2, 3, 8, 8, 1))
        for split in ("train", "test")
    ],
    "series": lambda p: [
        p.mkdir(),
        [vtu(p / f"s{n}.vtu", on_cells=False) for n in range(3)],
        vtk_text.pvd(p / "s.pvd", [(float(n), 0, f"s{n}.vtu") for n in range(3)]),
    ],
    "blocks": blocks,
    "openfoam": openfoam,
    "ensight": ensight,
    "domino": operator_files.write_domino,
    "noether": noether,
}
