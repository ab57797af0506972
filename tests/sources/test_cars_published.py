"""Folders of car aerodynamics as DrivAerML and DrivAerNet are published."""

from pathlib import Path

import numpy as np
import pytest

from ups_data import UpsDataError
from ups_data.conversion.convert import convert
from ups_data.sources import open_source

vtk = pytest.importorskip("vtkmodules.all", reason="vtk is not installed: pip install 'ups_data[mesh]'")
support = pytest.importorskip("vtkmodules.util.numpy_support")


def surface(number: int, on: str, *names: str):
    """A sphere of its own size for each run; every field is x of where it lies."""
    sphere = vtk.vtkSphereSource()
    sphere.SetThetaResolution(8 + number)
    sphere.Update()
    data = sphere.GetOutput()
    centres = vtk.vtkCellCenters()
    centres.SetInputData(data)
    centres.Update()
    places = data if on == "points" else centres.GetOutput()
    values = support.vtk_to_numpy(places.GetPoints().GetData())[:, 0].astype(np.float32)
    for name in names:
        array = support.numpy_to_vtk(values, deep=True)
        array.SetName(name)
        (data.GetPointData() if on == "points" else data.GetCellData()).AddArray(array)
    data.GetPointData().RemoveArray("Normals")
    return data


def write(data, path: Path, writer: str) -> None:
    made = getattr(vtk, writer)()
    made.SetFileName(str(path))
    made.SetInputData(data)
    if hasattr(made, "SetFileTypeToBinary"):
        made.SetFileTypeToBinary()
    assert made.Write()


def drivaerml(root: Path) -> None:
    """`run_i` with its boundary and geometry, and what else lies there."""
    for number in (1, 2, 10):
        run = root / f"run_{number}"
        for folder in ("images", "slices"):
            (run / folder).mkdir(parents=True)
        data = surface(number, "cells", "pMeanTrim", "wallShearStressMeanTrim")
        write(data, run / f"boundary_{number}.vtp", "vtkXMLPolyDataWriter")
        write(data, run / "slices/xNormal_0.vtp", "vtkXMLPolyDataWriter")
        write(data, run / f"drivaer_{number}.stl", "vtkSTLWriter")
        (run / "images/rear.png").write_bytes(b"no picture")
        for table in ("geo_parameters", "force_mom", "geo_ref"):
            (run / f"{table}_{number}.csv").write_text("a,b\n1,2\n")
    (root / "force_mom_all.csv").write_text("run,cd\n1,0.3\n")


def test_drivaerml(tmp_path):
    drivaerml(tmp_path / "drivaer_data")
    runs = list(open_source(tmp_path / "drivaer_data"))
    assert [t.key for t in runs] == ["run_1", "run_2", "run_10"]
    for t, number in zip(runs, (1, 2, 10), strict=True):
        assert set(t.sets) == {"boundary", "drivaer"}
        boundary = t.sets["boundary"]
        assert boundary.coords.shape[0] == surface(number, "cells").GetNumberOfCells()
        for name in ("pMeanTrim", "wallShearStressMeanTrim"):
            np.testing.assert_allclose(boundary.fields[name][0, :, 0], boundary.coords[:, 0], atol=1e-6)
    manifest = convert(tmp_path / "drivaer_data", tmp_path / "o", split={"train": 1.0}, cast="float32")
    assert {"images", "slices", "geo_parameters.csv", "force_mom.csv", "geo_ref.csv"} <= set(manifest.not_stored)
    assert manifest.split("train").num_trajectories == 3


def test_drivaerml_with_one_mesh_in_each_run(tmp_path):
    drivaerml(tmp_path / "r")
    for file in (tmp_path / "r").rglob("*.stl"):
        file.unlink()
    assert [t.key for t in open_source(tmp_path / "r")] == ["boundary_1", "boundary_2", "boundary_10"]


def test_volumes_of_drivaerml_come_in_parts(tmp_path):
    drivaerml(tmp_path / "r")
    for part in range(2):
        (tmp_path / f"r/run_1/volume_1.vtu.0{part}.part").write_bytes(b"<?xml version")
    with pytest.raises(UpsDataError, match=r"is a part of a file that was split: join them, cat volume_1\.\*\.part >"):
        open_source(tmp_path / "r")


@pytest.mark.parametrize("flat", [True, False])
def test_drivaernet(tmp_path, flat):
    """Legacy files of the pressure at points, all together or in a folder for each kind of car."""
    sizes = {}
    for number, name in enumerate(("F_D_WM_WW_0001", "F_D_WM_WW_0002", "N_S_WWS_WM_001")):
        folder = tmp_path / "p" / ("" if flat else name[:3])
        folder.mkdir(parents=True, exist_ok=True)
        data = surface(number, "points", "p")
        write(data, folder / f"{name}.vtk", "vtkPolyDataWriter")
        sizes[name] = data.GetNumberOfPoints()
    (tmp_path / "p/train_design_ids.txt").write_text("F_D_WM_WW_0001\n")
    runs = list(open_source(tmp_path / "p"))
    assert {t.key.split("/")[-1]: t.coords.shape[0] for t in runs} == sizes
    for t in runs:
        np.testing.assert_allclose(t.fields["p"][0, :, 0], t.coords[:, 0], atol=1e-6)
        assert set(t.static) == {"point_area"}
