"""The process that `tests.warm` forks programs from. It imports, starts no thread, and opens nothing itself."""

import atexit
import faulthandler
import gc
import json
import os
import runpy
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any, NoReturn

HEADER = 8  # bytes that tell how long a message is
FILES = 4  # that come with it: three for the program, and one for what is told of it


def preload() -> None:
    """What programs would import each."""
    import h5py  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import torch
    import zarr  # noqa: F401

    import ups_data.cli.main
    import ups_data.conversion.convert
    import ups_data.sources
    import ups_data.training
    import ups_data.training.loop  # noqa: F401

    os.fsync = lambda fd: None  # as in `conftest.py`
    torch.set_num_threads(1)
    threads = os.listdir("/proc/self/task")
    assert len(threads) == 1, "a process with threads may not be forked"


def serve(server: socket.socket) -> dict[str, Any]:
    """In each forked process, what it is to run; in this one it never returns."""
    while True:
        header, files, *_ = socket.recv_fds(server, HEADER, FILES)
        if not header:
            sys.exit()
        message = bytearray()
        size = int.from_bytes(header, "big")
        while len(message) < size:
            message += server.recv(size - len(message))
        if os.fork() == 0:
            server.close()
            watch(files)
            become(asked := json.loads(message), files)
            return asked
        for file in files:
            os.close(file)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def watch(files: list[int]) -> None:
    """Fork once more; the parent tells which process that was, and how it ends."""
    if (pid := os.fork()) == 0:
        return
    *others, told = files
    for file in others:
        os.close(file)
    os.write(told, b"%d\n" % pid)
    status = os.waitpid(pid, 0)[1]
    with suppress(BrokenPipeError):
        os.write(told, b"%d\n" % status)
    os._exit(0)


def become(asked: dict[str, Any], files: list[int]) -> None:
    """Make this process look as if it were started so."""
    os.setsid()
    *standard, told = files
    os.close(told)
    for number, file in enumerate(standard):
        os.dup2(file, number)
    os.closerange(3, max(files) + 1)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    added = [entry for entry in asked["env"].get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[0:1] = added


def run(command: list[str]) -> None:
    """As the interpreter does with what follows `python`."""
    if command[:2] == ["-X", "faulthandler"]:
        faulthandler.enable()
        command = command[2:]
    kind, *rest = command
    if kind == "-m":
        sys.argv = rest
        sys.path.insert(0, os.getcwd())
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.path.insert(0, "")
        sys.modules["__main__"] = main = ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)
    else:
        sys.argv = command
        sys.path.insert(0, os.path.dirname(kind))
        runpy.run_path(kind, run_name="__main__")


def end(program: Callable[[list[str]], None], command: list[str]) -> NoReturn:
    """Run a program, and end as the interpreter does, but for taking down a thousand modules, which costs a second."""
    status = 0
    try:
        program(command)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        status = 130 if isinstance(error, KeyboardInterrupt) else 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        preload()
    gc.freeze()  # what is never walked stays shared with the processes that are forked
    end(run, serve(socket.socket(fileno=int(sys.argv[1])))["command"])
