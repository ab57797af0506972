"""Random changes of everything that is read: no signal, no traceback, no growth.

`UPS_FUZZ_SECONDS=3600 python -m pytest -m faults -s tests/faults/hostile/test_fuzz.py` tries for an hour in all.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.hostile.fuzzed import TARGETS, wrong_with

SECONDS = float(os.environ.get("UPS_FUZZ_SECONDS", 10 * len(TARGETS)))
FIRST = int(os.environ.get("UPS_FUZZ_FIRST", 10_000))
# vtk may end the process, as a damaged file of it may end a conversion's planning process; zarr takes its time.
OF_VTK = ("vtk", "vtu", "openfoam", "ensight", "cgns", "vtkhdf", "blocks", "series")
NOT_HERE = (*OF_VTK, "zarr", "zarr2", "domino", "noether")
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("target", [t for t in TARGETS if t not in NOT_HERE])
def test_a_few(tmp_path: Path, target: str) -> None:
    """In this process: no signal is to be feared of them any more."""
    for number in range(2):
        assert wrong_with(TARGETS[target], tmp_path, number) is None, number


@pytest.mark.faults
@pytest.mark.parametrize("target", TARGETS)
def test_for_long(tmp_path: Path, target: str) -> None:
    share = SECONDS / len(TARGETS)
    command = [sys.executable, "-m", "tests.faults.hostile.fuzzed", tmp_path, target, str(FIRST), str(share)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3 * share + 7200)
    case, wrong = (tmp_path / "case").read_text(), tmp_path / "wrong"
    assert done.returncode >= 0, f"{target} {case}: signal {-done.returncode}"
    assert not wrong.exists(), wrong.read_text()[:3000]
    assert done.returncode == 0, done.stderr[-2000:]
    print(f"\n{target}: {(tmp_path / 'done').read_text()}")


def test_what_is_wrong_is_noticed(tmp_path: Path) -> None:
    def raises(folder: Path, draw: random.Random) -> None:
        raise KeyError("odd")

    assert "KeyError: 'odd'" in (wrong_with(raises, tmp_path, 0) or "")
