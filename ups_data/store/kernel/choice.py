"""Whether the files of a folder are better mapped or read: measured where they lie on a network file system."""

import os
import time
from pathlib import Path
from typing import Literal

import numpy as np

from ups_data import _native as built
from ups_data.store.kernel import advice

LocalIO = Literal["map", "read"]

# Types as in /proc/self/mountinfo. Only there a map may be slow, or show what others have replaced long ago.
NETWORK = (
    "nfs",
    "cifs",
    "smb",
    "fuse",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "9p",
    "afs",
    "orangefs",
    "gluster",
    "virtiofs",
)
RANGES, RANGE_BYTES = 16, 64 * 1024  # of each trial
LOOKED_AT = 2000  # entries of folders, for a file that is large enough
WORTH = 1.25  # a map costs no copy: reading has to be so much faster


def choose_io(root: Path) -> LocalIO:
    """`"map"` on local disks; elsewhere what is faster for a few ranges of a file of the folder.

    Where nothing can be measured, as the folder holds only small files, files are mapped. Without the native module
    nothing is mapped, and nothing measured: files are read when they are needed, unless "read" is asked for.
    """
    if built.native is None or not file_system(root).startswith(NETWORK):
        return "map"
    path = _large_file(root)
    if path is None:
        return "map"
    try:
        return "read" if mapping_seconds(path) > WORTH * reading_seconds(path) else "map"
    except OSError:
        return "map"


def file_system(path: Path) -> str:
    """The type of the file system that a path is on, as `ext4` or `nfs4`; empty: not known."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        real = os.path.realpath(path)
    except OSError:
        return ""
    kinds: dict[str, str] = {}
    for line in mounts:  # … root, mount point, options, …, " - ", type, source, …
        place, _, after = line.partition(" - ")
        point = place.split()[4].encode().decode("unicode_escape")
        if real == point or real.startswith(point.rstrip("/") + "/"):
            kinds[point] = after.split()[0]
    return kinds[max(kinds, key=len)] if kinds else ""


def reading_seconds(path: Path) -> float:
    """That reading a few ranges of a file takes, the odd ones of many."""
    begun = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        starts = _starts(os.fstat(file.fileno()).st_size)[1::2]
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        for start in starts:
            os.posix_fadvise(file.fileno(), start, RANGE_BYTES, os.POSIX_FADV_WILLNEED)
        for start in starts:
            os.pread(file.fileno(), RANGE_BYTES, start)
    return time.perf_counter() - begun


def mapping_seconds(path: Path) -> float:
    """That mapping the file and touching as many others takes, the even ones."""
    assert built.native is not None
    begun = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        data = memoryview(built.native.Map(file.fileno(), size))
    address, start = advice.address_of(data), np.array(_starts(size)[::2], np.int64)
    advice.read_nothing_else(address, size)
    advice.will_need(address + start, address + start + RANGE_BYTES)
    for first in start.tolist():
        bytes(data[first : first + RANGE_BYTES])
    return time.perf_counter() - begun


def _starts(size: int) -> list[int]:
    return [int(s) for s in np.linspace(0, size - RANGE_BYTES, 2 * RANGES)]


def _large_file(root: Path) -> Path | None:
    """A file that has room for all ranges, found without looking at everything."""
    looked_at = 0
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            path, looked_at = Path(folder, name), looked_at + 1
            if path.is_file() and not path.is_symlink() and path.stat().st_size >= 4 * RANGES * RANGE_BYTES:
                return path
        if looked_at > LOOKED_AT:
            return None
    return None
