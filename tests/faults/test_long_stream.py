"""Hours of streaming: every batch and state as predicted; memory, threads and descriptors flat.

The long form: `UPS_DATA_STREAM_MINUTES=60 pytest -m faults -s tests/faults/test_long_stream.py`; one core is enough.
Flat means, fixed before any run: between the first and the last tenth of the laps after warm-up (a tenth of them, at
least 8, in which schedules run out and pools fill), the median of the memory of all processes grows by at most 2 %, or
4 MB if that is more; processes, threads and descriptors are as many at the end of every lap.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

from tests.faults import streaming

MINUTES = float(os.environ.get("UPS_DATA_STREAM_MINUTES", "60"))
SUSPENDED = 1800  # seconds that a loaded machine may take longer; the program itself ends much sooner when it stalls
ROOT = Path(streaming.__file__).parents[2]


def test_a_stall_is_told() -> None:
    program = "import time; from tests.faults.stall import Watch; Watch(1.0); time.sleep(100)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "nothing has happened for 1 s" in ended.stderr
    assert 'File "<string>", line 1 in <module>' in ended.stderr


@pytest.mark.parametrize("minutes", [0.1, pytest.param(MINUTES, marks=pytest.mark.faults)])
def test_streaming_leaves_everything_flat(tmp_path: Path, minutes: float) -> None:
    """In a process of its own, which holds nothing of other tests'."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", streaming.__name__, str(tmp_path), str(minutes)]
    print(flush=True)
    subprocess.run(command, env=environment, check=True, timeout=60 * minutes + SUSPENDED)
    laps = json.loads((tmp_path / "laps.json").read_text())
    warm = laps[max(8, len(laps) // 10) :]
    tenth = max(1, len(warm) // 10)
    first, last = (median(lap["memory"] for lap in part) for part in (warm[:tenth], warm[-tenth:]))
    print(f"memory {first / 1e6:.1f} → {last / 1e6:.1f} MB: {(last - first) / 1e6:+.2f} MB, {last / first - 1:+.2%}")
    assert last - first <= max(0.02 * first, 4e6)
    for name in ("processes", "threads", "descriptors"):
        counts = {lap[name] for lap in warm}
        print(f"{name}: {sorted(counts)}")
        assert len(counts) == 1, name
