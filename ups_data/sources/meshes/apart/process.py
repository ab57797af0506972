"""The process that reads, seen from the one that asks. There is one, started when it is first asked, and kept."""

import atexit
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.sources.lazy import LazyArray
from ups_data.sources.meshes.library import ended
from ups_data.trajectory import Trajectory

# What it runs. Its argument: the descriptor of its connection.
PROGRAM = """
import sys
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
sys.path[:] = connection.recv()
from ups_data.sources.meshes.apart.serving import serve
serve(connection)
"""


class Opened:
    """A source that the other process has open, and opens again if it has to."""

    def __init__(self, source: Source) -> None:
        self._key, self._path = uuid.uuid4().hex, source.path
        self._spec = type(source), source.path, source.options

    def trajectory(self) -> Trajectory:
        """Its trajectory, whose lazy arrays ask that process for their rows."""
        found: Trajectory = self._ask(None)
        return found

    def _rows(self, index: int, start: int, stop: int) -> np.ndarray:
        rows: np.ndarray = self._ask((index, start, stop))
        return rows

    def _ask(self, wanted: tuple[int, int, int] | None) -> Any:
        with _process_for(self._path) as process:
            answer = process.ask((os.getcwd(), self._key, self._spec, wanted), self._path)
        return _Unpacked(answer, self._rows).load()


class _Unpacked(pickle.Unpickler):
    """What `serving.packed` made: in place of each lazy array, one that asks."""

    def __init__(self, data: bytes, rows: Any) -> None:
        super().__init__(io.BytesIO(data))
        self._rows = rows

    def persistent_load(self, stub: Any) -> LazyArray:
        index, shape, dtype = stub
        return LazyArray(shape, dtype, partial(self._rows, index))


class _Process:
    """It ends with its connection, and so with this process."""

    def __init__(self, path: Path) -> None:
        self._connection, there = Pipe()
        command = [sys.executable, "-P", "-c", PROGRAM, str(there.fileno())]
        quiet: dict[str, Any] = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}
        try:
            # A group of its own: Ctrl-C is for this process to act on.
            self._process = subprocess.Popen(command, **quiet, pass_fds=(there.fileno(),), process_group=0)
        except OSError as error:
            self._connection.close()
            raise UpsDataError(
                f"{path}: the process that would read it cannot be started ({error.strerror or error}): end others, "
                "and try again"
            ) from None
        finally:
            there.close()
        with suppress(ConnectionError):
            self._connection.send(sys.path)

    def ask(self, request: Any, path: Path) -> bytes:
        """The answer, packed.

        Raises:
            UpsDataError: the process has ended over it.
        """
        file = path
        try:
            self._connection.send(request)
            kind, what = self._connection.recv()
            while kind == "reading":
                file = what
                kind, what = self._connection.recv()
            if kind == "made":
                return self._connection.recv_bytes()
        except (EOFError, ConnectionError):
            raise ended(file, self.close()) from None
        except BaseException:  # such as Ctrl-C: half an answer may lie in the connection
            self.close()
            raise
        raise what

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not self._connection.closed and self._process.poll() is None

    def close(self) -> int:
        """End it; returns its status as `subprocess` gives it."""
        self._connection.close()
        with suppress(subprocess.TimeoutExpired):  # it ends by itself, unless it reads
            return self._process.wait(1)
        self._process.kill()
        return self._process.wait()

    def forget(self) -> None:
        """What a forked process does with its parent's."""
        self._connection.close()
        self._process.returncode = -signal.SIGKILL  # not a child of this one


_lock = threading.RLock()
_process: _Process | None = None


@contextmanager
def _process_for(path: Path) -> Iterator[_Process]:
    """The process, for this thread alone; a new one if there is none, or if it has ended in the meantime."""
    global _process
    with _lock:
        if _process is None or not _process.alive:
            _close()
            _process = _Process(path)
        yield _process


def _close() -> None:
    global _process
    process, _process = _process, None
    if process is not None:
        process.close()


def _in_child() -> None:
    global _process, _lock
    process, _process, _lock = _process, None, threading.RLock()
    if process is not None:
        process.forget()


atexit.register(_close)
os.register_at_fork(after_in_child=_in_child)
