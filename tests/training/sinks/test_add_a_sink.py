"""The page `docs/add-a-sink.md`, word for word: a sink outside of the package."""

import sqlite3
import sys
from pathlib import Path

import pytest

from tests.pages import blocks
from tests.training.runs import lines

DEFINED, USED = blocks("add-a-sink.md", "python")


def test_the_page_as_a_program(waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "database.py").write_text(DEFINED)
    (tmp_path / "run.yaml").write_text(
        f"data: {{root: {waves}, threads: 1}}\nmodel: {{dim: 16, depth: 1}}\n"
        "training: {epochs: 2, device: cpu, query_sample_ratio: 0.2}\nout: run\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    try:
        exec(compile(USED, "add-a-sink.md", "exec"), {})
    finally:
        sys.modules.pop("database", None)
    rows = sqlite3.connect("run.db").execute("SELECT step, value FROM run WHERE name = 'loss/total' ORDER BY step")
    assert rows.fetchall() == [
        (number, line["loss"]["total"])
        for number, line in enumerate((line for line in lines(tmp_path / "run") if "loss" in line), 1)
    ]
    assert "14,valid_nrmse," in (tmp_path / "run.csv").read_text()
