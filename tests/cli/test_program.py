"""`ups-data` itself: its commands, its help, how fast it starts, configurations by name."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests import warm
from tests.cli.programs import invoke, printed
from tests.datasets import write_grid
from ups_data import ShardWriter, UpsDataError
from ups_data.cli import shipped
from ups_data.cli.main import COMMANDS
from ups_data.cli.throughput import measure, open_loader
from ups_data.trajectory import PointSet

ROOT = Path(__file__).parents[2]
NAMES = [
    "convert",
    "inspect",
    "card",
    "verify",
    "copy",
    "merge",
    "export",
    "train",
    "evaluate",
    "predict",
    "report",
    "latents",
    "noise",
]
NAMES += ["suggest-points", "importance", "seal", "cache", "bench", "simulate", "quickstart"]
SCRIPTS = {
    "make_shards": "convert",
    "inspect_shards": "inspect",
    "verify_shards": "verify",
    "train": "train",
    "add_importance": "importance",
    "simulate": "simulate",
    "quickstart": "quickstart",
}


def python(*arguments, cwd=None):
    environment = {"PATH": "", "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd)


def test_every_command_is_there():
    assert [c.__name__.replace("_", "-") for c in COMMANDS] == NAMES
    shown = printed("--help")
    assert all(f"\n  {name} " in shown for name in NAMES)
    assert "..." not in shown.replace("[ARGS]...", "")  # no summary is cut
    assert invoke().exit_code == 2


@pytest.mark.parametrize("arguments", [["--help"], ["convert", "--help"], ["train", "--help"]])
def test_help_starts_fast(arguments):
    heavy = "torch numpy zarr h5py rich matplotlib omegaconf"
    code = (
        "import sys\nfrom ups_data.cli.main import main\n"
        f"sys.argv = ['ups-data', *{arguments}]\n"
        "try:\n    main()\nexcept SystemExit: pass\n"
        f"print([m for m in '{heavy}'.split() if m in sys.modules], file=sys.stderr)"
    )
    done = python("-c", code)
    assert done.stdout.startswith("Usage: ups-data")
    assert done.stderr.strip() == "[]"


def test_convert_needs_no_torch(tmp_path):
    printed("simulate", tmp_path / "s.h5", "--trajectories", 3, "--size", 8, "--steps", 3)
    code = (
        "import sys\nfrom ups_data.cli.main import main\n"
        f"sys.argv = ['ups-data', 'convert', {str(tmp_path / 's.h5')!r}, '--out', {str(tmp_path / 'd')!r}]\n"
        "try:\n    main()\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    done = python("-c", code)
    assert done.stderr.strip() == "False"
    assert (tmp_path / "d" / "dataset.json").exists()


def test_as_a_module_and_the_version(tmp_path):
    done = python("-m", "ups_data.cli", "--version", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("ups-data")
    done = python("-m", "ups_data.cli", "inspect", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: nowhere: no dataset here (dataset.json is missing); make one with `ups-data convert`\n"
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_the_commands(script):
    """The same options and texts, under the script's own name."""
    theirs = warm.run([ROOT / "tools" / f"{script}.py", "--help"], env={"COLUMNS": "80"}).stdout
    ours = printed(SCRIPTS[script], "--help")
    first, rest = theirs.split("\n", 1)
    assert first.startswith(f"Usage: {script}.py")
    assert "".join(rest.split()) == "".join(ours.split("\n", 1)[1].split())


def test_the_benchmark_runs_from_tools():
    done = warm.run([ROOT / "tools" / "bench_loader.py", "--help"])
    assert done.returncode == 0, done.stderr
    assert "--workload" in done.stdout


def test_shipped_configurations_are_found_by_name(tmp_path, monkeypatch):
    names = {p.stem for p in (ROOT / "configs").glob("*.yaml")}
    assert set(shipped.shipped_configs()) == names
    assert "quickstart" in names
    assert yaml.safe_load(shipped.find_config("quickstart").read_text())["training"]["epochs"] == 6
    assert all(name in " ".join(printed("train", "--help").split()) for name in names)
    with pytest.raises(UpsDataError, match="quikstart: no such file; configurations that ship .*quickstart"):
        shipped.find_config("quikstart")
    monkeypatch.chdir(tmp_path)
    Path("quickstart").write_text("data: {}")  # a file comes first
    assert shipped.find_config("quickstart") == Path("quickstart")
    Path("quickstart").unlink()
    Path("quickstart").mkdir()  # as a run's folder may be called
    assert shipped.find_config("quickstart").suffix == ".yaml"


def test_an_installed_copy_of_the_configurations_comes_first(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("")
    monkeypatch.setattr(shipped, "INSTALLED", tmp_path)
    assert shipped.shipped_configs() == {"mine": tmp_path / "mine.yaml"}


@pytest.mark.parametrize("options", [[], ["--num-workers", 1], ["--horizon", 2, "--mode", "uniform", "--ratio", 0.5]])
def test_bench(tmp_path, options):
    write_grid(tmp_path / "d", codec="lz4")
    file = tmp_path / "figures.json"
    shown = printed("bench", tmp_path / "d", "--seconds", 0.2, "--batch-size", 4, "--json", file, *options)
    figures = json.loads(file.read_text())
    assert figures["samples"] > 0
    assert figures["samples_per_second"] == pytest.approx(figures["samples"] / figures["seconds"])
    assert figures["queries"] == (60 if options and options[0] == "--horizon" else 12)
    assert figures["read_bytes_per_sample"] > 0
    assert set(figures["part_seconds"]) == {"fetch", "decode", "draw", "assemble"}
    assert figures["wait_seconds"] > 0
    rows = ("samples/s", "batches/s", "first batch", "wait", *figures["part_seconds"], "read/sample", "batch/sample")
    assert all(f"│ {row} " in shown for row in rows)


def test_bench_counts_what_the_loader_hands_out(tmp_path):
    write_grid(tmp_path / "d", steps=(3, 4))
    loader = open_loader(tmp_path / "d", batch_size=2)
    spent = []
    measured = measure(loader, 0.05, progress=spent.append)
    assert measured.batches == len(spent)  # the first batch is not among them
    assert loader.stats.batches == measured.batches + 1
    assert spent == sorted(spent)
    assert spent[-1] == measured.seconds >= 0.05
    # five samples: three batches to a pass, of which the first one is taken before the clock starts
    assert measured.passes == (measured.batches + 1) // 3


def test_bench_takes_any_dataset(tmp_path):
    """Several sets of points of unequal size, without time."""
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path / "d", blocks=4) as writer:
        for points in (60, 75):
            one, two = (
                PointSet(rng.random((n, 3)), {name: rng.random((1, n, 1), np.float32)})
                for name, n in (("p", points), ("v", 40))
            )
            writer.add(sets={"surface": one, "volume": two})
    loader = open_loader(tmp_path / "d", ratio=0.2, batch_size=2)
    assert measure(loader, 0.05).queries == 12 + 8


def test_bench_refuses_in_one_line(tmp_path):
    write_grid(tmp_path / "d")
    with pytest.raises(UpsDataError, match="the folder .* does not exist"):
        invoke("bench", tmp_path / "d", "--json", tmp_path / "no" / "f.json")
    with pytest.raises(UpsDataError, match="ratio is 2"):
        invoke("bench", tmp_path / "d", "--ratio", 2)
