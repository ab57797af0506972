"""What is done to one file, whatever is in it, and whether the data may still come out."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.processes import make_device

HOLE = 2**40  # bytes of a file that takes none


@dataclass(frozen=True)
class Way:
    """`refused`: nothing but an error is right; else the data as they were are right too."""

    do: Callable[[Path], object]
    refused: bool = True
    nobody: bool = False  # to be tried by a user without rights


def cut(share: float) -> Callable[[Path], object]:
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def in_place(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def do(path: Path) -> None:
        path.unlink()
        make(path)

    return do


def a_socket(path: Path) -> None:
    there = os.open(path.parent, os.O_RDONLY)  # the path of a socket has at most 107 bytes
    before = os.getcwd()
    try:
        os.fchdir(there)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)
        os.close(there)


def noise(path: Path) -> None:
    """Its first bytes, then anything."""
    head = path.read_bytes()[:64]
    path.write_bytes(head + np.random.default_rng(len(head)).bytes(5000))


def zeroed(path: Path) -> None:
    with open(path, "r+b") as file:
        file.write(bytes(min(64, path.stat().st_size)))


def longer(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"\0" * 4096)


def lines(path: Path) -> None:
    """A line without end."""
    with open(path, "ab") as file:
        file.write(b"[" * 3_000_000)


def twice(path: Path) -> None:
    path.write_bytes(path.read_bytes() * 2)


WAYS: dict[str, Way] = {
    "empty": Way(cut(0)),
    "its first byte": Way(lambda p: os.truncate(p, 1)),
    "a third of it": Way(cut(1 / 3)),
    "all but a tenth": Way(cut(0.9), refused=False),
    "all but a byte": Way(lambda p: os.truncate(p, p.stat().st_size - 1), refused=False),
    "zeros behind it": Way(longer, refused=False),
    "a line without end behind it": Way(lines, refused=False),
    "twice": Way(twice, refused=False),
    "a hole behind it": Way(lambda p: os.truncate(p, HOLE), refused=False),
    "a hole": Way(in_place(lambda p: (p.touch(), os.truncate(p, HOLE)))),
    "noise behind its head": Way(noise),
    "its head is zero": Way(zeroed, refused=False),
    "a pipe": Way(in_place(os.mkfifo)),
    "a device": Way(in_place(make_device)),
    "a socket": Way(in_place(a_socket)),
    "a folder": Way(in_place(Path.mkdir)),
    "missing": Way(Path.unlink),
    "a link to nothing": Way(in_place(lambda p: p.symlink_to("nothing"))),
    "a link to itself": Way(in_place(lambda p: p.symlink_to(p.name))),
    "unreadable": Way(lambda p: p.chmod(0), nobody=True),
    "in a folder that cannot be entered": Way(lambda p: p.parent.chmod(0), nobody=True),
}
