"""What watches sees what it is to see."""

import os
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.faults.hostile.around import Around, wrong
from tests.faults.hostile.tryer import Tryer

ENDS_WITH_IT = """
import os, time
from tests.faults.hostile.tryer import end_with
parent, pid = os.getpid(), os.fork()
if pid == 0:
    end_with(parent)
    print(os.getpid(), flush=True)
time.sleep(600)
"""


def test_what_is_done_to_others_is_noticed(around: Around) -> None:
    around.watch()
    assert around.changes() == []
    for do, says in (
        (lambda: (around.others / "notes.txt").read_text(), "notes.txt was read"),
        (lambda: list((around.others / "folder").iterdir()), "folder was read"),
        (lambda: np.load(around.others / "u.npy", mmap_mode="r").sum(), "u.npy was read"),
        (lambda: (around.folder / "new").touch(), "new was made"),
        (lambda: os.utime(around.others / "u.h5"), "u.h5 was changed"),
        (lambda: shutil.rmtree(around.others / "folder"), "deep was removed"),
        (lambda: around.given.chmod(0o700), "given was changed"),
    ):
        around.watch()
        do()
        assert any(says in change for change in around.changes()), says
    around.watch()
    around.out.mkdir()
    (around.out / "x").touch()
    assert around.changes() == []


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import os; os.kill(os.getpid(), 11)", "ended by signal 11"),
        ("x = bytearray(1_200_000_000); x[::4096] = b'a' * len(x[::4096])", "took 1,2"),
        ("raise KeyError('a')", "ended by error: KeyError: 'a'"),
        ("print('\\x1b[1m')", r"printed \['\\x1b'\]"),
        ("import sys; print('a\\nb', file=sys.stderr); sys.exit(2)", "status 2"),
        ("import sys; sys.exit(1)", "status 1"),
        ("import time; time.sleep(9)", "ended by hang"),
        ("pass", "was taken"),
    ],
)
def test_how_a_case_ends_is_noticed(tryer: Tryer, code: str, says: str) -> None:
    answer = tryer("python", code, limit=0.5 if "sleep" in code else 60)
    assert any(re.search(says, line) for line in wrong(answer)), wrong(answer)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux' prctl")
def test_what_is_tried_ends_with_the_one_who_asked() -> None:
    """Killed, it cannot say so to the others."""
    with subprocess.Popen([sys.executable, "-c", ENDS_WITH_IT], stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        tried = int(asking.stdout.readline())
        os.kill(tried, 0)
        asking.kill()
    for _ in range(600):
        if gone(tried):
            return
        time.sleep(0.05)
    raise AssertionError(f"process {tried} goes on")


def gone(pid: int) -> bool:
    """It has ended; somebody may still have to take note of it."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
