"""A lock in a store: an object that only one can make, and that its holder renews as long as it lives."""

import json
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ups_data.errors import StoreError, UpsDataError
from ups_data.schema import limits
from ups_data.schema.texts.json_text import parse_json
from ups_data.store.moving.writers import ExistsError, ObstoreWriter

BEAT = 20.0  # seconds between two renewals
ABANDONED = 120.0  # age in seconds of a lock that nobody renews


class StoreLock:
    """Held by one process. Another one of this machine's, which has the same folder to itself, takes the lock over at
    once: whoever held it is dead. Another machine takes it over when it was not renewed for two minutes.

    Args:
        folder: that the holder has to itself on its machine.
    """

    def __init__(self, writer: ObstoreWriter, key: str, folder: Path) -> None:
        self._writer, self._key = writer, key
        self._machine = {"host": _host(), "folder": str(folder)}
        self._text = json.dumps({**self._machine, "process": os.getpid(), "token": uuid.uuid4().hex}).encode()
        self._ends, self._lost = threading.Event(), False

    @property
    def text(self) -> bytes:
        """What the object holds as long as this one holds it."""
        return self._text

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it.

        Raises:
            UpsDataError: another process holds it.
        """
        self._take()
        renewing = threading.Thread(target=self._renew, daemon=True)
        renewing.start()
        try:
            yield
        finally:
            self._ends.set()
            renewing.join()
            if not self._lost and self._mine():
                with suppress(StoreError):
                    self._writer.remove(self._key)

    def check(self) -> None:
        """Raises UpsDataError if another process has taken it over."""
        if self._lost or not self._mine():
            raise UpsDataError(
                f"{self._writer.store}: another conversion has taken this place over: see that only one writes to it"
            )

    def _take(self) -> None:
        try:
            self._writer.put_new(self._key, self._text)
            return
        except ExistsError:
            pass
        found = self._writer.tag(self._key)
        holder = self._holder()
        if found is not None:
            tag, age = found
            ours = {name: holder.get(name) for name in self._machine} == self._machine
            if not ours and age < ABANDONED:
                raise UpsDataError(
                    f"{self._writer.store}: another conversion to this place is under way, on "
                    f"{holder.get('host', 'another machine')}: wait for its end; if it was killed, try again in "
                    f"{ABANDONED - age:.0f} s"
                )
        try:
            if found is None:
                self._writer.put_new(self._key, self._text)
            else:
                self._writer.put_over(self._key, self._text, tag)
        except ExistsError:
            raise UpsDataError(f"{self._writer.store}: another conversion to this place has just begun") from None

    def _holder(self) -> dict[str, object]:
        try:
            found = parse_json(self._writer.store.get(self._key, limits.METADATA_BYTES))
        except (StoreError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _mine(self) -> bool:
        try:
            return self._writer.store.get(self._key, limits.METADATA_BYTES) == self._text
        except StoreError:
            return False

    def _renew(self) -> None:
        while not self._ends.wait(BEAT):
            try:
                found = self._writer.tag(self._key)
                if found is None or not self._mine():
                    self._lost = True
                    return
                self._writer.put_over(self._key, self._text, found[0])
            except ExistsError:
                self._lost = True
                return
            except StoreError:  # the next one may get through
                continue


def _host() -> str:
    """This machine, since it was started."""
    with suppress(OSError):
        return f"{socket.gethostname()} ({Path('/proc/sys/kernel/random/boot_id').read_text().strip()})"
    return f"{socket.gethostname()} ({uuid.getnode():x})"
