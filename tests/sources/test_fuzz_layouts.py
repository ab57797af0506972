"""Layouts that nobody would write down: NetCDF, zarr and VTU files made at random, each read right or refused.

A file is made together with its truth. What is read must be that; a refusal must not call a sound file damaged.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sources import vtk_text
from ups_data import UpsDataError
from ups_data.sources import open_source

xr = pytest.importorskip("xarray", reason="xarray is not installed: pip install 'ups_data[netcdf]'")
USUAL = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck), "database": None}
NAMES = {
    "trajectory": ["sample", "member", "run"],
    "time": ["time", "t", "step", "valid_time"],
    "z": ["level", "z", "depth"],
    "y": ["y", "lat", "latitude", "j"],
    "x": ["x", "lon", "longitude", "i"],
    "channel": ["channel", "component"],
}
ENGINES = ["netcdf3", "netcdf4", "zarr2", "zarr3"]


@st.composite
def layouts(draw):
    """What a file has: roles in an order, names, lengths, directions, units, packing, chunks."""
    roles = [role for role in NAMES if role == "x" or draw(st.booleans())]
    if "z" in roles and "y" not in roles:
        roles.remove("z")
    order = draw(st.permutations(roles))
    return {
        "order": order,
        "names": {role: draw(st.sampled_from(NAMES[role])) for role in roles},
        "lengths": {role: draw(st.integers(1, 4)) for role in roles},
        "down": [role for role in roles if draw(st.booleans())],
        "without": [role for role in roles if draw(st.integers(0, 4)) == 0],
        "axis": draw(st.booleans()),
        "units": draw(st.sampled_from([None, "s", "hours since 2000-01-01", "days since 1850-01-01 12:00:00"])),
        "packing": draw(st.sampled_from([None, "packed", "fill", "default fill", "f8", "i4"])),
        "static": draw(st.booleans()),
        "beside": draw(st.booleans()),
        "chunked": draw(st.booleans()),
        "engine": draw(st.sampled_from(ENGINES)),
        "seed": draw(st.integers(0, 2**16)),
    }


def make(path: Path, how: dict):
    """Write the file; returns the truth of `u` and of a static field, axes (roles…), and of the times."""
    rng = np.random.default_rng(how["seed"])
    names, lengths = how["names"], how["lengths"]
    shape = tuple(lengths[role] for role in how["order"])
    dims = tuple(names[role] for role in how["order"])
    kind = {"f8": np.float64, "i4": np.int32, "packed": np.int16}.get(how["packing"], np.float32)
    stored = (
        rng.integers(-300, 300, shape).astype(kind)
        if kind in (np.int16, np.int32)
        else rng.normal(size=shape).astype(kind)
    )
    attributes, truth = {}, stored.astype(np.float64)
    missing = rng.random(shape) < 0.2
    if how["packing"] == "packed":
        attributes = {"scale_factor": 0.25, "add_offset": -3.0, "_FillValue": np.int16(-9999)}
        stored[missing] = -9999
        truth = np.where(missing, np.nan, truth * 0.25 - 3)
    elif how["packing"] == "fill":
        attributes = {"_FillValue": np.float32(1e20)}
        stored[missing] = 1e20
        truth = np.where(missing, np.nan, truth)
    elif how["packing"] == "default fill" and "netcdf" in how["engine"]:
        stored[missing] = np.float32(9.969209968386869e36)
        truth = np.where(missing, np.nan, truth)
    dataset = xr.Dataset({"u": (dims, stored, attributes)})
    coords = {}
    for role in how["order"]:
        values = np.cumsum(rng.integers(1, 4, lengths[role])).astype(np.float64)
        if role in how["down"] and role != "time":
            values = values[::-1]
        coords[role] = values
        if role not in how["without"] and role != "channel":
            said = (
                {"axis": {"time": "T"}.get(role, role.upper())}
                if role in ("time", "x", "y", "z") and how["axis"]
                else {}
            )
            if role == "time" and how["units"]:
                said["units"] = how["units"]
            dataset = dataset.assign_coords({names[role]: (names[role], values, said)})
    space = [role for role in how["order"] if role in ("x", "y", "z")]
    still = None
    if how["static"]:
        still = rng.normal(size=[lengths[role] for role in space[::-1]]).astype(np.float32)
        dataset["still"] = (tuple(names[role] for role in space[::-1]), still)
        still = still.transpose()
    if how["beside"]:
        dataset["bounds"] = ((names["x"], "bnds"), np.zeros((lengths["x"], 2), np.float32))
        dataset["nu"] = ((), np.float64(0.5))
    write(dataset, path, how)
    return truth, still, coords


def write(dataset, path: Path, how: dict) -> None:
    own = {"_FillValue": None}
    encoding = {name: dict(own) for name in dataset.variables if "_FillValue" not in dataset[name].attrs}
    chunks = tuple(max(1, n - 1) for n in dataset["u"].shape)
    if how["engine"] == "netcdf3":
        dataset.to_netcdf(path, engine="scipy", encoding=encoding)
    elif how["engine"] == "netcdf4":
        if how["chunked"]:
            encoding.setdefault("u", {}).update(chunksizes=chunks, zlib=True)
        dataset.to_netcdf(path, engine="h5netcdf", encoding=encoding)
    else:
        if how["chunked"]:
            encoding["u"] = {"chunks": chunks}
        encoding = {name: {k: v for k, v in e.items() if k != "_FillValue"} for name, e in encoding.items()}
        dataset.to_zarr(path, zarr_format=int(how["engine"][-1]), consolidated=False, encoding=encoding)


def expected(truth: np.ndarray, order, number: int) -> np.ndarray:
    """One trajectory, (T, *space, C), by numpy alone."""
    order = list(order)
    if "trajectory" in order:
        truth = np.take(truth, number, order.index("trajectory"))
        order.remove("trajectory")
    place = {"time": 0, "channel": 9}
    axes = sorted(range(len(order)), key=lambda a: (place.get(order[a], 1), a))
    truth = truth.transpose(axes)
    truth = truth if "channel" in order else truth[..., None]
    return truth if "time" in order else truth[None]


def refused(message: str) -> bool:
    """A sound file is refused in one line, and not for damage."""
    assert "\n" not in message
    assert "damaged" not in message, message
    return False


def check_layout(how: dict) -> bool:
    """Whether it was read, which then was right; False: it was refused."""
    folder = Path(tempfile.mkdtemp(prefix="layout-"))
    try:
        truth, still, coords = make(folder / "a", how)
        try:
            source = open_source(folder / "a")
            runs = list(source)
            got = [(run, run.fields["u"][:]) for run in runs]
        except UpsDataError as error:
            return refused(str(error))
        assert len(runs) == (how["lengths"]["trajectory"] if "trajectory" in how["order"] else 1)
        for number, (run, values) in enumerate(got):
            space = [role for role in how["order"] if role in ("x", "y", "z")]
            names = [axis.name for axis in run.axes]
            # of fields of as many axes, any may say which order is the file's
            assert names == space or (still is not None and names == space[::-1] and truth.ndim == still.ndim)
            turned = [names.index(role) for role in space]
            values = values.transpose(0, *[1 + axis for axis in turned], -1)
            np.testing.assert_allclose(values, expected(truth, how["order"], number), rtol=1e-6, equal_nan=True)
            if still is not None:
                held = run.static.get("still", run.fields.get("still"))[:]
                held = held.reshape([len(axis.coordinates) for axis in run.axes]).transpose(turned)
                np.testing.assert_array_equal(held, still)
            for axis in run.axes:
                if axis.name not in how["without"]:
                    np.testing.assert_array_equal(axis.coordinates, coords[axis.name])
            if run.time is not None and "time" in how["order"]:
                np.testing.assert_allclose(np.diff(run.time), np.diff(coords["time"]))
            if how["beside"]:
                assert run.params.get("nu") == 0.5
                assert "bounds" in run.left_out
        return True
    finally:
        shutil.rmtree(folder)


@given(layouts())
@settings(max_examples=20, **USUAL)
def test_layouts_are_read_right_or_refused(how):
    check_layout(how)


@pytest.mark.faults
def test_a_thousand_layouts():
    counts = {True: 0, False: 0}

    @given(layouts())
    @settings(max_examples=1000, **USUAL)
    def every(how):
        counts[check_layout(how)] += 1

    every()
    print(f"{counts[True]} read right, {counts[False]} refused")
    assert counts[True] > 500


vtk = pytest.importorskip("vtkmodules.all", reason="vtk is not installed: pip install 'ups_data[mesh]'")
support = pytest.importorskip("vtkmodules.util.numpy_support")
CUBE = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)]
CORNERS = {
    "Hexahedron": range(8),
    "Voxel": [0, 1, 3, 2, 4, 5, 7, 6],
    "Tetra": [0, 1, 3, 4],
    "Wedge": [0, 1, 3, 4, 5, 7],
    "Pyramid": [0, 1, 2, 3, 4],
    "Quad": [0, 1, 2, 3],
    "Pixel": [0, 1, 3, 2],
    "Triangle": [0, 1, 2],
    "Line": [0, 1],
    "Vertex": [0],
    "Polygon": [0, 1, 2, 3],
}
MODES = ["ascii", "binary", "appended", "appended encoded"]


@st.composite
def meshes(draw):
    return {
        "cells": draw(st.lists(st.sampled_from([*CORNERS, "Polyhedron"]), min_size=1, max_size=6)),
        "pieces": draw(st.integers(1, 3)),
        "mode": draw(st.sampled_from(MODES)),
        "compressor": draw(st.sampled_from([None, "ZLib", "LZ4", "LZMA"])),
        "big_endian": draw(st.booleans()),
        "header": draw(st.sampled_from([32, 64])),
        "points": draw(st.sampled_from(["float", "double"])),
        "data": draw(st.sampled_from(["points", "cells", "both"])),
        "ghosts": draw(st.booleans()),
        "text": draw(st.booleans()),
    }


def make_mesh(path: Path, how: dict) -> np.ndarray:
    """Write it; returns the centres of the cells that are no ghosts."""
    grid, points = vtk.vtkUnstructuredGrid(), vtk.vtkPoints()
    points.SetDataTypeToDouble() if how["points"] == "double" else points.SetDataTypeToFloat()
    centres = []
    for number, kind in enumerate(how["cells"]):
        ids = [points.InsertNextPoint(x + 2.0 * number, y, z) for x, y, z in CUBE]
        corners = [ids[c] for c in CORNERS.get(kind, range(8))]
        if kind == "Polyhedron":
            faces = ([0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7])
            stream = vtk.vtkIdList()
            for value in (6, *(v for face in faces for v in (4, *(ids[c] for c in face)))):
                stream.InsertNextId(value)
            grid.InsertNextCell(vtk.VTK_POLYHEDRON, stream)
        else:
            grid.InsertNextCell(getattr(vtk, f"VTK_{kind.upper()}"), len(corners), corners)
        used = [CUBE[c] for c in CORNERS.get(kind, range(8))]
        centres.append(np.mean(used, axis=0) + np.array([2.0 * number, 0, 0]))
    grid.SetPoints(points)
    where = support.vtk_to_numpy(points.GetData()).astype(float)
    for data, at in ((grid.GetPointData(), where), (grid.GetCellData(), np.array(centres))):
        if how["data"] in ("both", "points" if data is grid.GetPointData() else "cells"):
            values = support.numpy_to_vtk((at @ [1.0, 10, 100]).astype(np.float64), deep=True)
            values.SetName("p" if data is grid.GetPointData() else "q")
            data.AddArray(values)
    real = np.ones(len(centres), bool)
    if how["ghosts"] and how["pieces"] == 1 and len(centres) > 1:
        real[0] = False
        flags = support.numpy_to_vtk((~real).astype(np.uint8), deep=True)
        flags.SetName("vtkGhostType")
        grid.GetCellData().AddArray(flags)
    if how["text"]:
        text = vtk.vtkStringArray()
        text.SetName("solver")
        text.InsertNextValue("made by a test")
        grid.GetFieldData().AddArray(text)
    if how["pieces"] > 1 and "Polyhedron" not in how["cells"]:
        return write_pieces(path, grid, how, np.array(centres)[real])
    writer = vtk.vtkXMLUnstructuredGridWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(grid)
    mode = "Ascii" if how["mode"] == "ascii" else "Binary" if how["mode"] == "binary" else "Appended"
    getattr(writer, f"SetDataModeTo{mode}")()
    writer.SetEncodeAppendedData("encoded" in how["mode"])
    writer.SetCompressor(getattr(vtk, f"vtk{how['compressor']}DataCompressor")() if how["compressor"] else None)
    writer.SetByteOrderToBigEndian() if how["big_endian"] else writer.SetByteOrderToLittleEndian()
    writer.SetHeaderTypeToUInt32() if how["header"] == 32 else writer.SetHeaderTypeToUInt64()
    assert writer.Write()
    return np.array(centres)[real]


def write_pieces(path: Path, grid, how: dict, centres: np.ndarray) -> np.ndarray:
    """The cells dealt to pieces, each with the points of its own cells; as text, since vtk writes one piece."""
    where = support.vtk_to_numpy(grid.GetPoints().GetData()).astype(float)
    every = np.array_split(np.arange(len(how["cells"])), how["pieces"])
    pieces = []
    for numbers in (n for n in every if len(n)):
        points = np.concatenate([where[8 * n : 8 * n + 8] for n in numbers])
        cells = [[8 * i + c for c in CORNERS[how["cells"][n]]] for i, n in enumerate(numbers)]
        kinds = [getattr(vtk, f"VTK_{how['cells'][n].upper()}") for n in numbers]
        on_points = {"p": points @ [1.0, 10, 100]} if how["data"] != "cells" else None
        on_cells = {"q": centres[numbers] @ [1.0, 10, 100]} if how["data"] != "points" else None
        pieces.append(vtk_text.piece(points, cells, kinds, on_points, on_cells))
    note = '<FieldData><Array type="String" Name="solver" NumberOfTuples="1" format="ascii">97 0</Array></FieldData>'
    vtk_text.vtu(path, *pieces, field=note if how["text"] else "")
    return centres


def check_mesh(how: dict) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="mesh-"))
    try:
        centres = make_mesh(folder / "a.vtu", how)
        try:
            [t] = open_source(folder / "a.vtu")
        except UpsDataError as error:
            return refused(str(error))
        sets = dict(t.sets) if t.sets else {"p" if "p" in t.fields else "q": t}
        for points in sets.values():
            where = np.asarray(points.coords[:], float)
            for name in set(points.fields) & {"p", "q"}:
                np.testing.assert_allclose(points.fields[name][0, :, 0], where @ [1.0, 10, 100], rtol=1e-6, atol=1e-5)
                if name == "q":
                    order = [np.lexsort(a.T.round(4)) for a in (where, centres)]
                    np.testing.assert_allclose(where[order[0]], centres[order[1]], atol=1e-6)
        assert "vtkGhostType" not in {n for s in sets.values() for n in (*s.fields, *s.static)}
        assert how["text"] == ("solver" in t.left_out)
        return True
    finally:
        shutil.rmtree(folder)


@given(meshes())
@settings(max_examples=20, **USUAL)
def test_meshes_are_read_right_or_refused(how):
    check_mesh(how)


@pytest.mark.faults
def test_a_thousand_meshes():
    counts = {True: 0, False: 0}

    @given(meshes())
    @settings(max_examples=1000, **USUAL)
    def every(how):
        counts[check_mesh(how)] += 1

    every()
    print(f"{counts[True]} read right, {counts[False]} refused")
    assert counts[True] > 900
