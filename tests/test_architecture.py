"""Rooms know only what lies before them: data flow one way, and imports with them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ups_data"
FOUNDATIONS = {"errors", "hashing", "atomic", "trajectory", "_native"}
MOST_FILES, MOST_LINES = 12, 300
# What each room may import beside the foundations. Docs: docs/architecture.md.
ALLOWED: dict[str, set[str]] = {
    **{name: set() for name in FOUNDATIONS},
    "points": set(),
    "schema": {"points"},
    "pages": set(),
    "sources": {"schema"},
    "store": {"points", "schema"},
    "writing": {"points", "schema", "store"},
    "plan": {"schema"},
    "sampling": {"points"},
    # What a dataset shows of itself, with points drawn as a loader draws them.
    "card": {"points", "schema", "store", "sampling", "pages"},
    "conversion": {"points", "schema", "sources", "store", "writing", "card"},
    "batch": {"points", "sampling"},
    "reading": {"points", "schema", "store", "plan", "sampling", "batch"},
    "engine": {"points", "schema", "store", "plan", "sampling", "batch", "reading"},
    "loader": {"points", "schema", "store", "plan", "sampling", "batch", "reading", "engine"},
    "models": {"points", "schema", "sampling", "batch"},
    # It writes what it predicts, and latents, as datasets.
    "training": {"points", "schema", "store", "writing", "sampling", "batch", "engine", "loader", "models", "pages"},
    "exporting": {"points", "schema", "store"},
}
ALLOWED["training"].add("exporting")
ALLOWED["cli"] = set(ALLOWED)
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def imports(path: Path) -> set[str]:
    """The modules of the project that a file imports, wherever it does so."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            parts = {f"{node.module}.{a.name}" for a in node.names}
            names |= {part if is_module(part) else str(node.module) for part in parts}
        elif isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
    return {name for name in names if name.startswith("ups_data.")}


def rooms(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path)}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    room = room_of(path)
    if room == "__init__":
        return
    assert rooms(path) <= ALLOWED[room] | FOUNDATIONS | {room}


def test_no_module_imports_one_that_imports_it():
    """No cycle, whether by a late import or behind TYPE_CHECKING."""
    named = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in MODULES}
    known = {name: (imports(path) & set(named)) - {name} for name, path in named.items() if name != "ups_data"}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " → ".join([*way[way.index(name) :], name])
        if name not in done:
            for other in known.get(name, ()):
                visit(other, (*way, name))
            done.add(name)

    for name in known:
        visit(name, ())


def test_rooms_and_files_are_small():
    """A room holds at most twelve files, a file at most 300 lines; only foundations lie at the root."""
    code = [p for p in PACKAGE.rglob("*") if p.suffix in (".py", ".pyx", ".pxi", ".pyi")]
    too_long = {str(p.relative_to(ROOT)): n for p in code if (n := len(p.read_text().splitlines())) > MOST_LINES}
    assert not too_long
    for folder in {p.parent for p in code}:
        files = [p for p in folder.iterdir() if p in code]
        assert len(files) <= MOST_FILES, folder
    loose = {p.name for p in PACKAGE.iterdir() if p.is_file() and p.suffix not in (".so", ".c")}
    assert loose == {"__init__.py", "errors.py", "hashing.py", "atomic.py", "trajectory.py", "py.typed"}


def test_no_loss_knows_of_sampling():
    for name in ("losses.py", "bundle.py", "step.py"):
        assert "sampling" not in rooms(PACKAGE / "training" / name), name
    for path in (PACKAGE / "models").rglob("*.py"):
        assert "sampling" not in rooms(path), path


@pytest.mark.parametrize(
    ("what", "without"),
    [
        ("from ups_data import *", "matplotlib h5py zarrs xarray omegaconf typer"),
        # A conversion and each of its workers: torch alone takes seconds and 200 MB.
        ("import ups_data.conversion.convert, ups_data.conversion.workers", "torch matplotlib zarrs xarray typer"),
    ],
)
def test_importing_costs_no_more_than_what_is_used(what, without):
    code = f"import sys; {what}; print([m for m in '{without}'.split() if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_tools_hold_no_logic_that_the_package_lacks():
    for path in (ROOT / "tools").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 250, path
