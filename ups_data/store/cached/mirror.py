"""The mirror of one object: a sparse file of its bytes, and a map beside it that says which chunks are there.

A chunk is marked as present after its bytes were written, so one that somebody was writing when he was killed never
is. If the machine itself goes down, the kernel may have kept the mark and lost the bytes: marks of another boot are
taken for doubtful, and such a chunk is compared with its checksum before it is used.
"""

import errno
import os
import secrets
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import crc32c
import numpy as np
from numpy.typing import NDArray

from ups_data.store.cached import locks
from ups_data.store.cached.holes import punch
from ups_data.store.cached.layout import Layout

# What a chunk is. Any but ABSENT takes room.
ABSENT, PRESENT, FILLING, DOUBTFUL, LEAVING = range(5)
NEVER = 1e9  # seconds

# Magic, boot, token, size of the object, chunks, crc32c of the layout. States follow, then the layout, then times.
_HEAD = struct.Struct("<8s36s8sqqI4x")
_MAGIC, _BOOT, _TOKEN = b"upscache", 8, 44
_CLAIMS = 1 << 40  # far behind the file's end: the bytes that are locked, one for each chunk


class BrokenMirrorError(Exception):
    """The files of a mirror were damaged, cut, removed or made again."""


class Mirror:
    """The files of a mirror, opened for each operation: a dataset may have more objects than a process may open files.

    Threads share it.

    Args:
        path: of the data; the map is beside it.
        layout: of the object; None: as the map says, for tools.

    Raises:
        BrokenMirrorError: there is none, or it is not whole, or not of that layout.
    """

    def __init__(self, path: Path, layout: Layout | None = None) -> None:
        self.path = path
        try:
            with opened(map_of(path)) as file:
                self.layout, self._token = _read(file, path, layout)
                _doubt_other_boots(file, len(self.layout))
        except (OSError, struct.error, ValueError) as error:
            raise BrokenMirrorError(str(error)) from None

    def states(self) -> NDArray[np.uint8]:
        """`(n,)`, what each chunk is now.

        Raises:
            BrokenMirrorError: the files are not those of this any more.
        """
        try:
            with opened(map_of(self.path), os.O_RDONLY) as file:
                return self._states(file)
        except OSError as error:
            raise BrokenMirrorError(str(error)) from None

    @contextmanager
    def changing(self) -> Iterator["Changes"]:
        """What a thread changes of the map; what it has claimed meanwhile it gives back as this ends.

        Raises:
            BrokenMirrorError: as `states`.
        """
        with opened(map_of(self.path)) as file:
            self._states(file)
            yield Changes(file, len(self.layout), self._states)

    def needed(self) -> NDArray[np.float64]:
        """`(n,)`, when each chunk is expected to be needed next, in seconds; see `use`."""
        with opened(map_of(self.path), os.O_RDONLY) as file:
            return _times(file, len(self.layout))[:, 1]

    def use(self, numbers: NDArray[np.int64]) -> None:
        """Chunks are used now.

        A chunk is expected again after as long as it was not used this time. One that was used for the first time is
        expected later than any other: in an epoch, which is in a random order, all others come before it comes again.
        """
        with opened(map_of(self.path)) as file:
            times, now = _times(file, len(self.layout)), time.time()
            last = times[numbers, 0]
            times[numbers, 1] = np.where(last > 0, 2 * now - last, now + NEVER)
            times[numbers, 0] = now
            os.pwrite(file, times.tobytes(), _places(len(self.layout))[1])

    def write(self, number: int, data: memoryview) -> None:
        """Put the bytes of a chunk in its place. Raises OSError if the disk is full."""
        start, written = int(self.layout.start[number]), 0
        with opened(self.path) as file:
            while written < len(data):
                written += os.pwrite(file, data[written:], start + written)

    def read(self, number: int) -> bytes:
        """The bytes of a chunk; fewer if the file was cut."""
        start, stop = int(self.layout.start[number]), int(self.layout.stop[number])
        with opened(self.path, os.O_RDONLY) as file:
            return os.pread(file, stop - start, start)

    def take_out(self, numbers: NDArray[np.int64]) -> None:
        """Punch holes where chunks lie, with the blocks that they share with absent neighbours.

        Raises:
            OSError: the file system has no holes.
        """
        gone, chosen = self.states() == ABSENT, np.zeros(len(self.layout), bool)
        gone[numbers] = chosen[numbers] = True
        run = np.flatnonzero(np.diff(np.concatenate([[0], gone.astype(np.int8), [0]])))
        with opened(self.path) as file:
            for first, end in zip(run[::2].tolist(), run[1::2].tolist(), strict=True):
                if chosen[first:end].any():
                    start = 0 if first == 0 else int(self.layout.stop[first - 1])
                    punch(file, start, self.layout.size if end == len(gone) else int(self.layout.start[end]))

    def _states(self, file: int) -> NDArray[np.uint8]:
        data = os.pread(file, _HEAD.size + len(self.layout), 0)
        if len(data) < _HEAD.size + len(self.layout) or data[_TOKEN : _TOKEN + 8] != self._token:
            raise BrokenMirrorError(f"{map_of(self.path)} was cut or made again")
        return np.frombuffer(data, np.uint8, offset=_HEAD.size)


class Changes:
    """A map that is open to be changed by one thread."""

    def __init__(self, file: int, count: int, states: Callable[[int], NDArray[np.uint8]]) -> None:
        self._file, self._count, self._states = file, count, states

    def states(self) -> NDArray[np.uint8]:
        """See `Mirror.states`."""
        return self._states(self._file)

    def mark(self, numbers: NDArray[np.int64] | list[int], state: int) -> None:
        """Chunks are something else now."""
        for number in numbers:
            os.pwrite(self._file, bytes([state]), _HEAD.size + int(number))

    def claim(self, number: int) -> bool:
        """Whether this thread may fill a chunk, or take it out: nobody else can until it gives it back or ends."""
        return locks.try_lock(self._file, _CLAIMS + number)

    def give_back(self, number: int) -> None:
        """A claim ends."""
        locks.unlock(self._file, _CLAIMS + number)


@contextmanager
def opened(path: Path, flags: int = os.O_RDWR) -> Iterator[int]:
    """A file's number, as long as it is needed. Links are not followed."""
    file = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield file
    finally:
        os.close(file)


def map_of(path: Path) -> Path:
    """The map beside a mirror's data."""
    return path.with_suffix(".map")


def make_mirror(path: Path, layout: Layout) -> None:
    """Make the files of a mirror that holds nothing yet, in the place of any that are there. One process at a time.

    Raises:
        OSError: they cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent.is_symlink():
        raise OSError(errno.ELOOP, "is a link, which is not followed", str(path.parent))
    remove_mirror(path)
    table = _table(layout)
    boot, token = boot_id(), secrets.token_bytes(8)
    head = _HEAD.pack(_MAGIC, boot, token, layout.size, len(layout), crc32c.crc32c(table)) + bytes(len(layout))
    content = (head + table).ljust(_places(len(layout))[1], b"\0") + bytes(16 * len(layout))
    with opened(path, os.O_RDWR | os.O_CREAT | os.O_EXCL) as file:
        os.ftruncate(file, layout.size)
    aside = map_of(path).with_suffix(".new")
    aside.unlink(missing_ok=True)
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb") as new:
        new.write(content)
    aside.replace(map_of(path))  # the map last: without one there is no mirror


def remove_mirror(path: Path) -> None:
    """Remove the files of a mirror, the map first: without one nobody takes the data for any."""
    for file in (map_of(path), path):
        file.unlink(missing_ok=True)


def boot_id() -> bytes:
    """Another one after each start of the machine."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_bytes()[:36]
    return bytes(36)


def _read(file: int, path: Path, expected: Layout | None) -> tuple[Layout, bytes]:
    """The layout and the token of a map. Raises OSError, ValueError, struct.error: it is not whole."""
    magic, _, token, size, count, crc = _HEAD.unpack(os.pread(file, _HEAD.size, 0))
    if magic != _MAGIC or not 0 < count < 1 << 32:
        raise ValueError(f"{map_of(path)} is damaged")
    at, times = _places(count)
    if os.fstat(file).st_size != times + 16 * count:  # before memory is taken for what it claims
        raise ValueError(f"{map_of(path)} is damaged")
    table = os.pread(file, 20 * count, at)
    if len(table) != 20 * count or crc32c.crc32c(table) != crc:
        raise ValueError(f"{map_of(path)} is damaged")
    if os.stat(path).st_size != size:
        raise ValueError(f"{path} was cut")
    if expected is not None and (_table(expected) != table or expected.size != size):
        raise ValueError(f"{map_of(path)} is of another object")
    start, stop = np.frombuffer(table[: 16 * count], np.int64).reshape(2, -1)
    if start[0] < 0 or stop[-1] > size or (stop <= start).any() or (start[1:] < stop[:-1]).any():
        raise ValueError(f"{map_of(path)} is damaged")
    return Layout(size, start, stop, np.frombuffer(table[16 * count :], np.uint32)), token


def _doubt_other_boots(file: int, count: int) -> None:
    """After a start of the machine, what was present is doubtful."""
    boot = boot_id().ljust(36, b"\0")
    if os.pread(file, 36, _BOOT) == boot or not locks.lock(file, _CLAIMS - 1):
        return
    if os.pread(file, 36, _BOOT) != boot:
        states = np.frombuffer(os.pread(file, count, _HEAD.size), np.uint8).copy()
        states[states == PRESENT] = DOUBTFUL
        os.pwrite(file, states.tobytes(), _HEAD.size)
        os.pwrite(file, boot, _BOOT)
    locks.unlock(file, _CLAIMS - 1)


def _places(count: int) -> tuple[int, int]:
    """Where the layout and the times begin in a map of so many chunks."""
    return _HEAD.size + count, -(-(_HEAD.size + 21 * count) // 8) * 8


def _table(layout: Layout) -> bytes:
    return layout.start.tobytes() + layout.stop.tobytes() + layout.crc.tobytes()


def _times(file: int, count: int) -> NDArray[np.float64]:
    """`(n, 2)`, when each chunk was used last, and when it is expected next."""
    data = os.pread(file, 16 * count, _places(count)[1])
    return np.frombuffer(bytearray(data.ljust(16 * count, b"\0")), np.float64).reshape(-1, 2)
