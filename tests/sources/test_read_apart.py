"""Files that end the library that reads them, opened by somebody's own process: one line, and it goes on."""

import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.faults.hostile.mutations import changed
from tests.faults.hostile.sources import FILES, FOLDERS
from tests.sources.misread import Misread
from ups_data import UpsDataError
from ups_data.sources import open_source
from ups_data.sources.meshes.apart import process
from ups_data.sources.meshes.apart.source import reading_here

pytest.importorskip("vtk", reason="needs vtk: pip install 'ups_data[mesh]'")
# Found at random: vtk 9.7 ends at them. Format → the number of the change, and what is opened in its folder.
ENDS = {"openfoam": (10007, ""), "blocks": (10113, "s.vtm"), "ensight": (10009, "a.case"), "cgns": (11695, "")}


def of(tmp_path: Path, text: str) -> Misread:
    (tmp_path / "a").write_text(text)
    return Misread(tmp_path / "a")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.faults] if n != "openfoam" else []) for n in ENDS])
def test_files_that_did(tmp_path, name):
    number, entry = ENDS[name]
    draw, path = random.Random(number), tmp_path / "source"
    if name in FOLDERS:
        FOLDERS[name](path)
        file = draw.choice([found for found in sorted(path.glob("**/*")) if found.is_file()])
        draw.random()  # whether it would have been changed as JSON
    else:
        FILES[name](path)
        file = path
    file.write_bytes(changed(file.read_bytes(), draw))
    with pytest.raises(UpsDataError, match=r"source.* ends the library that reads it") as error:
        open_source(path / entry)[0]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("signal", r"a: ends the library that reads it \(SIGABRT\)"),
        pytest.param("exit", r"a: ends the library that reads it \(status 255\)", marks=pytest.mark.faults),
        ("memory", "a: takes more memory than there is"),
        pytest.param("loop", "a: takes the library that reads it far more time", marks=pytest.mark.faults),
    ],
)
def test_what_a_file_may_do(tmp_path, does, says):
    with pytest.raises(UpsDataError, match=says):
        of(tmp_path, does)[0]
    assert of(tmp_path, "")[0].fields["pid"][0] != os.getpid()


def test_other_errors_come_back(tmp_path):
    with pytest.raises(KeyError, match="a"):
        of(tmp_path, "raise")[0]


def test_rows_are_read_by_that_process(tmp_path):
    t = of(tmp_path, "")[0]
    [pid] = np.unique(t.fields["pid"][:])
    assert pid != os.getpid()
    with reading_here():
        assert of(tmp_path, "")[0].fields["pid"][0] == os.getpid()
    os.kill(pid, signal.SIGKILL)
    while process._process.alive:
        time.sleep(0.01)
    again = np.unique(pickle.loads(pickle.dumps(t)).fields["pid"][1:])  # opened anew
    assert again not in (pid, os.getpid())
    assert t.fields["pid"][2] == again
    for _ in range(5):  # more than stay open
        of(tmp_path, "")[0]
    assert t.fields["pid"][2] == again


def test_threads_take_turns(tmp_path):
    t, found = of(tmp_path, "")[0], []
    threads = [threading.Thread(target=lambda: found.append(t.fields["pid"][0].item())) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.faults
def test_a_forked_process_has_its_own(tmp_path):
    t = of(tmp_path, "")[0]
    pid = t.fields["pid"][0].item()
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(there, str(t.fields["pid"][0].item()).encode())
        os._exit(0)
    other = int(os.read(here, 20))
    os.waitpid(child, 0)
    assert other not in (pid, os.getpid())
    assert t.fields["pid"][0] == pid


def test_it_ends_with_the_one_who_asks(tmp_path):
    of(tmp_path, "")
    path = str(tmp_path / "a")
    code = f"from tests.sources.misread import Misread; print(Misread({path!r})[0].fields['pid'][0, 0, 0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for _ in range(200):
        if not Path(f"/proc/{int(done.stdout)}").exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"process {done.stdout} goes on")
