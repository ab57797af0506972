"""How fast sources are converted: MB of decoded values a second, beside a plain program that uses the same library.

    python benchmarks/conversion/throughput.py --out /data/tmp --gb 2 --rounds 3

For each format (NetCDF, HDF5, VTU) a source of that size is made in `--out`, then converted and read by the plain
program in turn: the plain program reads the values by the library's own calls and writes them to one file with
`ndarray.tofile`. Both run in processes of their own; the time is the process's, from its start to its end, with the
data flushed to the disk. The table gives the median of the rounds, their ratio (conversion ÷ plain; 1 is as fast), and
the peak memory of each. Files are read from the page cache if they fit into memory; the first round is not counted.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

CHECKOUT = Path(__file__).parents[2]
SIDE, FRAMES = 256, 64  # a trajectory of a grid: 64 frames of 256², 16.8 MB
POINTS = 200_000  # of a mesh, with a scalar and a vector: 3.2 MB


def make_netcdf(folder: Path, size: float) -> None:
    """A file of many trajectories of `u` [sample, time, y, x], contiguous."""
    import h5py

    count = max(1, round(size / (FRAMES * SIDE * SIDE * 4)))
    draw = np.random.default_rng(0)
    with h5py.File(folder / "a.nc", "w") as file:
        file.attrs["_NCProperties"] = "version=2,h5netcdf=1.4.0"
        u = file.create_dataset("u", (count, FRAMES, SIDE, SIDE), "f4")
        for n, length in enumerate((count, FRAMES, SIDE, SIDE)):
            name = ("sample", "time", "y", "x")[n]
            file[name] = np.arange(length, dtype="f8")
            file[name].make_scale(name)
            u.dims[n].attach_scale(file[name])
        for n in range(count):
            u[n] = draw.standard_normal((FRAMES, SIDE, SIDE), np.float32)


def make_hdf5(folder: Path, size: float) -> None:
    """A file of PDEBench: density, pressure, Vx, Vy [N, T, X, Y]."""
    import h5py

    count = max(1, round(size / (4 * FRAMES * SIDE * SIDE * 4)))
    draw = np.random.default_rng(0)
    with h5py.File(folder / "a.h5", "w") as file:
        for name in ("density", "pressure", "Vx", "Vy"):
            array = file.create_dataset(name, (count, FRAMES, SIDE, SIDE), "f4")
            for n in range(count):
                array[n] = draw.standard_normal((FRAMES, SIDE, SIDE), np.float32)
        file["x-coordinate"] = file["y-coordinate"] = np.linspace(0, 1, SIDE, dtype="f4")
        file["t-coordinate"] = np.linspace(0, 1, FRAMES, dtype="f4")


def make_vtu(folder: Path, size: float) -> None:
    """Many clouds of vertices with a scalar and a vector, appended and uncompressed."""
    import vtkmodules.all as vtk
    from vtkmodules.util.numpy_support import numpy_to_vtk

    draw = np.random.default_rng(0)
    for number in range(max(1, round(size / (POINTS * 16)))):
        grid, points = vtk.vtkUnstructuredGrid(), vtk.vtkPoints()
        points.SetData(numpy_to_vtk(draw.random((POINTS, 3), np.float32), deep=True))
        grid.SetPoints(points)
        for name, shape in (("p", (POINTS,)), ("U", (POINTS, 3))):
            array = numpy_to_vtk(draw.standard_normal(shape, np.float32), deep=True)
            array.SetName(name)
            grid.GetPointData().AddArray(array)
        writer = vtk.vtkXMLUnstructuredGridWriter()
        writer.SetFileName(str(folder / f"a_{number}.vtu"))
        writer.SetInputData(grid)
        writer.SetCompressor(None)
        writer.EncodeAppendedDataOff()
        writer.Write()


def plain_netcdf(folder: Path, file) -> int:
    import xarray

    written = 0
    with xarray.open_dataset(folder / "a.nc", engine="h5netcdf", cache=False) as dataset:
        for number in range(dataset.sizes["sample"]):
            values = dataset["u"].isel(sample=number).values
            values.tofile(file)
            written += values.nbytes
    return written


def plain_hdf5(folder: Path, file) -> int:
    import h5py

    written = 0
    with h5py.File(folder / "a.h5") as source:
        for number in range(len(source["density"])):
            for name in ("density", "pressure", "Vx", "Vy"):
                values = source[name][number]
                values.tofile(file)
                written += values.nbytes
    return written


def plain_vtu(folder: Path, file) -> int:
    import vtkmodules.all as vtk
    from vtkmodules.util.numpy_support import vtk_to_numpy

    written = 0
    for path in sorted(folder.glob("*.vtu")):
        reader = vtk.vtkXMLUnstructuredGridReader()
        reader.SetFileName(str(path))
        reader.Update()
        data = reader.GetOutput()
        for array in (data.GetPoints().GetData(), data.GetPointData().GetArray("p"), data.GetPointData().GetArray("U")):
            values = vtk_to_numpy(array)
            values.tofile(file)
            written += values.nbytes
    return written


FORMATS = {
    "netcdf": (make_netcdf, plain_netcdf),
    "hdf5": (make_hdf5, plain_hdf5),
    "vtu": (make_vtu, plain_vtu),
}


def work(kind: str, name: str, folder: Path, out: Path) -> dict[str, float]:
    """In a process of its own: convert, or read plainly."""
    if kind == "convert":
        from ups_data.conversion.convert import convert

        source = folder if name == "vtu" else next(folder.iterdir())
        manifest = convert(source, out, split={"train": 1.0})
        size = sum(shard.bytes for split in manifest.splits.values() for shard in split.shards)
        for path in out.rglob("*"):
            if path.is_file():
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
    else:
        out.mkdir(parents=True)
        with open(out / "plain", "wb") as file:
            size = FORMATS[name][1](folder, file)
            file.flush()
            os.fsync(file.fileno())
    return {"bytes": size, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def measure(kind: str, name: str, folder: Path, out: Path) -> dict[str, float]:
    """One run of one program."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, __file__, "--work", kind, "--format", name, "--source", str(folder), "--out", str(out)]
    begun = time.perf_counter()
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    seconds = time.perf_counter() - begun
    shutil.rmtree(out)
    return {**json.loads(done.stdout.splitlines()[-1]), "seconds": seconds}


def main() -> None:
    """Make the sources, run both programs in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for sources and results: three times --gb")
    parser.add_argument("--gb", type=float, default=2.0, help="decoded size of each source")
    parser.add_argument("--rounds", type=int, default=3, help="beside the first, which is not counted")
    parser.add_argument("--formats", default=",".join(FORMATS), help="some of them")
    parser.add_argument("--json", type=Path, help="file for every figure")
    parser.add_argument("--work", choices=["convert", "plain"], help=argparse.SUPPRESS)
    parser.add_argument("--format", help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        print(json.dumps(work(given.work, given.format, given.source, given.out)))
        return
    figures: dict[str, dict[str, list[dict[str, float]]]] = {}
    print(f"{'format':8} {'convert MB/s':>13} {'plain MB/s':>11} {'ratio':>6} {'peak MB':>8} {'plain':>6}")
    for name in given.formats.split(","):
        folder = given.out / f"source-{name}"
        folder.mkdir(parents=True)
        FORMATS[name][0](folder, given.gb * 1e9)
        runs = figures[name] = {"convert": [], "plain": []}
        for number in range(given.rounds + 1):
            for kind in ("convert", "plain") if number % 2 else ("plain", "convert"):
                run = measure(kind, name, folder, given.out / f"result-{name}")
                if number:
                    runs[kind].append(run)
        shutil.rmtree(folder)
        speed = {k: statistics.median(r["bytes"] / r["seconds"] for r in of) / 1e6 for k, of in runs.items()}
        seconds = {k: statistics.median(r["seconds"] for r in of) for k, of in runs.items()}
        peak = {k: max(r["peak"] for r in of) / 1e6 for k, of in runs.items()}
        print(
            f"{name:8} {speed['convert']:13.0f} {speed['plain']:11.0f} {seconds['plain'] / seconds['convert']:6.2f} "
            f"{peak['convert']:8.0f} {peak['plain']:6.0f}",
            flush=True,
        )
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    sys.path.insert(0, str(CHECKOUT))
    main()
