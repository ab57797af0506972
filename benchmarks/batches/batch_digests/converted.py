"""Datasets that `tools/make_shards.py` makes of raw files, which are made here."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np

from .values import frames, positions

SOURCES = "sources"  # the folder of raw files, beside the datasets


def convert(name: str, folder: Path, checkout: Path, before: Sequence[str] = ()) -> None:
    """Make the dataset `folder/name` with the tool of a checkout, from raw files in `folder/sources`.

    Args:
        before: a script that runs the tool; in one process, so that what it changed holds.

    Paths are given to the tool as they are inside the folder, since the manifest keeps them.

    Raises:
        RuntimeError: the tool fails.
    """
    source, write, options = CONVERTED[name]
    path = folder / SOURCES / source
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    if before:
        options = options.replace("--workers 2", "--workers 1")
    tool = [sys.executable, *before, str(checkout / "tools/make_shards.py"), f"{SOURCES}/{source}", "--out", name]
    done = subprocess.run([*tool, *options.split()], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(tool)} {options}: exit status {done.returncode}\n{done.stdout}{done.stderr}")


def _burgers(path: Path) -> None:
    """PDEBench's layout of one array over all trajectories, 1-D and periodic by the file's name."""
    with h5py.File(path, "w") as file:
        file["tensor"] = np.stack([frames(run, 9, (64,), 1)[..., 0] for run in range(8)])
        file["x-coordinate"] = np.arange(64, dtype=np.float32) / 64
        file["t-coordinate"] = np.arange(10, dtype=np.float32) / 8
        file.attrs["Nu"] = 0.125


def _reaction(path: Path) -> None:
    """PDEBench's layout of a group for each trajectory, 2-D."""
    with h5py.File(path, "w") as file:
        for run in range(6):
            group = file.create_group(f"{run:04d}")
            group["data"] = frames(run, 7, (16, 12), 2)
            group["grid/x"] = np.arange(16, dtype=np.float32) / 4 - 2
            group["grid/y"] = np.arange(12, dtype=np.float32) / 4
            group["grid/t"] = np.arange(7, dtype=np.float32) / 2
            group.attrs["config"] = f"sim:\n  k: {run / 8}\n  seed: {run}\n"


def _flow(path: Path) -> None:
    """PDEBench's compressible layout, five fields, 3-D."""
    with h5py.File(path, "w") as file:
        for number, name in enumerate(("density", "pressure", "Vx", "Vy", "Vz")):
            runs = [frames(10 * number + run, 5, (8, 8, 8), 1)[..., 0] for run in range(5)]
            file[name] = np.stack(runs)
        for axis in "xyz":
            file[f"{axis}-coordinate"] = (np.arange(8, dtype=np.float32) + np.float32(0.5)) / 8
        file["t-coordinate"] = np.arange(6, dtype=np.float32) / 4


def _array(path: Path) -> None:
    """A .npy of (trajectories, T, H, W, C) in float64."""
    np.save(path, np.stack([frames(run, 6, (16, 12), 2) for run in range(6)]).astype(np.float64) / 3)


def _clouds(path: Path) -> None:
    """Folders of splits with an .npz for each cloud, of different sizes."""
    for split, runs in {"train": range(5), "valid": range(5, 7)}.items():
        (path / split).mkdir(parents=True)
        for run in runs:
            points = 150 + 20 * run
            np.savez(
                path / split / f"cloud-{run}.npz",
                coords=positions(run, (points, 2)),
                u=frames(run, 5, (points,), 2),
                mass=frames(100 + run, 1, (points,), 1)[0, :, 0],
                time=np.arange(5) / 4,
                nu=np.float64(run / 8),
            )


def _cars(path: Path) -> None:
    """A folder for each case with a file for each quantity, on two sets of points."""
    for run in range(6):
        case = path / f"case-{run}"
        case.mkdir(parents=True)
        few, many = 120 + 8 * run, 200 + 16 * run
        np.save(case / "surface_position.npy", positions(run, (few, 3)))
        np.save(case / "surface_pressure.npy", frames(run, 1, (few,), 1)[0, :, 0])
        np.save(case / "volume_position.npy", positions(50 + run, (many, 3)))
        np.save(case / "volume_velocity.npy", frames(100 + run, 1, (many,), 3)[0])


# name → (path in the folder of raw files, what writes it, options of the tool)
CONVERTED: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "burgers": ("1D_Burgers_periodic.h5", _burgers, "--codec lz4 --blocks 8"),
    "reaction": ("2D_reaction.h5", _reaction, "--codec zstd --importance gradient,variance --split train=0.7,test=0.3"),
    "flow": ("3D_flow.h5", _flow, "--blocks 8 --cast float16 --shard-mb 1"),
    "array": ("array.npy", _array, "--cast float32 --workers 2 --seed 3"),
    "clouds": ("clouds", _clouds, "--blocks 4 --codec lz4 --importance variance"),
    "cars": ("cars", _cars, "--blocks 8"),
}
