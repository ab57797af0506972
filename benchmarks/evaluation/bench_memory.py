"""The memory that evaluating or predicting a large cloud takes beyond the cloud: each size in a process of its own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, `benchmarks` is not on the path

import json
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from benchmarks.peak import forget_peak, peak_bytes, resident_bytes
from ups_data import ShardWriter
from ups_data.cli.errors import run
from ups_data.cli.tables.sheet import Sheet
from ups_data.training import TrainConfig, evaluate_run, train
from ups_data.training.prediction import Asked, predict_run
from ups_data.training.prediction.files import write_predictions
from ups_data.trajectory import Trajectory
from ups_data.writing.options import WriteOptions

app = typer.Typer(add_completion=False, help=__doc__)


def write_cloud(root: Path, points: int, splits: tuple[str, ...], **options: int | str) -> None:
    """Two frames of a smooth field on random points of the unit square, stored with those options."""
    rng = np.random.default_rng(points)
    with ShardWriter(root, WriteOptions(**options)) as writer:  # type: ignore[arg-type]
        for split in splits:
            coords = rng.random((points, 2), np.float32)
            p = np.stack([np.sin(5 * coords[:, :1] + shift) for shift in (0.0, 0.3)])
            writer.add({"p": p}, coords=coords, split=split)


def train_small(folder: Path) -> Path:
    """A run of the built-in model for points, on a small cloud."""
    write_cloud(folder / "small", 20_000, ("train",) * 4)
    config = {
        "data": {"root": str(folder / "small"), "inputs": {"num_queries": 1024}, "threads": 1, "batch_size": 2},
        "model": {"dim": 32, "depth": 1},
        "training": {"epochs": 1, "device": "cpu", "query_sample_ratio": 0.05},
        "out": str(folder / "run"),
    }
    train(TrainConfig.model_validate(config), console=Console(quiet=True))
    return folder / "run"


def measure(run_folder: Path, root: Path, chunk: int, predict: str) -> dict[str, float]:
    """Peak memory of an evaluation, or of predictions in that format, the bytes of the cloud, and points predicted."""
    own = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    work(run_folder, run_folder.with_name("small"), "train", chunk, predict)  # what a first call takes
    before = resident_bytes()
    forget_peak()
    points = work(run_folder, root, "test", chunk, predict)
    return {"peak": peak_bytes(), "before": before, "own": own, "points": points}


def work(run_folder: Path, root: Path, split: str, chunk: int, predict: str) -> int:
    """What is measured; returns how many points were predicted."""
    if not predict:
        return int(evaluate_run(run_folder, data=root, split=split, chunk=chunk).values["points"])
    points = 0

    def counted(trajectories: Iterator[Trajectory]) -> Iterator[Trajectory]:
        nonlocal points
        for trajectory in trajectories:
            points += sum(int(np.prod(values.shape[:-1])) for values in trajectory.fields.values())
            yield trajectory

    with tempfile.TemporaryDirectory(dir=root.parent) as folder:
        (scratch := Path(folder) / "scratch").mkdir()
        found = predict_run(run_folder, root, scratch, Asked(split=split, chunk=chunk))
        write_predictions(counted(found), Path(folder) / "out", predict, split=split, source={})  # type: ignore[arg-type]
    return points


@app.command()
def main(
    sizes: Annotated[str, typer.Option(help="Points of the clouds, as 1000000,5000000.")] = "1000000,5000000",
    chunk: Annotated[int, typer.Option(help="Points that are decoded at once.")] = 16384,
    blocks: Annotated[int, typer.Option(help="That the clouds are stored in.")] = 1,
    codec: Annotated[str, typer.Option(help="none, lz4 or zstd.")] = "none",
    predict: Annotated[str, typer.Option(help="Write predictions as shards, vtk or netcdf; default: evaluate.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures into this file.")] = None,
    child: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Evaluate or predict clouds of several sizes, and compare the peaks beyond the clouds' own bytes."""
    if child:
        run_folder, root = map(Path, child.split(","))
        print(json.dumps(measure(run_folder, root, chunk, predict)))
        return
    table, rows = Sheet("points", "cloud, MB", "peak, MB", "beyond the cloud, MB"), []
    with tempfile.TemporaryDirectory() as folder:
        run_folder = train_small(Path(folder))
        for points in map(int, sizes.split(",")):
            root = Path(folder) / str(points)
            write_cloud(root, points, ("test",), blocks=blocks, codec=codec)
            command = [sys.executable, __file__, "--child", f"{run_folder},{root}", "--chunk", str(chunk)]
            command += ["--predict", predict]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            row = json.loads(done.stdout.splitlines()[-1]) | {"size": points}
            row["beyond"] = row["peak"] - row["own"]
            rows.append(row)
            table.add_row(f"{points:,}", *(f"{row[name] / 1e6:,.0f}" for name in ("own", "peak", "beyond")))
    Console(emoji=False).print(table)
    if json_file is not None:
        json_file.write_text(json.dumps(rows))


if __name__ == "__main__":
    run(app)
