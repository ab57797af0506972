"""What the pages say to type exists: commands with their options, imports, links."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer

from ups_data.cli.main import app
from ups_data.cli.shipped import shipped_configs

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = typer.main.get_command(app).commands


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text()) if kind == language]


def typed(page: Path) -> list[list[str]]:
    """The words of every shell command of a page, without the program."""
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    parts = [shlex.split(part, comments=True) for line in lines for part in line.split("&&")]
    return [words for words in parts if words]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_exist_with_their_options(page):
    for words in typed(page):
        if "ups-data" not in words:
            continue
        name, *rest = words[words.index("ups-data") + 1 :]
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert {word.split("=")[0] for word in rest if word.startswith("--")} <= known, words
        if name == "train":
            assert rest[0].endswith(".yaml") or rest[0] in shipped_configs(), words


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_scripts_that_are_run_exist(page):
    for words in typed(page):
        scripts = [word for word in words if re.match(r"(tools|benchmarks|configs|tests|examples)/", word)]
        assert all((ROOT / script).exists() for script in scripts), words


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_code_is_python_and_imports_what_there_is(page):
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("ups_data"):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


def test_links_of_the_pages_at_the_top_lead_somewhere():
    """Those of the site are checked where it is built."""
    for page in ROOT.glob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            assert link.startswith("https://") or (ROOT / link).exists(), f"{page.name}: {link}"


def test_the_readme_is_short_and_has_its_two_commands():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    commands = [line.strip() for block in blocks(ROOT / "README.md", "bash") for line in block.splitlines()]
    assert 'python -m pip install -e ".[demo]" && python tools/quickstart.py' in commands
    assert 'python -m pip install -e ".[test]" && python -m pytest' in commands


def test_every_page_is_in_the_navigation():
    listed = (ROOT / "mkdocs.yml").read_text()
    pages = [p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")]
    parts = ("compare_", "evidence/")  # of pages, which take them in
    assert [name for name in pages if name not in listed and not name.startswith(parts)] == []
