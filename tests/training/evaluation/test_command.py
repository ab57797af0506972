"""`ups-data evaluate`: the table, the file and the pictures."""

import json
from pathlib import Path

import pytest

from tests.cli.programs import invoke, printed
from ups_data.errors import UpsDataError


def test_a_rollout_in_a_table_a_file_and_pictures(waves_run: Path, tmp_path: Path) -> None:
    where = ("--json", tmp_path / "r.json", "--out", tmp_path / "out")
    text = printed("evaluate", waves_run, "--rollout", 3, "--chunk", 100, *where)
    assert all(len(line) <= 80 for line in text.splitlines() if "/" not in line)
    values = json.loads((tmp_path / "r.json").read_text())
    assert {"nrmse", "vrmse", "rel_l1", "rel_l2", "max_error", "points", "fields", "baselines", "steps"} <= set(values)
    assert values["points"] == 3 * 3 * 3 * 144
    for figure in (values["nrmse"], values["baselines"]["persistence"]["nrmse"], values["steps"][2]["nrmse"]):
        assert f"{figure:.4g}" in text
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == values
    for name in ("error-by-step.png", "frames-u.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_written_is_refused_first(waves_run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for arguments in (["--out", str(tmp_path / "file")], ["--json", str(tmp_path)], ["--json", str(tmp_path / "a/b")]):
        with pytest.raises(UpsDataError, match="name a"):
            invoke("evaluate", waves_run, *arguments)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]
