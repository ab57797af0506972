"""`ups-data evaluate`: the table, the file and the pictures."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.programs import invoke, printed
from ups_data.cli.drawings.evaluation import plot_frames
from ups_data.errors import UpsDataError
from ups_data.training.evaluation.kept import KeptFrame


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


@pytest.mark.parametrize("units", ["$\\frac{", "$$", "$\\includegraphics{x}$", "\x1b[1m" * 100])
def test_units_are_no_formulas(tmp_path: Path, units: str) -> None:
    frame = KeptFrame(np.random.default_rng(0).random((9, 2)), np.arange(9.0), np.ones(9), None, 0.5)
    plot_frames("u", {0: frame}, units, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_written_is_refused_first(waves_run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for arguments in (["--out", str(tmp_path / "file")], ["--json", str(tmp_path)], ["--json", str(tmp_path / "a/b")]):
        with pytest.raises(UpsDataError, match="name a"):
            invoke("evaluate", waves_run, *arguments)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


@pytest.mark.slow
def test_under_torchrun_it_says_once_what_one_process_says(waves_run: Path, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
    launch += ["--rdzv-endpoint", "localhost:0", "-m", "ups_data.cli", "evaluate", str(waves_run)]
    done = subprocess.run([*launch, "--json", str(tmp_path / "r.json")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("predicted by") == 1
    printed("evaluate", waves_run, "--json", tmp_path / "one.json")
    found, expected = (json.loads((tmp_path / name).read_text()) for name in ("r.json", "one.json"))
    assert found["nrmse"] == pytest.approx(expected["nrmse"], rel=1e-6)
    assert (found["samples"], found["points"]) == (expected["samples"], expected["points"])
