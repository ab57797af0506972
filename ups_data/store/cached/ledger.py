"""What the mirrors of a folder take together, who may change that, and who reads them now.

Room is reserved before anything is fetched, so the bound holds at every moment. A chunk that takes its leave is first
marked, then everybody who may have seen it before is waited for, and only then its bytes go: as in read-copy-update.
Readers lock one of two bytes, whichever is current; who removes something makes the other one current and waits until
nobody has the former one any more. The kernel takes locks back from the dead.
"""

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ups_data.store.cached import locks
from ups_data.store.cached.mirror import ABSENT, FILLING, LEAVING, BrokenMirrorError, Mirror, remove_mirror

OBJECTS, LEDGER = "objects", "ledger"
_USED, _CURRENT = 0, 8  # places in the ledger: bytes in use, and which of two bytes readers lock
_CHANGES, _READERS, _USERS = 1 << 20, (1 << 20) + 1, (1 << 20) + 8  # bytes that are locked
PATIENCE = 20.0  # seconds that readers may take
SHARE = 32  # of the bound that is made free at once: looking at all mirrors costs time


def check_own(folder: Path, path: Path) -> None:
    """A folder of a cache lies in it: whoever has handed it over may have put a link in its place.

    Raises:
        OSError: it is a link, which is not followed.
    """
    if os.path.realpath(path) != os.path.join(os.path.realpath(folder), path.relative_to(folder)):
        raise OSError(errno.ELOOP, f"{path.name} is a link, which is not followed", str(folder))


class Ledger:
    """The books of a cache's folder. Threads share it.

    Raises:
        OSError: the folder cannot be made or written to, or its file system has no locks.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.objects = folder, folder / OBJECTS
        self.objects.mkdir(parents=True, exist_ok=True)
        check_own(folder, self.objects)
        self._file = os.open(folder / LEDGER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            os.close(self._file)
            raise OSError(errno.EINVAL, f"{LEDGER} is no regular file", str(folder))
        self._lock, self._mine = threading.RLock(), threading.local()
        with self.changing():
            alone = locks.try_lock(self._file, _USERS)
            if alone:  # nobody else: what a kill has left unbooked is found
                self._recount()
        locks.lock(self._file, _USERS, shared=True)  # becomes shared, where it was exclusive

    @property
    def used(self) -> int:
        """Bytes that are reserved or taken."""
        return int.from_bytes(os.pread(self._file, 8, _USED), "little", signed=True)

    def room_of_disk(self) -> int:
        """Nine tenths of what is free on the disk, and of what the mirrors take of it."""
        disk = os.statvfs(self.folder)
        return (disk.f_bavail * disk.f_frsize + self.used) * 9 // 10

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody else reserves, frees or makes anything meanwhile."""
        with self._lock:
            if not locks.lock(self._file, _CHANGES, seconds=2 * PATIENCE):
                raise OSError(f"{self.folder} is locked by another process that does not go on")
            try:
                yield
            finally:
                locks.unlock(self._file, _CHANGES)

    def reserve(self, mirror: Mirror, numbers: list[int], bound: int) -> list[int]:
        """Claimed chunks that may be fetched, as there is room for them: they are FILLING, and count. Others get none.

        Args:
            bound: of all mirrors together, in bytes.
        """
        room = mirror.layout.room
        with self.changing(), mirror.changing() as changes:
            wanted = int(room[numbers].sum())
            if wanted > bound - self.used:
                self._make_room(bound, min(bound, max(wanted, bound // SHARE)))
            granted, used = [], self.used
            for number in numbers:
                if used + int(room[number]) <= bound:
                    used += int(room[number])
                    granted.append(number)
            self._book(used)  # before they are marked: if this process is killed in between, too much is booked
            changes.mark(granted, FILLING)
        return granted

    def release(self, mirror: Mirror, numbers: list[int]) -> None:
        """Reserved chunks that were not filled."""
        with self.changing(), mirror.changing() as changes:
            with suppress(OSError):
                mirror.take_out(np.array(numbers, np.int64))
            changes.mark(numbers, ABSENT)
            self._book(self.used - int(mirror.layout.room[numbers].sum()))

    def take_out(self, mirror: Mirror, numbers: list[int]) -> None:
        """Take chunks out that somebody had begun to take out, who was killed."""
        with self.changing():
            self._take_out(mirror, np.array(numbers, np.int64))

    def mirrors(self) -> Iterator[Mirror]:
        """All that are whole; those that are not are removed."""
        own = [folder for folder in self.objects.iterdir() if folder.is_dir() and not folder.is_symlink()]
        for path in sorted(path for folder in own for path in folder.glob("*.data")):
            try:
                yield Mirror(path)
            except BrokenMirrorError:
                remove_mirror(path)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is present now, and nothing else, stays where it is until this ends, for this thread."""
        file = getattr(self._mine, "file", None)
        if file is None:
            file = self._mine.file = _File(self._file)
        while True:
            current = self._current()
            locks.lock(file.number, _READERS + current, shared=True)
            if self._current() == current:
                break
            locks.unlock(file.number, _READERS + current)
        try:
            yield
        finally:
            locks.unlock(file.number, _READERS + current)

    def empty(self) -> int:
        """Take out everything that nobody fills, and wait for those who read it; the bytes that were in use."""
        with self.changing():
            before = self.used
            for mirror in self.mirrors():
                self._take_out(mirror, np.flatnonzero(mirror.states() != ABSENT))
                if not mirror.states().any():
                    remove_mirror(mirror.path)
            return before

    def _current(self) -> int:
        return os.pread(self._file, 1, _CURRENT) == b"\1"

    def _book(self, used: int) -> None:
        os.pwrite(self._file, max(0, used).to_bytes(8, "little", signed=True), _USED)

    def _recount(self) -> None:
        self._book(sum(int(m.layout.room[m.states() != ABSENT].sum()) for m in self.mirrors()))

    def _make_room(self, bound: int, size: int) -> None:
        """Take out what is needed latest, as far as is known, until so many bytes are free."""
        mirrors: list[Mirror] = []
        times, numbers, which = [], [], []
        for mirror in self.mirrors():
            states = mirror.states()
            there = np.flatnonzero(states != ABSENT)
            # What somebody has begun to take out, and was killed, goes first.
            times.append(np.where(states[there] == LEAVING, np.inf, mirror.needed()[there]))
            numbers.append(there)
            which.append(np.full(len(there), len(mirrors)))
            mirrors.append(mirror)
        if not mirrors:
            return
        order = np.argsort(-np.concatenate(times), kind="stable")
        number, of = np.concatenate(numbers)[order], np.concatenate(which)[order]
        room = np.concatenate([m.layout.room[n] for m, n in zip(mirrors, numbers, strict=True)])[order]
        missing = size - (bound - self.used)
        enough = int(np.searchsorted(np.cumsum(room), missing)) + 1
        for first in np.unique(of[:enough]).tolist():
            self._take_out(mirrors[first], number[:enough][of[:enough] == first])

    def _take_out(self, mirror: Mirror, numbers: NDArray[np.int64]) -> None:
        """Chunks go that nobody fills, once nobody can see them any more."""
        with suppress(BrokenMirrorError), mirror.changing() as changes:
            claimed = np.array([n for n in numbers.tolist() if changes.claim(n)], np.int64)
            if not len(claimed):
                return
            before = changes.states()
            changes.mark(claimed, LEAVING)
            gone = self._nobody_reads()
            if gone:
                try:
                    mirror.take_out(claimed)
                except OSError:  # no holes in this file system: nothing can leave
                    gone = False
            for number in claimed.tolist():
                changes.mark([number], ABSENT if gone else int(before[number]))
                changes.give_back(number)
            if gone:
                self._book(self.used - int(mirror.layout.room[claimed].sum()))

    def _nobody_reads(self) -> bool:
        """Wait for those who began to read before this; False if they take too long."""
        former = self._current()
        os.pwrite(self._file, bytes([not former]), _CURRENT)
        if not locks.lock(self._file, _READERS + former, seconds=PATIENCE):
            return False
        locks.unlock(self._file, _READERS + former)
        return True

    def __del__(self) -> None:
        with suppress(OSError, AttributeError):
            os.close(self._file)


class _File:
    """An opening of the ledger that is one thread's own: its locks end with it."""

    def __init__(self, file: int) -> None:
        self.number = os.open(f"/proc/self/fd/{file}", os.O_RDWR | os.O_CLOEXEC)  # even of one that was removed

    def __del__(self) -> None:
        with suppress(OSError, AttributeError):
            os.close(self.number)
