"""Small cases as solvers write them, by hand: OpenFOAM, EnSight Gold, CGNS."""

from pathlib import Path

import h5py
import numpy as np


def write_openfoam(folder: Path, times: dict[str, dict[str, np.ndarray]]) -> np.ndarray:
    """Three unit cubes in a row; `times`: name of a time's folder → field → (3,) or (3, 3). Returns the centres."""
    n = 3
    points = [(x, y, z) for x in range(n + 1) for y in (0, 1) for z in (0, 1)]
    at = {p: i for i, p in enumerate(points)}
    squares = [[at[x, y, z] for y, z in ((0, 0), (1, 0), (1, 1), (0, 1))] for x in range(n + 1)]
    inner = [(squares[x], x - 1, x) for x in range(1, n)]
    walls = [(squares[0][::-1], 0), (squares[n], n - 1)]
    for x in range(n):
        corner = {(i, y, z): at[x + i, y, z] for i in (0, 1) for y in (0, 1) for z in (0, 1)}
        for around in (
            ((0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)),
            ((0, 1, 0), (0, 1, 1), (1, 1, 1), (1, 1, 0)),
            ((0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 0)),
            ((0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)),
        ):
            walls.append(([corner[c] for c in around], x))
    faces = [f for f, *_ in inner] + [f for f, _ in walls]
    mesh = folder / "constant/polyMesh"
    _foam(mesh / "points", "vectorField", _list([f"({a} {b} {c})" for a, b, c in points]))
    _foam(mesh / "faces", "faceList", _list([f"4({' '.join(map(str, f))})" for f in faces]))
    _foam(mesh / "owner", "labelList", _list([str(o) for _, o, _ in inner] + [str(o) for _, o in walls]))
    _foam(mesh / "neighbour", "labelList", _list([str(o) for _, _, o in inner]))
    patch = f"walls\n{{\n type wall;\n nFaces {len(walls)};\n startFace {len(inner)};\n}}"
    _foam(mesh / "boundary", "polyBoundaryMesh", f"1\n(\n{patch}\n)")
    control = "application icoFoam;\nstartTime 0;\nendTime 1;\ndeltaT 0.5;\nwriteInterval 1;"
    _foam(folder / "system/controlDict", "dictionary", control)
    for time, fields in times.items():
        for name, values in fields.items():
            kind = "scalar" if values.ndim == 1 else "vector"
            rows = [f"{v!r}" if values.ndim == 1 else f"({' '.join(map(repr, v))})" for v in values.tolist()]
            text = f"dimensions [0 2 -2 0 0 0 0];\ninternalField nonuniform List<{kind}>\n{_list(rows)};\n"
            text += "boundaryField { walls { type zeroGradient; } }"
            _foam(folder / time / name, f"vol{kind.capitalize()}Field", text)
    return np.array([[x + 0.5, 0.5, 0.5] for x in range(n)])


def _foam(path: Path, kind: str, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f"FoamFile\n{{\n version 2.0;\n format ascii;\n class {kind};\n object {path.name};\n}}\n"
    path.write_text(f"{head}\n{text}\n")


def _list(rows: list[str]) -> str:
    return f"{len(rows)}\n(\n" + "\n".join(rows) + "\n)"


def write_ensight(folder: Path, frames: np.ndarray, times: list[float]) -> np.ndarray:
    """One tetrahedron and a scalar on its 4 corners, `frames` (T, 4). Returns the corners."""
    folder.mkdir(parents=True, exist_ok=True)
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    (folder / "a.case").write_text(
        "FORMAT\ntype: ensight gold\n\nGEOMETRY\nmodel: a.geo\n\nVARIABLE\nscalar per node: 1 temperature a.T****\n\n"
        f"TIME\ntime set: 1\nnumber of steps: {len(times)}\nfilename start number: 0\nfilename increment: 1\n"
        f"time values: {' '.join(map(str, times))}\n"
    )
    columns = "\n".join(f"{v:12.5e}" for v in points.T.ravel())
    (folder / "a.geo").write_text(
        "made by a test\nof one cell\nnode id off\nelement id off\n"
        f"part\n{1:10d}\nbody\ncoordinates\n{4:10d}\n{columns}\n"
        f"tetra4\n{1:10d}\n{1:10d}{2:10d}{3:10d}{4:10d}\n"
    )
    for number, values in enumerate(frames):
        text = "\n".join(f"{v:12.5e}" for v in values)
        (folder / f"a.T{number:04d}").write_text(f"temperature\npart\n{1:10d}\ncoordinates\n{text}\n")
    return points


def write_cgns(path: Path, pressure: np.ndarray) -> np.ndarray:
    """A zone of a structured grid (3 × 2 × 2 points) and `pressure` (12,) on its points, x the fastest; its points."""
    x, y, z = (a.T for a in np.meshgrid([0.0, 1, 2], [0.0, 1], [0.0, 1], indexing="ij"))
    with h5py.File(path, "w") as file:
        _node(file, "", "Root Node of HDF5 File", None, root=True)
        _node(file, "CGNSLibraryVersion", "CGNSLibraryVersion_t", np.array([3.4], np.float32))
        base = _node(file, "Base", "CGNSBase_t", np.array([3, 3], np.int32))
        sizes = np.array([[3, 2, 2], [2, 1, 1], [0, 0, 0]], np.int32)
        zone = _node(base, "Zone", "Zone_t", sizes)
        _node(zone, "ZoneType", "ZoneType_t", np.frombuffer(b"Structured", np.int8))
        grid = _node(zone, "GridCoordinates", "GridCoordinates_t", None)
        for name, values in {"X": x, "Y": y, "Z": z}.items():
            _node(grid, f"Coordinate{name}", "DataArray_t", np.ascontiguousarray(values))
        solution = _node(zone, "FlowSolution", "FlowSolution_t", None)
        _node(solution, "GridLocation", "GridLocation_t", np.frombuffer(b"Vertex", np.int8))
        _node(solution, "Pressure", "DataArray_t", pressure.reshape(2, 2, 3))
    return np.stack([a.ravel() for a in (x, y, z)], -1)


def _node(parent, name, label, data, root=False):
    group = parent if root else parent.create_group(name, track_order=True)
    kinds = {"float32": "R4", "float64": "R8", "int32": "I4", "int8": "C1"}
    kind = "MT" if data is None else kinds[data.dtype.name]
    for key, text, size in (("name", name or "HDF5 MotherNode", 33), ("label", label, 33), ("type", kind, 3)):
        space, of = h5py.h5s.create(h5py.h5s.SCALAR), h5py.h5t.C_S1.copy()
        of.set_size(size)
        attribute = h5py.h5a.create(group.id, key.encode(), of, space)
        attribute.write(np.array(text.encode(), f"S{size}"))
    group.attrs.create("flags", np.array([1], np.int32))
    if data is not None:
        group.create_dataset(" data", data=data)
    if root:
        group.create_dataset(" format", data=np.frombuffer(b"IEEE_LITTLE_32\0", np.int8))
        group.create_dataset(" hdf5version", data=np.frombuffer(b"HDF5 Version 1.10".ljust(33, b"\0"), np.int8))
    return group
