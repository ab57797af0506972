"""The process that reads, seen from inside: it opens sources and reads rows of their arrays until nobody asks.

Time of a processor and memory are limited for each answer, so that a damaged file can neither hold it forever nor fill
the machine; the kernel ends the process then.
"""

import importlib
import io
import os
import pickle
import resource
import signal
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ups_data.sources.lazy import LazyArray
from ups_data.sources.limits import BELIEVED
from ups_data.sources.meshes import library
from ups_data.sources.meshes.apart.source import VtkRead

KEPT = 4  # sources that stay open
SECONDS, BYTES_PER_SECOND = 8.0, 100_000  # of a processor: for any source, and for each so many of its bytes
ROOM = 3 * BELIEVED  # bytes that any source may take
MOST_FILES = 100_000  # that are counted
Kept = dict[str, tuple[VtkRead, list[LazyArray]]]  # what is open, by key


def serve(connection: Connection) -> None:
    """Answer until the connection ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    library.BEFORE_READING.append(lambda path: connection.send(("reading", path)))
    with suppress(ImportError):
        importlib.import_module(library.LIBRARY)  # before time is limited
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    kept: Kept = {}
    with suppress(EOFError, ConnectionError):
        while True:
            folder, key, spec, wanted = connection.recv()
            try:
                with suppress(OSError):
                    os.chdir(folder)
                answer = _answer(kept, key, spec, wanted)
            except MemoryError:
                _tell(connection, library.too_large(spec[1]))
            except BaseException as error:
                _tell(connection, error)
            else:
                connection.send(("made", None))
                connection.send_bytes(answer)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)


def _tell(connection: Connection, error: BaseException) -> None:
    try:
        connection.send(("failed", error))
    except (EOFError, ConnectionError):
        raise
    except Exception:  # it cannot be pickled
        connection.send(("failed", RuntimeError(traceback.format_exc())))


def _answer(kept: Kept, key: str, spec: Any, wanted: tuple[int, int, int] | None) -> bytes:
    """The trajectory, or rows of one of its arrays; it is opened if it is not there, or not any more."""
    if key in kept:
        _limit(kept[key][0])
    else:
        kind, path, options = spec
        source: VtkRead = kind(path, options)
        _limit(source)
        trajectory, arrays = packed(source.read())
        while len(kept) >= KEPT:
            del kept[next(iter(kept))]
        kept[key] = source, arrays
        if wanted is None:
            return trajectory
    assert wanted is not None  # a key is new with each question for a trajectory
    index, start, stop = wanted
    return packed(kept[key][1][index][start:stop])[0]


def packed(value: object) -> tuple[bytes, list[LazyArray]]:
    """Pickled, with (place in the list, shape, dtype) for each lazy array, and these arrays."""
    arrays: list[LazyArray] = []
    file = io.BytesIO()

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            if not isinstance(obj, LazyArray):
                return None
            arrays.append(obj)
            return len(arrays) - 1, obj.shape, obj.dtype

    Pickler(file, pickle.HIGHEST_PROTOCOL).dump(value)
    return file.getvalue(), arrays


def _limit(source: VtkRead) -> None:
    """What the source may take from now on, by the bytes that are there. What leads anywhere is trusted."""
    if source.options.allow_links:
        return
    there = bytes_in(source.place)
    signal.setitimer(signal.ITIMER_PROF, SECONDS + there / BYTES_PER_SECOND)  # whose signal ends the process
    with suppress(OSError, StopIteration):  # Linux'
        line = next(n for n in Path("/proc/self/status").read_text().splitlines() if n.startswith("VmData"))
        most = int(line.split()[1]) * 1024 + ROOM + int(there * source.options.expansion)
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def bytes_in(place: Path) -> int:
    """Of a file, or of all files in a folder, without their holes."""
    if not place.is_dir():
        return _bytes_of(place)
    total = count = 0
    for folder, _, names in os.walk(place):
        total += sum(_bytes_of(Path(folder, name)) for name in names)
        if (count := count + len(names)) > MOST_FILES:
            break
    return total


def _bytes_of(path: Path) -> int:
    try:
        status = path.stat()
    except OSError:
        return 0
    return min(status.st_size, status.st_blocks * 512)
