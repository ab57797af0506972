"""Rooms know only what lies before them: data flow one way, and imports with them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ups_data"
# What each room may import of the project. `stream` composes the others, so it comes after `batch`.
BASE = {"atomic", "errors", "limits", "native", "hashing", "coords", "blocks", "schema"}
ALLOWED = {
    "atomic": set(),
    "errors": set(),
    "limits": set(),
    "native": {"_native"},
    "hashing": set(),
    "coords": set(),
    "blocks": {"errors", "hashing"},
    "schema": {"atomic", "errors", "limits", "coords"},
    "trajectory": set(),
    "sources": {"errors", "trajectory"},
    # The importance of tiles is computed as frames are written, by the metrics that it is drawn by.
    "shards": BASE | {"trajectory", "sources", "sampling"},
    "plan": BASE,
    "sampling": {"errors", "native", "hashing", "blocks"},
    "batch": {"errors", "native", "hashing", "blocks", "sampling"},
    "stream": BASE | {"shards", "plan", "sampling", "batch"},
    "training": BASE | {"batch", "sampling", "stream"},
    "plots": BASE | {"batch", "sampling", "stream"},
}


def room_of(path: Path) -> str:
    part = path.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


def imports(path: Path) -> set[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names += [node.module] if node.module != "ups_data" else [f"ups_data.{a.name}" for a in node.names]
        elif isinstance(node, ast.Import):
            names += [a.name for a in node.names]
    return {n.split(".")[1] for n in names if n.startswith("ups_data.")}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    room = room_of(path)
    if room == "__init__":
        return
    assert imports(path) <= ALLOWED[room] | {room}


def test_only_the_losses_room_and_none_of_its_losses_know_of_sampling():
    for name in ("losses.py", "bundle.py", "encoder.py", "decoder.py", "operator.py", "step.py"):
        assert "sampling" not in imports(PACKAGE / "training" / name), name


@pytest.mark.parametrize(
    ("what", "without"),
    [
        ("from ups_data import *", "matplotlib h5py zarrs xarray omegaconf typer"),
        # A conversion and each of its workers: torch alone takes seconds and 200 MB.
        ("import ups_data.shards.convert, ups_data.shards.workers", "torch matplotlib zarrs xarray typer"),
    ],
)
def test_importing_costs_no_more_than_what_is_used(what, without):
    code = f"import sys; {what}; print([m for m in '{without}'.split() if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_tools_hold_no_logic_that_the_package_lacks():
    for path in (PACKAGE.parent / "tools").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 250, path
