"""Small files in every layout that the readers know, with values that tell where they came from.

Each writer returns the arrays that it wrote, in the file's own shapes.
"""

from pathlib import Path

import h5py
import numpy as np
import torch

from tests.datasets import BURGERS, BURGERS_PT, CAR_PT, DARCY_PT, DIFFUSION_REACTION

__all__ = ["BURGERS", "BURGERS_PT", "CAR_PT", "DARCY_PT", "DIFFUSION_REACTION"]  # the real files, for this room's tests

CONFIG = """\
name: 2d_diff-react
sim:
  Du: 0.001
  Dv: 5e-3
  k: {k}
  scheme: fvm
  seed: {seed}
  tdim: 5
  flow:
    gravity: 9.81
work_dir: ${{hydra:runtime.cwd}}
"""


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def cell_centres(n: int) -> np.ndarray:
    return ((np.arange(n) + 0.5) / n).astype(np.float32)


def _coordinates(file: h5py.File, grid: tuple[int, ...]) -> None:
    for name, n in zip("xyz", grid, strict=False):
        file[f"{name}-coordinate"] = cell_centres(n)


def write_tensor(
    path: Path, *, count: int = 3, frames: int = 5, grid: tuple[int, ...] = (8,), device_axis: bool = False
) -> dict[str, np.ndarray]:
    """`tensor` [N,T,X] (or [1,N,T,X]) with one time too many, attribute Nu."""
    tensor = values(count, frames, *grid)
    with h5py.File(path, "w") as file:
        file["tensor"] = tensor[None] if device_axis else tensor
        file["t-coordinate"] = np.linspace(0, 2, frames + 1).astype(np.float32)
        _coordinates(file, grid)
        file.attrs["Nu"] = 0.01
    return {"tensor": tensor}


def write_compressible(
    path: Path, *, count: int = 3, frames: int = 4, grid: tuple[int, ...] = (6, 5, 4), device_axis: bool = False
) -> dict[str, np.ndarray]:
    """`density`, `pressure`, `Vx` … [N,T,X[,Y,Z]], attributes eta, zeta, M."""
    names = ("density", "pressure", "Vx", "Vy", "Vz")[: 2 + len(grid)]
    fields = {name: values(count, frames, *grid, seed=seed) for seed, name in enumerate(names)}
    with h5py.File(path, "w") as file:
        for name, field in fields.items():
            file[name] = field[None] if device_axis else field
        file["t-coordinate"] = np.linspace(0, 1, frames + 1).astype(np.float32)
        _coordinates(file, grid)
        file.attrs.update(eta=0.1, zeta=0.2, M=np.array([0.5]), note="text")
    return fields


def write_darcy(path: Path, *, count: int = 3, grid: tuple[int, int] = (6, 5)) -> dict[str, np.ndarray]:
    """`tensor` [N,1,X,Y] and `nu` [N,X,Y], attribute beta, and times that mean nothing."""
    arrays = {"tensor": values(count, 1, *grid), "nu": values(count, *grid, seed=1)}
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
        _coordinates(file, grid)
        file["t-coordinate"] = np.arange(5.0)
        file.attrs["beta"] = 1.0
    return arrays


def write_groups(
    path: Path,
    *,
    keys: tuple[str, ...] = ("0000", "0001", "0002"),
    frames: int = 5,
    grid: tuple[int, ...] = (6, 4),
    channels: int = 2,
    extra_time: bool = False,
) -> dict[str, np.ndarray]:
    """A group per trajectory: `data` [T,X[,Y],C], `grid/x` …, `grid/t`, YAML in the attribute `config`."""
    arrays = {key: values(frames, *grid, channels, seed=int(key)) for key in keys}
    with h5py.File(path, "w") as file:
        for key, data in arrays.items():
            group = file.create_group(key)
            group["data"] = data
            for name, n in zip("xyz", grid, strict=False):
                group[f"grid/{name}"] = 2 * cell_centres(n) - 1
            group["grid/t"] = np.linspace(0, 5, frames + extra_time).astype(np.float32)
            group.attrs["config"] = CONFIG.format(k=0.001 * int(key), seed=int(key))
    return arrays


def write_incompressible(
    path: Path, *, count: int = 2, frames: int = 6, grid: tuple[int, int] = (5, 4)
) -> dict[str, np.ndarray]:
    """`velocity` [B,T,X,Y,2], `particles` [B,T,X,Y,1], `force` [B,X,Y,2], `t` [B,T]."""
    arrays = {
        "velocity": values(count, frames, *grid, 2),
        "particles": values(count, frames, *grid, 1, seed=1),
        "force": values(count, *grid, 2, seed=2),
        "t": np.linspace(0, 1, frames, dtype=np.float32) * np.arange(1, count + 1, dtype=np.float32)[:, None],
    }
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return arrays


def write_npz(path: Path, *, compressed: bool = False, **arrays: np.ndarray) -> dict[str, np.ndarray]:
    """As given, under exactly this path (numpy would add `.npz`)."""
    with open(path, "wb") as file:
        (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return arrays


def write_npy(path: Path, array: np.ndarray) -> np.ndarray:
    with open(path, "wb") as file:
        np.save(file, array)
    return array


def write_darcy_pt(path: Path, *, count: int = 4, grid: tuple[int, int] = (6, 5)) -> dict[str, np.ndarray]:
    """`x` bool and `y` float32, [N,H,W]."""
    arrays = {"x": values(count, *grid) > 0, "y": values(count, *grid, seed=1)}
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    return arrays


def write_burgers_pt(path: Path, *, count: int = 4, frames: int = 5, size: int = 6) -> dict[str, np.ndarray]:
    """`x` [N,X], `y` [N,T,X] float64, `visc` for each trajectory."""
    y = values(count, frames, size).astype(np.float64)
    arrays = {"x": y[:, 0].copy(), "y": y, "visc": np.linspace(0.1, 0.4, count)}
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    return arrays


def write_cars_pt(path: Path, *, points: tuple[int, ...] = (7, 9)) -> list[dict[str, np.ndarray]]:
    """A dict for each car: `vertices`, `vertex_normals` [N,3], `press` [1,N], triangles of another number."""
    cars = [
        {
            "vertices": values(n, 3, seed=n),
            "vertex_normals": values(n, 3, seed=n + 1),
            "press": values(1, n, seed=n + 2),
            "triangle_areas": values(2 * n),
        }
        for n in points
    ]
    torch.save([{name: torch.from_numpy(array) for name, array in car.items()} for car in cars], path)
    return cars


def write_lagrangebench(
    path: Path, *, points: tuple[int, ...] = (7, 9), frames: int = 5, dim: int = 2, **others: np.ndarray
) -> dict[str, dict[str, np.ndarray]]:
    """A group per trajectory, `00000` …: `position` [T,N,D], `particle_type` [N], and `others` in every group."""
    groups = {}
    with h5py.File(path, "w") as file:
        for number, n in enumerate(points):
            key = f"{number:05d}"
            position, kind = values(frames, n, dim, seed=number), np.arange(n) % 3
            groups[key] = {"position": position, "particle_type": kind, **others}
            for name, array in groups[key].items():
                file[f"{key}/{name}"] = array
    return groups


def write_case(folder: Path, ending: str = ".pt", **arrays: np.ndarray) -> dict[str, np.ndarray]:
    """A file for each array, `.npy` or of torch.save, under its name; `frame_3_u` as `00000003_u`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        if name.startswith("frame_"):
            number, name = name.removeprefix("frame_").split("_", 1)
            name = f"{int(number):08d}_{name}"
        if ending == ".npy":
            np.save(folder / f"{name}.npy", array)
        else:
            torch.save(torch.from_numpy(np.array(array)), folder / f"{name}{ending}")
    return arrays


def write_ply(
    path: Path,
    encoding: str = "binary_little_endian",
    *,
    count: int = 6,
    properties: dict[str, tuple[str, np.ndarray]] | None = None,
    lines: tuple[str, ...] = (),
) -> np.ndarray:
    """Vertices of the given properties, name → (PLY's type, values), and a face; `lines` go into the header."""
    properties = properties or {name: ("float", values(count, seed=seed)) for seed, name in enumerate("xyz")}
    types = {"float": "f4", "double": "f8", "uchar": "u1", "short": "i2"}
    header = ["ply", f"format {encoding} 1.0", "comment made by a test", *lines, f"element vertex {count}"]
    header += [f"property {kind} {name}" for name, (kind, _) in properties.items()]
    header += ["element face 1", "property list uchar int vertex_index", "end_header\n"]
    order = ">" if "big" in encoding else "<"
    records = np.empty(count, [(name, order + types[kind]) for name, (kind, _) in properties.items()])
    for name, (_, column) in properties.items():
        records[name] = column
    body = records.tobytes() + b"\x03" + np.arange(3, dtype=order + "i4").tobytes()
    if encoding == "ascii":
        body = "\n".join(" ".join(repr(v.item()) for v in record) for record in records).encode() + b"\n3 0 1 2\n"
    path.write_bytes("\n".join(header).encode() + body)
    return records


def truncate(path: Path, share: float = 0.5) -> None:
    """Cuts a file short, as an interrupted download does."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
