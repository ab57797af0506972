"""SHA-256 of files as they are written, by a thread behind the writer."""

import hashlib
import os
import queue
import threading
from pathlib import Path
from typing import Any

READ_BYTES = 1024**2
WAITING = 16  # of what was written, until the writer waits


class Digests:
    """Digests of the files of a shard; the thread reads what has been written, while it is still in memory.

        digests.written(path, 1024)   # the first KB is there
        digests.written(path, 4096)
        digests.finish()              # {path: (4096, "9f86d0…")}

    A SHA-256 takes as long as all else that a conversion does with a value, and needs no interpreter lock.
    """

    def __init__(self) -> None:
        self._told: queue.Queue[tuple[Path, int] | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None
        self._files: dict[Path, tuple[int, Any]] = {}  # bytes that were read, their digest
        self._error: OSError | None = None

    def written(self, path: Path, size: int) -> None:
        """A file has so many bytes now, of which those that it had before stay as they were."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="ups_data_digests", daemon=True)
            self._thread.start()
        self._told.put((path, size))

    def finish(self) -> dict[Path, tuple[int, str]]:
        """File → its size as it was told last, and the digest of so many bytes.

        Raises:
            OSError: a file could not be read.
        """
        self.end()
        if self._error is not None:
            raise self._error
        return {path: (size, digest.hexdigest()) for path, (size, digest) in self._files.items()}

    def end(self) -> None:
        """Wait for what was told."""
        if self._thread is not None:
            self._told.put(None)
            self._thread.join()
            self._thread = None

    def _follow(self) -> None:
        memory = memoryview(bytearray(READ_BYTES))
        while (told := self._told.get()) is not None:
            if self._error is None:
                try:
                    self._read(*told, memory)
                except FileNotFoundError:  # the writer needs it no more
                    self._files.pop(told[0], None)
                except OSError as error:
                    self._error = error

    def _read(self, path: Path, size: int, memory: memoryview) -> None:
        done, digest = self._files.get(path) or (0, hashlib.sha256())
        with open(path, "rb", buffering=0) as file:
            while done < size:
                count = os.preadv(file.fileno(), [memory[: size - done]], done)
                if not count:
                    raise OSError(f"{path} is shorter than what was written to it")
                digest.update(memory[:count])
                done += count
        self._files[path] = done, digest
