"""Python programs that start without importing anything: forked from a process that has imported what they need.

To import torch, zarr and matplotlib costs a program two to four seconds of a processor, which most tests of programs do
not ask about. A program that is started here is a process like any other, with arguments, environment, folder, output,
exit status and a session of its own; only what it imports is there already, numerical libraries use one thread, and at
its end modules are not taken down. Tests of what a program imports, of its memory, and of how the interpreter itself
begins and ends start one with `subprocess`.
"""

import array
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from tests import warm_server

ROOT = Path(__file__).parents[1]


class Popen:
    """A program under way: the part of `subprocess.Popen` that tests use.

    Args:
        command: what follows `python` on a command line: a script, `-m` and a module, or `-c` and code, and arguments.
        stdin: a file for it; None: an empty one. So are `stdout` and `stderr`; None: thrown away.
        env: None: that of this process.
        cwd: None: that of this process.
    """

    def __init__(
        self,
        command: Sequence[object],
        *,
        stdin: IO[Any] | int | None = None,
        stdout: IO[Any] | int | None = None,
        stderr: IO[Any] | int | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> None:
        self.args = [str(part) for part in command]
        self.returncode: int | None = None
        asked = {"command": self.args, "env": dict(os.environ if env is None else env), "cwd": str(cwd or os.getcwd())}
        ours, theirs = os.pipe()
        with open(os.devnull, "r+b") as nothing:
            files = [nothing.fileno() if file is None else _number(file) for file in (stdin, stdout, stderr)]
            try:
                _ask(json.dumps(asked).encode(), [*files, theirs])
            finally:
                os.close(theirs)
        self._told = os.fdopen(ours, "r")
        self.pid = int(self._told.readline())

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, negative for a signal.

        Raises:
            TimeoutExpired: it has not ended after so many seconds.
        """
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = os.waitstatus_to_exitcode(int(self._told.readline()))
            self._told.close()
        return self.returncode

    def poll(self) -> int | None:
        """The exit status, None if it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        """Send it, unless the program has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def run(
    command: Sequence[object],
    *,
    input: str = "",
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    timeout: float | None = 600,
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """A program from its start to its end, as `subprocess.run` with captured text; see `Popen`."""
    with (
        tempfile.TemporaryFile("w+") as given,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        given.write(input)
        given.seek(0)
        process = Popen(command, stdin=given, stdout=out, stderr=err, env=env, cwd=cwd)
        try:
            status = process.wait(timeout)
        finally:
            process.kill()
        printed, errors = (file.seek(0) or file.read() for file in (out, err))
    if check and status:
        raise AssertionError(f"{process.args} ended with {status}: {errors}")
    return subprocess.CompletedProcess(process.args, status, printed, errors)


def _number(file: IO[Any] | int) -> int:
    return file if isinstance(file, int) else file.fileno()


@cache
def _server(of: int) -> socket.socket:
    """The process that programs are forked from, started when the first one is; it ends with the process `of`."""
    ours, theirs = socket.socketpair()
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    own = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg", "PYTHONPATH": path}
    with theirs, open(os.devnull) as nothing:
        subprocess.Popen(
            [sys.executable, warm_server.__file__, str(theirs.fileno())],
            stdin=nothing,
            env={**os.environ, **own},
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return ours


def _ask(message: bytes, files: list[int]) -> None:
    server = _server(os.getpid())
    passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
    server.sendmsg([len(message).to_bytes(warm_server.HEADER, "big")], passed)
    server.sendall(message)
