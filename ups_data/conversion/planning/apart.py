"""A plan that another process makes: a file that ends the library that reads it (vtk) ends that process, not this one.

It costs no reading: planning opens every trajectory anyway, and only the plan comes back.
"""

import faulthandler
import importlib
import os
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from ups_data.conversion.shard_plan import Plan
from ups_data.conversion.workers import end_with_parent, signals_deferred
from ups_data.sources.meshes import library
from ups_data.sources.meshes.apart.source import reading_here


def apart(make: Callable[[], Plan], path: Path) -> Plan:
    """What `make` returns or raises; in a forked process if the source at `path` is read by vtk.

    Raises:
        UpsDataError: a signal ended the process; the message names the file that it read last.
    """
    if not library.wanted:
        return make()
    importlib.import_module(library.LIBRARY)  # once, for both
    here, there = Pipe(duplex=False)
    alive, ours = os.pipe()
    with signals_deferred():
        child = os.fork()
        if child == 0:
            here.close()
            os.close(ours)
            _make(make, there, alive)
    there.close()
    os.close(alive)
    file, ended = path, False
    try:
        while True:
            kind, what = here.recv()
            if kind == "reading":
                file = what
            elif kind == "failed":
                raise what
            else:
                return what
    except EOFError:
        ended = True
    finally:
        here.close()
        os.close(ours)
        if not ended:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    raise library.ended(file, os.waitstatus_to_exitcode(status))


def _make(make: Callable[[], Plan], there: Connection, alive: int) -> None:
    """What the forked process does; it ends here."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # for the parent to act on
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        faulthandler.disable()  # the caller tells in one line
        threading.Thread(target=end_with_parent, args=(alive,), daemon=True).start()
        library.BEFORE_READING.append(lambda path: there.send(("reading", path)))
        try:
            with reading_here():
                there.send(("made", make()))
        except BaseException as error:
            try:
                there.send(("failed", error))
            except Exception:  # it cannot be pickled
                there.send(("failed", RuntimeError(traceback.format_exc())))
    finally:
        with suppress(BaseException):
            there.close()
        os._exit(0)
