"""A folder around what is tried: what in it was made, changed, removed or read is noticed."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.faults.hostile.tryer import GROWTH, LIMIT

LONG_AGO = 10**18  # ns: the time of the last read is set to this, and is another one after a read (relatime or not)
Entry = tuple[int, int, int, str]


class Around:
    """`given` is what a case is about, `out` what it may write, `others` what it must not even read.

    Attributes:
        mine: files of others, of kinds that links would lead to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.given, self.out = folder, folder / "given", folder / "out"
        self.others = folder / "others"
        self.others.mkdir(parents=True)
        self.given.mkdir()
        (self.others / "notes.txt").write_text("mine")
        np.save(self.others / "u.npy", np.ones((2, 3, 8, 8, 1), np.float32))
        with h5py.File(self.others / "u.h5", "w") as file:
            file["tensor"] = np.ones((3, 4, 8), np.float32)
            file["x-coordinate"], file["t-coordinate"] = np.arange(8.0), np.arange(4.0)
        (self.others / "folder" / "deep").mkdir(parents=True)
        (self.others / "folder" / "deep" / "dataset.json").write_text("{}")
        self.before: dict[str, Entry] = {}
        self.unread: list[Path] = []

    def watch(self) -> None:
        """From now on."""
        self.before = self._entries()
        self.unread = [self.others, *self.others.rglob("*")]
        for path in self.unread:
            os.utime(path, ns=(LONG_AGO, path.stat().st_mtime_ns))

    def changes(self) -> list[str]:
        """What happened to anything but `out` since `watch`."""
        there = [path for path in self.unread if path.exists()]
        read = [f"{path} was read" for path in there if path.stat().st_atime_ns != LONG_AGO]  # before it is listed here
        now = self._entries()
        made = [f"{name} was made" for name in now.keys() - self.before.keys()]
        gone = [f"{name} was removed" for name in self.before.keys() - now.keys()]
        changed = [f"{n} was changed" for n in now.keys() & self.before.keys() if now[n] != self.before[n]]
        return [*read, *made, *gone, *changed]

    def _entries(self) -> dict[str, Entry]:
        found = {}
        for folder, folders, names in os.walk(self.folder):
            if Path(folder) == self.folder and "out" in folders:
                folders.remove("out")
            for name in (*folders, *names):
                path = Path(folder, name)
                if path != self.out:
                    found[str(path)] = _entry(path)
        return found


def _entry(path: Path) -> Entry:
    status = os.lstat(path)
    content = ""
    if stat.S_ISREG(status.st_mode) and status.st_size < 2**24:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    return status.st_mode, status.st_size, status.st_mtime_ns, content


def wrong(answer: dict[str, Any], intact: str | None = None) -> list[str]:
    """What is wrong about how a case ended, nothing if it was refused in one line with status 2.

    Args:
        intact: a digest of what the input is worth; None: it must be refused.
    """
    found = []
    if answer["seconds"] > LIMIT:
        found.append(f"took {answer['seconds']:.1f} s")
    if answer["grown"] > GROWTH:
        found.append(f"took {answer['grown'] / 1e6:,.0f} MB")
    said = answer["stdout"] + answer["stderr"]
    if controls := sorted({c for c in said if not c.isprintable() and c != "\n"}):
        found.append(f"printed {controls}")
    if answer["ended"] != "done":
        return [*found, f"ended by {answer['ended']}: {answer.get('says', '')} {answer.get('at', '')[-600:]}"]
    if answer["status"] == 0:
        if intact is None:
            found.append("was taken")
        elif answer["digest"] != intact:
            found.append("other data came out")
    elif answer["status"] != 2 or not is_one_line(answer["stderr"]):
        found.append(f"status {answer['status']}, {answer['stderr']!r}")
    return found


def is_one_line(text: str) -> bool:
    """An error's, or typer's of an argument that it cannot read."""
    lines = text.splitlines()
    if lines and lines[0].startswith("Usage: "):
        return lines[-1].startswith("Error: ")
    return len(lines) == 1 and lines[0].startswith("error: ")
