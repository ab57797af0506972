"""Evaluating a cloud takes the same memory, however large it is; predictions take no more as files of one format."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def peaks(tmp_path: Path, small: int, large: int, *options: str) -> list[dict[str, float]]:
    command = [sys.executable, ROOT / "benchmarks/evaluation/bench_memory.py", "--sizes", f"{small},{large}", *options]
    subprocess.run([*command, "--json", tmp_path / "r.json"], check=True, stdout=subprocess.DEVNULL)
    rows = json.loads((tmp_path / "r.json").read_text())
    assert [row["points"] for row in rows] == [small, large]
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [1, 16])
def test_five_million_points_take_what_one_million_take(tmp_path: Path, blocks: int) -> None:
    small, large = peaks(tmp_path, 1_000_000, 5_000_000, "--blocks", str(blocks))
    print({name: [f"{row[name] / 1e6:.0f} MB" for row in (small, large)] for name in ("own", "peak", "beyond")})
    assert large["beyond"] < 1.1 * small["beyond"]
    assert large["peak"] < 1.1 * small["peak"]


@pytest.mark.slow
def test_predictions_as_vtk_take_no_more_than_as_shards(tmp_path: Path) -> None:
    of = {kind: peaks(tmp_path, 1_000_000, 5_000_000, "--predict", kind)[1]["peak"] for kind in ("shards", "vtk")}
    print({kind: f"{peak / 1e6:.0f} MB" for kind, peak in of.items()})
    assert of["vtk"] < 1.1 * of["shards"]
