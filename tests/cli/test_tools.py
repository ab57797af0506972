"""The command-line programs, run as a user runs them."""

import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from tests import warm
from tests.datasets import edit_manifest, write_grid
from tests.sources.files import truncate, write_compressible, write_groups, write_tensor
from ups_data.cli.tours import diffusion_reaction as tour
from ups_data.schema import MANIFEST, Manifest

TOOLS = Path(__file__).parents[2] / "tools"
CONFIGS = TOOLS.parent / "configs"
SCRIPTS = {p.name: p for folder in ("tools", "benchmarks") for p in (TOOLS.parent / folder).rglob("*.py")}


def tool(name, *arguments):
    environment = {"COLUMNS": "200", "PATH": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TOOLS.parent)}
    return warm.run([SCRIPTS[name], *arguments], env=environment)


def ok(name, *arguments):
    done = tool(name, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(name, *arguments):
    """Exit status 2 and one line on stderr, which is returned."""
    done = tool(name, *arguments)
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    line = done.stderr.strip()
    assert line.startswith("error: "), line
    assert "\n" not in line
    return line


@pytest.fixture
def groups(tmp_path):
    file = tmp_path / "diff-react.h5"
    write_groups(file)
    return file


def test_make_and_inspect(tmp_path, groups):
    out = ok("make_shards.py", groups, "--out", tmp_path / "d", "--split", "train=0.5,valid=0.5", "--codec", "zstd")
    manifest = Manifest.load(tmp_path / "d")
    assert set(manifest.splits) == {"train", "valid"}
    assert manifest.codec == "zstd"
    assert str(tmp_path / "d") in out
    shown = ok("inspect_shards.py", tmp_path / "d", "--plot", tmp_path / "picture.png")
    field = manifest.fields[0]
    for part in (field.name, *manifest.splits, f"{manifest.splits['train'].statistics[field.name].std[0]:.3g}"):
        assert part in shown
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("write", [write_tensor, write_compressible])
def test_pictures_of_every_dimension(tmp_path, write):
    write(tmp_path / "f.h5")
    ok("make_shards.py", tmp_path / "f.h5", "--out", tmp_path / "d")
    ok("inspect_shards.py", tmp_path / "d", "--plot", tmp_path / "picture.png", "--ratio", 0.3)
    assert (tmp_path / "picture.png").stat().st_size > 5000


class Unpicklable:
    def __reduce__(self):
        return (print, ("code from the file",))


def bad_inputs(tmp_path):
    """name → (file, what the line must say)."""
    write_groups(tmp_path / "cut.h5")
    truncate(tmp_path / "cut.h5")
    yield tmp_path / "cut.h5", ["cut.h5"]

    for name, value in (("nan", np.nan), ("inf", np.inf)):
        field = np.ones((3, 4, 8), np.float32)
        field[1, 2, 3] = value
        with h5py.File(tmp_path / f"{name}.hdf5", "w") as f:
            f["tensor"], f["x-coordinate"], f["t-coordinate"] = field, np.linspace(0, 1, 8), np.arange(5.0)
        yield tmp_path / f"{name}.hdf5", [f"{name}.hdf5", "'tensor'", "--allow-nonfinite"]

    with h5py.File(tmp_path / "shapes.h5", "w") as f:
        for i, n in enumerate((8, 8, 9)):
            group = f.create_group(f"{i:04d}")
            group["data"] = np.ones((3, n, n, 2), np.float32)
            group["grid/x"] = group["grid/y"] = np.linspace(0, 1, n)
            group["grid/t"] = np.arange(3.0)
    yield tmp_path / "shapes.h5", ["shapes.h5", "'data'", "'0002'", "(9, 9, 2)", "(8, 8, 2)"]

    with open(tmp_path / "code.pt", "wb") as f:
        pickle.dump({"x": Unpicklable()}, f)
    yield tmp_path / "code.pt", ["code.pt"]
    torch.save({"x": torch.ones(2, 4, 4), "y": Unpicklable()}, tmp_path / "code2.pt")
    yield tmp_path / "code2.pt", ["code2.pt"]

    np.save(tmp_path / "wide.npy", np.ones((3, 2, 8, 8, 1)))
    yield tmp_path / "wide.npy", ["wide.npy", "float64", "--cast float32"]
    (tmp_path / "notes.txt").write_text("hello")
    yield tmp_path / "notes.txt", ["notes.txt"]
    yield tmp_path / "missing.h5", ["missing.h5"]


def test_bad_files_leave_nothing_behind(tmp_path):
    """Where one shard is all there is: one that is finished before another fails is kept for the next try."""
    for file, says in bad_inputs(tmp_path):
        line = refused("make_shards.py", file, "--out", tmp_path / "d", "--split", "train=1")
        assert all(part in line for part in says), (line, says)
        assert "code from the file" not in line
        assert not (tmp_path / "d").exists(), file


def test_nonfinite_values_are_kept_and_counted_when_asked(tmp_path):
    field = np.ones((3, 4, 8), np.float32)
    field[:, 2, 3] = np.nan
    np.savez(tmp_path / "f.npz", u=field[..., None])
    ok("make_shards.py", tmp_path / "f.npz", "--out", tmp_path / "d", "--allow-nonfinite")
    splits = Manifest.load(tmp_path / "d").splits.values()
    assert sum(s.statistics["u"].nonfinite for s in splits) == 3


def test_a_cast_that_overflows(tmp_path):
    np.savez(tmp_path / "f.npz", u=np.full((3, 4, 8, 1), 7e4, np.float32))
    line = refused("make_shards.py", tmp_path / "f.npz", "--out", tmp_path / "d", "--cast", "float16")
    assert "'u'" in line
    assert "70000" in line


def test_a_dataset_that_is_complete_already(tmp_path, groups):
    command = ("make_shards.py", groups, "--out", tmp_path / "d")
    assert "already" not in ok(*command)
    before = (tmp_path / "d" / MANIFEST).stat().st_mtime_ns
    again = ok(*command)
    assert again.strip().count("\n") == 0, again
    assert f"{tmp_path / 'd'}: is complete already" in again
    assert (tmp_path / "d" / MANIFEST).stat().st_mtime_ns == before


def test_an_output_folder_in_use(tmp_path, groups):
    write_grid(tmp_path / "d")
    before = (tmp_path / "d" / MANIFEST).read_bytes()
    assert "already holds a dataset" in refused("make_shards.py", groups, "--out", tmp_path / "d")
    assert (tmp_path / "d" / MANIFEST).read_bytes() == before


@pytest.mark.parametrize("split", ["train:0.8", "train=0.5,valid=0.2", "train=1.5,valid=-0.5"])
def test_bad_splits(tmp_path, groups, split):
    refused("make_shards.py", groups, "--out", tmp_path / "d", "--split", split)
    assert not (tmp_path / "d").exists()


def test_a_manifest_that_leaves_its_folder(tmp_path):
    write_grid(tmp_path / "d")
    edit_manifest(tmp_path / "d", lambda m: m["splits"]["train"]["shards"][0].update(path="../../etc"))
    assert "leaves the dataset's folder" in refused("inspect_shards.py", tmp_path / "d")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("training.query_sampel_ratio=0.1", "query_sample_ratio"),
        ("training.query_sample_ratio=0", "ratio is 0"),
        ("training.query_sample_ratio=1.5", "ratio is 1.5"),
        ("data.horizon=9", "longest trajectory has 9 frames"),
        ("data.root=nowhere", "no dataset here"),
    ],
)
def test_bad_configurations(tmp_path, override, says):
    write_grid(tmp_path / "d", grid=(16, 16))
    config = CONFIGS / "train_diffusion_reaction.yaml"
    line = refused("train.py", config, f"data.root={tmp_path / 'd'}", f"out={tmp_path / 'run'}", override)
    assert says in line


def test_simulate_convert_train(tmp_path):
    """The README's path, tiny."""
    ok("simulate.py", tmp_path / "s.h5", "--trajectories", 6, "--size", 16, "--steps", 5)
    ok("make_shards.py", tmp_path / "s.h5", "--out", tmp_path / "d", "--split", "train=0.5,valid=0.5")
    options = ["training.epochs=2", "model.dim=16", "model.tokens=4", "training.query_sample_ratio=0.1"]
    config = CONFIGS / "train_diffusion_reaction.yaml"
    out = ok("train.py", config, f"data.root={tmp_path / 'd'}", f"out={tmp_path / 'run'}", *options)
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert [e["queries"] for e in history["epochs"]] == [26, 26]
    assert f"{history['valid_nrmse']:.4f}" in out


def test_quickstart(tmp_path):
    write_groups(tmp_path / "f.h5")
    options = ["training.epochs=1", "model.dim=16", "model.tokens=4", "data.batch_size=1"]
    out = ok("quickstart.py", "--data", tmp_path / "f.h5", "--out", tmp_path / "q", *options)
    for picture in ("sample.png", "losses.png", "prediction.png"):
        assert picture in out
        assert (tmp_path / "q" / picture).stat().st_size > 5000
    assert "not empty" in refused("quickstart.py", "--out", tmp_path / "q")


def test_the_quickstart_trains_fewer_steps_on_a_slow_machine(tmp_path, monkeypatch):
    """And all of them on a fast one; either way no run is left behind by the timing."""
    write_groups(tmp_path / "f.h5", keys=tuple(f"{n:04d}" for n in range(12)))
    ok("make_shards.py", tmp_path / "f.h5", "--out", tmp_path / "d")
    options = ["training.epochs=3", "model.dim=16", "model.tokens=4", "data.batch_size=1"]
    steps, planned, seconds = tour.fitting_steps(tmp_path / "d", options)
    assert steps == planned > tour.FEWEST_STEPS
    monkeypatch.setattr(tour, "TRAINING_SECONDS", seconds)  # of one step
    assert tour.fitting_steps(tmp_path / "d", options)[:2] == (tour.FEWEST_STEPS, planned)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "f.h5"]
