"""What writers of datasets ask of a store, beside `put`: large objects from files, objects that must be new."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from ups_data.atomic import replacing
from ups_data.errors import MissingObjectError, StoreError
from ups_data.store.local import LocalStore
from ups_data.store.object_store import ObjectStore, check_key
from ups_data.store.remote.reasons import reason_of

T = TypeVar("T")
PART_BYTES, PARTS_AT_ONCE = 16 * 1024**2, 4
ATTEMPTS, FIRST_DELAY, LONGEST_DELAY = 6, 0.2, 8.0
COPY_BYTES = 8 * 1024**2


class ExistsError(StoreError):
    """There is an object already where a new one was to be made, or it is not the one that it was."""


class Writer:
    """Writes to a store of any kind, by its `put`.

    writer_of(open_store("s3://bucket/run")).put_file("train/shard-000000.zarr/fields/u/c/0/0", path)
    """

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def put_file(self, key: str, path: Path) -> None:
        """Make an object of a file's bytes; it is there whole, or not at all.

        Raises:
            StoreError: the store cannot be written to.
        """
        self.store.put(key, path.read_bytes())

    def put_new(self, key: str, data: bytes) -> None:
        """Make an object where there is none.

        Raises:
            ExistsError: there is one, with other bytes.
            StoreError: the store cannot be written to.
        """
        found = self._there(key, data)
        if found is None:
            self.store.put(key, data)
        elif found != data:
            raise self._exists(key)

    def remove(self, key: str) -> None:
        """Remove an object, if it is there.

        Raises:
            StoreError: the store cannot be written to.
        """
        raise StoreError(f"{self.store.name(key)} cannot be removed: this store cannot do that; remove it by hand")

    def _there(self, key: str, data: bytes) -> bytes | None:
        """What lies there, if it is no longer than `data`; b"" for what is longer."""
        try:
            return self.store.get(key, len(data))
        except MissingObjectError:
            return None
        except StoreError:
            return b""

    def _exists(self, key: str) -> ExistsError:
        return ExistsError(f"{self.store.name(key)} is there already: another process made it; choose another place")


class LocalWriter(Writer):
    """Writes to a folder."""

    store: LocalStore

    def put_file(self, key: str, path: Path) -> None:
        """See `Writer.put_file`."""
        place = self.store.place(key)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with replacing(place) as out, open(path, "rb") as file:
                while data := file.read(COPY_BYTES):
                    out.write(data)
        except OSError as error:
            reason = f"{place} cannot be written ({error.strerror})"
            raise StoreError(f"{reason}; free space, or choose another folder") from None

    def put_new(self, key: str, data: bytes) -> None:
        """See `Writer.put_new`."""
        place = self.store.place(key)
        aside = place.with_name(f".{place.name}.{os.getpid()}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            aside.unlink(missing_ok=True)  # a link, too, which is not followed
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(aside, place)
        except FileExistsError:
            if self._there(key, data) != data:
                raise self._exists(key) from None
        except OSError as error:
            reason = f"{place} cannot be written ({error.strerror})"
            raise StoreError(f"{reason}; free space, or choose another folder") from None
        finally:
            aside.unlink(missing_ok=True)

    def remove(self, key: str) -> None:
        """See `Writer.remove`."""
        self.store.place(key).unlink(missing_ok=True)


class ObstoreWriter(Writer):
    """Writes through obstore: large objects in parts, new ones by a conditional put."""

    def __init__(self, store: ObjectStore, client: Any) -> None:
        super().__init__(store)
        self._client = client

    def put_file(self, key: str, path: Path) -> None:
        """See `Writer.put_file`."""
        import obstore

        large = path.stat().st_size > PART_BYTES
        options: Any = {"chunk_size": PART_BYTES, "max_concurrency": PARTS_AT_ONCE, "use_multipart": large}
        self._sent(key, lambda: obstore.put(self._client, check_key(key), path, **options))

    def put_new(self, key: str, data: bytes) -> None:
        """See `Writer.put_new`."""
        import obstore

        try:
            self._sent(key, lambda: obstore.put(self._client, check_key(key), data, mode="create"))
        except ExistsError:  # perhaps by an attempt of ours whose answer was lost
            if self._there(key, data) != data:
                raise
        except NotImplementedError:  # a server without conditional puts
            super().put_new(key, data)

    def tag(self, key: str) -> tuple[str, float] | None:
        """What tells the object from the one that takes its place, and its age in seconds; None: it is not there."""
        import obstore

        try:
            found: Any = self._sent(key, lambda: obstore.head(self._client, check_key(key)))
        except FileNotFoundError:
            return None
        return found["e_tag"] or "", time.time() - found["last_modified"].timestamp()

    def put_over(self, key: str, data: bytes, tag: str) -> None:
        """Replace an object that is still the one with that tag.

        Raises:
            ExistsError: it is another one.
        """
        import obstore

        mode: Any = {"e_tag": tag}
        try:
            self._sent(key, lambda: obstore.put(self._client, check_key(key), data, mode=mode))
        except NotImplementedError:
            self._sent(key, lambda: obstore.put(self._client, check_key(key), data))

    def remove(self, key: str) -> None:
        """See `Writer.remove`."""
        import obstore

        with suppress(FileNotFoundError):
            self._sent(key, lambda: obstore.delete(self._client, check_key(key)))

    def _sent(self, key: str, send: Callable[[], T]) -> T:
        """Send a request, again with back-off if it fails in passing."""
        for attempt in range(ATTEMPTS):
            try:
                return send()
            except Exception as error:  # obstore's have no class in common
                kind = type(error).__name__
                if kind in ("AlreadyExistsError", "PreconditionError"):
                    raise self._exists(key) from None
                if isinstance(error, FileNotFoundError | NotImplementedError):
                    raise
                if kind == "NotSupportedError":
                    raise NotImplementedError from None
                reason = reason_of(error)
                if reason.kind in ("final", "missing") or attempt == ATTEMPTS - 1:
                    raise StoreError(
                        f"{self.store.name(key)} cannot be written, {reason.text}; see that you may write there, and "
                        "run the same command again"
                    ) from None
            time.sleep(min(LONGEST_DELAY, FIRST_DELAY * 2**attempt))
        raise AssertionError("unreachable")


def writer_of(store: ObjectStore) -> Writer:
    """The writer of a store.

    Raises:
        StoreError: it can only be read.
    """
    if isinstance(store, LocalStore):
        return LocalWriter(store)
    client = getattr(store, "client_to_write", None)
    return Writer(store) if client is None else ObstoreWriter(store, client)
