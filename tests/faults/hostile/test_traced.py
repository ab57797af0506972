"""A sample of cases under strace: nothing is written, made or removed but in the folders that were named."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.datasets import write_grid
from tests.faults.hostile.around import Around
from tests.faults.hostile.sources import FILES, FOLDERS
from tests.faults.hostile.ways import WAYS

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]
ROOT = Path(__file__).parents[3]
OPENED = r"(?:open|openat|creat)\(.*O_(?:WRONLY|RDWR|CREAT|TRUNC)"
CHANGED = r"(?:mkdir|unlink|rmdir|rename|link|symlink|chmod|chown|truncate|mknod)\w*\("
CHANGES = re.compile(rf"^\d+ +(?:{OPENED}|{CHANGED})")
FROM = re.compile(r"\((?:AT_FDCWD|\d+)<([^>]*)>, ")
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
HARMLESS = ("/dev/null", "/dev/tty", "/dev/shm", "/proc/self/")


def touched(around: Around, *arguments: Any) -> tuple[int, list[str], list[str]]:
    """Status of a command; system calls that change something elsewhere, and those that open what is others'."""
    log, home = around.folder.parent / f"{around.folder.name}.strace", around.out / "home"
    home.mkdir(parents=True)
    env = {**os.environ, "HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = ["strace", "-f", "-y", "-e", "trace=file", "-o", str(log), sys.executable, "-m", "ups_data.cli"]
    done = subprocess.run([*command, *map(str, arguments)], cwd=ROOT, env=env, capture_output=True, timeout=600)
    if done.returncode not in (0, 1, 2) and b"ptrace" in done.stderr:
        pytest.skip("processes may not be traced here")
    lines = [line for line in log.read_text(errors="replace").splitlines() if " = -1 " not in line]
    elsewhere = []
    for line in lines:
        if CHANGES.match(line):
            base = FROM.search(line)
            paths = [Path(base[1] if base else ROOT, p) for p in QUOTED.findall(line)]
            elsewhere += [line for p in paths if not p.is_relative_to(around.out) and not str(p).startswith(HARMLESS)]
    opened = [line for line in lines if "open" in line.split("(")[0] and f'"{around.others}' in line]
    log.unlink()
    return done.returncode, elsewhere, opened


@pytest.mark.parametrize(
    ("name", "way"), [("npz", "twice"), ("darcy.pt", "a hole behind it"), ("vtu", "noise behind its head")]
)
def test_a_source(around: Around, name: str, way: str) -> None:
    FILES[name](around.given / "source")
    WAYS[way].do(around.given / "source")
    status, elsewhere, opened = touched(around, "convert", around.given / "source", "--out", around.out / "d")
    assert status in (0, 2)
    assert (elsewhere, opened) == ([], [])


@pytest.mark.parametrize("name", ["zarr", "cases"])
def test_a_link_out_of_a_source(around: Around, name: str) -> None:
    FOLDERS[name](around.given / "source")
    path = next(p for p in sorted((around.given / "source").rglob("*")) if p.is_file())
    path.unlink()
    path.symlink_to(around.others / "u.npy")
    status, elsewhere, opened = touched(around, "convert", around.given / "source", "--out", around.out / "d")
    assert (status, elsewhere, opened) == (2, [], [])


@pytest.mark.parametrize("command", ["inspect", "verify", "bench", "copy"])
def test_a_dataset(around: Around, command: str) -> None:
    write_grid(around.given / "d", steps=(5, 4))
    chunk = around.given / "d/train/shard-000000.zarr/fields/u/c/0/0/0/0"
    chunk.rename(around.others / "moved")
    chunk.symlink_to(around.others / "moved")
    more = {"bench": ["--seconds", "0.1"], "copy": [around.out / "copied"]}.get(command, [])
    status, elsewhere, opened = touched(around, command, around.given / "d", *more)
    assert status == {"inspect": 0, "verify": 1}.get(command, 2)
    assert (elsewhere, opened) == ([], [])


def test_it_is_seen(around: Around) -> None:
    np.save(around.given / "u.npy", np.ones((2, 3, 8, 8, 1), np.float32))
    status, elsewhere, _ = touched(around, "convert", around.given / "u.npy", "--out", around.others / "d")
    assert status == 0
    assert elsewhere != []
