"""A wheel in an environment of its own, away from the checkout: every command works.

It is built as `pip wheel` does, which downloads setuptools and cython; its dependencies are this environment's.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "ups_data", "configs")
BUILT = shutil.ignore_patterns("*.so", "*.c", "__pycache__")


def run(*command, cwd):
    """The command's output; neither this checkout nor its settings reach it."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")} | {"COLUMNS": "80"}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        copy = shutil.copy if (ROOT / name).is_file() else lambda *paths: shutil.copytree(*paths, ignore=BUILT)
        (folder / "source").mkdir(exist_ok=True)
        copy(ROOT / name, folder / "source" / name)
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", folder / "out", folder / "source", cwd=folder)
    (wheel,) = (folder / "out").glob("ups_data-*.whl")
    return wheel


@pytest.fixture(scope="module")
def bin_folder(wheel, tmp_path_factory):
    """Of an environment that has the wheel, and this one's packages after its own."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    run(folder / "bin" / "pip", "install", "-q", "--no-deps", wheel, cwd=folder.parent)
    (packages,) = folder.glob("lib/*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_what_the_wheel_holds(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {f"ups_data/cli/configs/{p.name}" for p in (ROOT / "configs").glob("*.yaml")}
    assert configs <= names
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "ups_data").rglob("*.py")}
    assert modules <= names
    assert {"ups_data/py.typed", "ups_data/_native/compiled.pyi"} <= names
    assert any(name.startswith("ups_data/_native/compiled.") and name.endswith(".so") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"ups_data"}


def test_every_command_works(bin_folder, tmp_path):
    where = "import ups_data, ups_data._native as n; print(ups_data.__file__); print(n.compiled is not None)"
    file, compiled = run(bin_folder / "python", "-c", where, cwd=tmp_path).split()
    assert Path(file).is_relative_to(bin_folder.parent)
    assert compiled == "True"

    def ups_data(*arguments):
        return run(bin_folder / "ups-data", *arguments, cwd=tmp_path)

    assert ups_data("--version").startswith("ups-data 0.")
    ups_data("simulate", "s.h5", "--trajectories", 6, "--size", 16, "--steps", 5)
    assert "trajectories: train 3, valid 3" in ups_data("convert", "s.h5", "--out", "d", "--split", "train=.5,valid=.5")
    assert "suggested: --blocks" in ups_data("convert", "s.h5", "--suggest")
    assert "grid 16 × 16" in ups_data("inspect", "d")
    assert "intact" in ups_data("verify", "d")
    assert "gradient: " in ups_data("importance", "d")
    small = ("training.epochs=1", "model.dim=16", "model.tokens=4")
    assert "persistence" in ups_data("train", "quickstart", "data.root=d", "out=run", *small)
    assert json.loads((tmp_path / "run" / "history.json").read_text())["finished"]
    for options in ([], ["--num-workers", 1]):
        assert "samples/s" in ups_data("bench", "d", "--seconds", 0.5, *options)
    assert "prediction.png" in ups_data("quickstart", "--data", "s.h5", "--out", "q", *small)
    assert {p.name for p in tmp_path.iterdir()} == {"s.h5", "d", "run", "q"}
