"""What a store is to those who read a dataset: objects by key, and ranges of their bytes, many at once."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import MissingObjectError, StoreError
from ups_data.store.counts import StoreCounts

WHOLE_BYTES = 64 * 1024**2  # of an object that is read whole where its first bytes are asked for
AGAIN = "copy or make the shard again"  # what to do about a damaged object

# An object, and where its ranges start and stop: `(n,)` int64 each, `0 <= start < stop <= size`.
Wanted = tuple["Object", NDArray[np.int64], NDArray[np.int64]]


class Object:
    """An opened object.

    Attributes:
        key: its name in the store.
        size: in bytes, as whoever opened it said, or as the store knows.
        identity: what tells it from another object that takes its place, if the store knows: an inode and the time of
            the last change, an ETag. For stores and caches; nobody else looks at it.
        data: all its bytes, where the store is zero-copy; else None.
    """

    def __init__(self, key: str, size: int, identity: Any = None, data: memoryview | None = None) -> None:
        self.key, self.size, self.identity, self.data = key, size, identity, data

    def know_chunks(
        self, offsets: NDArray[np.int64], lengths: NDArray[np.int64], crcs: NDArray[np.uint32], tail: bytes
    ) -> None:
        """Its chunks are known now: for caches.

        Args:
            offsets, lengths: `(n,)`, -1 where a chunk is absent.
            crcs: `(n + 1,)`, as the seal has them, of each chunk without the checksum behind it, and of the index.
            tail: the index with its checksum, the object's end.
        """

    def let_go(self) -> None:
        """Its bytes are not used again soon: what of them counts as this process's memory need not any more. They come
        back when they are used."""

    def check_unchanged(self) -> None:
        """To be called after bytes of it were used, and before anybody sees what was made of them.

        Raises:
            StoreError: it is known to be another one than when it was opened. A store that would have to ask for that
                over a network leaves this as it is: its bytes are compared with their checksums whenever they come.
        """


class Pending(Protocol):
    """Ranges that are being read."""

    def result(self) -> "Ranges":
        """Wait for them. Raises StoreError as `ObjectStore.get_ranges` does."""
        ...

    def cancel(self) -> object:
        """Nobody wants them any more."""
        ...


@dataclass(slots=True)
class Ranges:
    """Where bytes lie: `(n,)` each, range i in the `length[i]` bytes from byte `offset[i]` of `buffers[buffer[i]]` on.

    Buffers are anything that `memoryview` takes.
    """

    buffers: list[Any]
    buffer: NDArray[np.int64]
    offset: NDArray[np.int64]
    length: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.buffer)

    def part(self, which: NDArray[Any] | slice) -> "Ranges":
        """Some of them, by a mask, by number, or by a slice."""
        return Ranges(self.buffers, self.buffer[which], self.offset[which], self.length[which])

    def bodies(self) -> list[memoryview]:
        """The bytes of each."""
        numbers = self.buffer.tolist()
        views = {number: memoryview(self.buffers[number]) for number in set(numbers)}
        places = zip(numbers, self.offset.tolist(), (self.offset + self.length).tolist(), strict=True)
        return [views[buffer][start:stop] for buffer, start, stop in places]

    def body(self, number: int) -> memoryview:
        """The bytes of one."""
        start = self.offset[number]
        return memoryview(self.buffers[self.buffer[number]])[start : start + self.length[number]]


class ObjectStore(ABC):
    """Objects by key. A dataset is read through this and nothing else, so it does not matter where it lies.

    Keys are strings of names joined by `/`, relative to the dataset: `train/shard-000000.zarr/fields/u/c/0/0/0`.

    It is not the store's job to know what is in an object, to compare checksums, to keep what was read, to read ahead,
    or to say what a missing object means: those who call it do that. Its job is that the bytes are those of the object
    and the range asked for, all of them, or a `StoreError` that names both.

    Threads share a store, and it is pickled to worker processes.

    A store that only reads implements `name`, `get`, `open` and `get_ranges`:

        class Zipped(ObjectStore):
            def name(self, key):
                return f"{self.path}!{key}"
            ...

    `docs/add-a-store.md` has a whole one, and `tests/store/contract.py` the tests that any store must pass.

    Attributes:
        zero_copy: `get_ranges` returns views of memory that costs nothing to keep (`Object.data`), so nobody need copy
            raw chunks out of it.
        reads_ahead: whether the ranges of coming blocks are worth fetching ahead: `begin` is called for them then.
        verify_once: a chunk that was compared with its checksum once stays what it is as long as
            `Object.check_unchanged` says nothing. If not, every chunk is compared whenever it is fetched.
        in_place: `get_ranges` returns views, inside `reading` at least, that are fast to copy from: nobody need decode
            raw chunks out of it.
        own_memory: `get_ranges` returns memory that nobody changes or frees as long as somebody holds it: raw chunks
            may be kept where they are, and need not be copied.
        looks_ahead: whether it pays now to call `ahead` long before ranges are used.
    """

    zero_copy: bool = False
    verify_once: bool = False
    in_place: bool = False
    own_memory: bool = False
    looks_ahead: bool = False
    reads_ahead: bool = True

    @abstractmethod
    def name(self, key: str) -> str:
        """What messages call an object (`""`: the store): a path, a URL. Without credentials."""

    @abstractmethod
    def get(self, key: str, limit: int) -> bytes:
        """A small object, whole.

        Args:
            limit: bytes; one that is longer is not read.

        Raises:
            MissingObjectError: there is none.
            StoreError: it is longer, or it cannot be read.
        """

    @abstractmethod
    def open(self, key: str, size: int | None) -> Object:
        """An object of which ranges are to be read.

        Args:
            size: in bytes, from the dataset's seal: the store need not ask for it. None: not known, so it must.

        Raises:
            MissingObjectError, WrongSizeError, StoreError: it is missing, has another size, or cannot be read, if the
                store finds that out here. If not, `get_ranges` does.
        """

    def open_sealed(self, key: str, size: int, digest: str) -> Object:
        """The same of an object whose SHA-256 the dataset's seal has: for caches."""
        return self.open(key, size)

    @abstractmethod
    def get_ranges(self, wanted: Sequence[Wanted]) -> Ranges:
        """The bytes of ranges, in the order of `wanted`, and of the ranges of each. A slow store fetches many at once.

            store.get_ranges([(u, np.array([0, 400]), np.array([100, 500])), (v, np.array([0]), np.array([100]))])

        Raises:
            StoreError: a range cannot be read, or only in part; the message names the object, and the range too unless
                the whole object is wrong.
        """

    def ahead(self, wanted: Sequence[Wanted]) -> None:  # noqa: B027, a store need not
        """Those ranges are going to be asked for: a store that can begin to fetch them does, and returns at once.

        Nothing that is wrong with them is an error here: `get_ranges` says so, if it is asked.
        """

    @contextmanager
    def reading(self, wanted: Callable[[], Sequence[Wanted]]) -> Iterator[None]:
        """Around the making of a block of batches, in the thread that makes it: what `get_ranges` returns to this
        thread meanwhile need not outlast it.

        Args:
            wanted: the ranges that are going to be asked for, if the store wants to know.
        """
        yield

    def get_again(self, wanted: Sequence[Wanted]) -> Ranges:
        """The bytes of ranges once more, from where they come from first, as those that came did not fit checksums.

        A store that keeps what it fetched forgets it here.
        """
        return self.get_ranges(wanted)

    def delivered(self, size: int) -> None:  # noqa: B027, nor this
        """For a block of batches, the kernel has read so many bytes from disks: see `ups_data.store.kernel.counts`."""

    def begin(self, wanted: Sequence[Wanted]) -> Pending:
        """Begin `get_ranges`, and do not wait for it: for whoever reads ahead.

        Here a thread waits in `get_ranges`; a store that can have reads under way by itself does better.
        """
        future: Future[Ranges] = Future()

        def read() -> None:
            try:
                future.set_result(self.get_ranges(wanted))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=read, name="ups_data_read", daemon=True).start()
        return future

    def get_first(self, key: str, size: int) -> bytes | None:
        """The first so many bytes of an object whose size nobody knows, or all if there are fewer; None: it cannot be
        read, most often because there is none. A store that reads whole objects gives the whole."""
        try:
            return self.get(key, max(size, WHOLE_BYTES))
        except StoreError:
            return None

    def get_tails(self, opened: Sequence[Object], length: int) -> Ranges:
        """The last bytes of objects, at least `length` long, in their order: where their indexes are."""
        return self.get_ranges([(o, np.array([o.size - length]), np.array([o.size])) for o in opened])

    def counts(self) -> StoreCounts:
        """What was asked for and delivered so far, in this process; nothing if the store does not count."""
        return StoreCounts()

    def put(self, key: str, data: bytes) -> None:
        """Make an object, whole, in the place of one that may be there. For writers and tools.

        Raises:
            StoreError: the store cannot be written to.
        """
        raise StoreError(f"{self.name(key)} cannot be written: this store can only be read; choose another one")

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Keys and sizes of the objects under `prefix` (`""`: of all), in any order. For tools: a loader never asks.

        Raises:
            StoreError: the store cannot be listed.
        """
        raise StoreError(f"{self.name(prefix)} cannot be listed: this store can only be read; copy the dataset first")

    def local_path(self, key: str) -> Path | None:
        """The file that an object is, if it is one: for libraries that open files themselves."""
        return None

    def __str__(self) -> str:
        return self.name("")


def get_if_there(store: ObjectStore, key: str, limit: int) -> bytes | None:
    """An object's bytes; None: there is none.

    Raises:
        StoreError: as `ObjectStore.get`, of an object that is there.
    """
    try:
        return store.get(key, limit)
    except MissingObjectError:
        return None


def joined_key(*parts: str) -> str:
    """A key from its parts, of which some may be empty."""
    return "/".join(part for part in parts if part)


def check_key(key: str) -> str:
    """The key itself.

    Raises:
        StoreError: it is none: it is empty or absolute, or it has empty names, `.` or `..` in it.
    """
    names = key.split("/")
    if any(name in ("", ".", "..") for name in names) or "\0" in key or "\\" in key:
        raise StoreError(f"{key[:200]!r} is no key of an object in a dataset; make the dataset again")
    return key
