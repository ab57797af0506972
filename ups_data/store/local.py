"""A dataset in a folder: files, mapped where the native module is there."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from ups_data import _native as built
from ups_data.atomic import open_regular, replacing
from ups_data.errors import MissingObjectError, StoreError, WrongSizeError
from ups_data.store.kernel import advice
from ups_data.store.kernel.choice import LocalIO
from ups_data.store.kernel.warmth import Warmth
from ups_data.store.object_store import AGAIN, Object, ObjectStore, Ranges, Wanted, check_key


class LocalStore(ObjectStore):
    """The files below a folder.

    A file is mapped as a whole by the native module, whose maps survive that the file is cut; ranges are views of the
    map. Without the native module they are read. No file may lie outside the folder, whatever links lead there, and
    none may be a FIFO or a device.

        store = LocalStore("data/run")
        store.get("dataset.json", limit=2**20)

    Args:
        root: the folder. It may be a link itself.
        advised: maps read nothing but what is asked for, all ranges of a call at once, and what `ahead` is told. For
            those who read scattered ranges; one who reads whole files has more of the kernel's own read-ahead.
        io: "read": files are not mapped, and the exact ranges are read; for network file systems where that is faster.
    """

    verify_once = True

    def __init__(self, root: str | Path, *, advised: bool = False, io: LocalIO = "map") -> None:
        self.root, self.io = Path(root), io
        self._advised, self._warmth = advised and advice.can_advise(), Warmth()
        self.reads_ahead = io == "read"

    @property
    def zero_copy(self) -> bool:  # type: ignore[override]
        """Whether files are mapped: with the native module, unless they are to be read."""
        return built.native is not None and self.io == "map"

    @property
    def own_memory(self) -> bool:  # type: ignore[override]
        """See `ObjectStore`: what was read, where files are not mapped."""
        return not self.zero_copy

    def name(self, key: str) -> str:
        """The file's path."""
        return str(self.root / key)

    def local_path(self, key: str) -> Path:
        """The file."""
        return self.root / key

    def get(self, key: str, limit: int) -> bytes:
        """See `ObjectStore.get`."""
        path = self._inside(key)
        try:
            with open_regular(path) as file:
                # `read` takes memory for all that it is asked for.
                data = file.read(min(os.fstat(file.fileno()).st_size, limit) + 1)
        except FileNotFoundError:
            raise MissingObjectError(f"{path} is missing; {AGAIN}") from None
        except OSError as error:
            raise _unreadable(path, error) from None
        if len(data) > limit:
            raise StoreError(f"{path} is damaged, it is longer than {limit:,} bytes; {AGAIN}")
        return data

    def open(self, key: str, size: int | None) -> "LocalObject":
        """See `ObjectStore.open`. The file is mapped, if it can be, and its size compared."""
        path = self._inside(key)
        try:
            with open_regular(path, buffering=0) as file:
                found = os.fstat(file.fileno())
                if size is not None and found.st_size != size:
                    sizes = f"{found.st_size:,} bytes, {size:,} were written"
                    raise WrongSizeError(f"{path} is damaged, it holds {sizes}; {AGAIN}")
                # An empty file cannot be mapped.
                mapped = built.native.Map(file.fileno(), found.st_size) if self.zero_copy and found.st_size else None
        except FileNotFoundError:
            raise MissingObjectError(f"{path} is missing and cannot be read; {AGAIN}") from None
        except OSError as error:
            raise _unreadable(path, error) from None
        return LocalObject(key, path, found, mapped, scattered=self._advised)

    @property
    def looks_ahead(self) -> bool:  # type: ignore[override]
        """See `ObjectStore`: as long as the disk has to be read."""
        return self._advised and self._warmth.reading and self.zero_copy

    def ahead(self, wanted: Sequence[Wanted]) -> None:
        """See `ObjectStore.ahead`: the kernel begins to read those ranges, all at once."""
        maps = [(o.address, start, stop) for o, start, stop in wanted if isinstance(o, LocalObject) and o.address]
        if self._advised and maps:
            advice.will_need(*advice.as_addresses(maps))

    def delivered(self, size: int) -> None:
        """See `ObjectStore.delivered`."""
        self._warmth.delivered(size)

    def get_ranges(self, wanted: Sequence[Wanted]) -> Ranges:
        """See `ObjectStore.get_ranges`: views of the maps, or what is read from the files."""
        if self._advised and self._warmth.cold:
            self.ahead(wanted)
        if len(wanted) == 1 and wanted[0][0].data is not None:  # as a batch's reads nearly always are
            ((opened, start, stop),) = wanted
            return Ranges([opened.data], np.zeros(len(start), np.int64), start, stop - start)
        if any(opened.data is None for opened, _, _ in wanted):
            return self._read(wanted)
        counts = [len(start) for _, start, _ in wanted]
        start = np.concatenate([start for _, start, _ in wanted] or [np.empty(0, np.int64)])
        stop = np.concatenate([stop for _, _, stop in wanted] or [np.empty(0, np.int64)])
        buffer = np.repeat(np.arange(len(wanted)), counts)
        return Ranges([opened.data for opened, _, _ in wanted], buffer, start, stop - start)

    def put(self, key: str, data: bytes) -> None:
        """See `ObjectStore.put`: written aside, and renamed into its place."""
        path = self._inside(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(data)
        except OSError as error:
            reason = f"{path} cannot be written ({error.strerror})"
            raise StoreError(f"{reason}; free space, or choose another folder") from None

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        # Links to folders are not followed: they may lead in circles.
        """See `ObjectStore.list`."""
        for folder, _, files in os.walk(self._inside(prefix) if prefix else self.root):
            for file in files:
                path, size = Path(folder, file), 0
                with suppress(OSError):  # a link that leads nowhere
                    size = path.stat().st_size
                yield path.relative_to(self.root).as_posix(), size

    def place(self, key: str) -> Path:
        """Where an object lies or is to be written.

        Raises:
            StoreError: links lead out of the folder.
        """
        return self._inside(key)

    def _inside(self, key: str) -> Path:
        """The path of an object.

        Raises:
            StoreError: links lead out of the folder.
        """
        path = self.root / check_key(key)
        top, real = os.path.realpath(self.root), os.path.realpath(path)
        if os.path.commonpath([top, real]) != top:
            raise StoreError(f"{path} is a link that leaves the dataset; copy the files into it again")
        return path

    def _read(self, wanted: Sequence[Wanted]) -> Ranges:
        """The ranges of files that are not mapped."""
        bodies: list[bytes] = []
        for opened, starts, stops in wanted:
            path = self.root / opened.key
            try:
                with open_regular(path, buffering=0) as file:
                    if self.io == "read":
                        advice.will_read(file.fileno(), starts, stops)
                    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
                        file.seek(start)
                        bodies.append(file.read(stop - start))
                        if len(bodies[-1]) < stop - start:
                            raise StoreError(f"{path}, bytes {start} to {stop}: was cut or is damaged; {AGAIN}")
            except OSError as error:
                raise _unreadable(path, error) from None
        length = np.fromiter(map(len, bodies), np.int64, len(bodies))
        return Ranges(bodies, np.arange(len(bodies)), np.zeros(len(bodies), np.int64), length)


class LocalObject(Object):
    """An opened file; a map of it holds it open.

    Attributes:
        address: where the map begins; 0: there is none, or nobody gives advice on it.

    Args:
        scattered: nothing is read but what is touched, or told ahead.
    """

    def __init__(
        self,
        key: str,
        path: Path,
        found: os.stat_result,
        mapped: built.native.Map | None,
        *,
        scattered: bool = False,
    ) -> None:
        super().__init__(key, found.st_size, _identity(found), None if mapped is None else memoryview(mapped))
        self._path, self._map, self.address = path, mapped, 0
        if scattered and self.data is not None:
            self.address = advice.address_of(self.data)
            advice.read_nothing_else(self.address, self.size)

    def let_go(self) -> None:
        """See `Object.let_go`: the pages of the map stay in the page cache."""
        if self.data is not None:
            advice.let_go(advice.address_of(self.data), self.size)

    def check_unchanged(self) -> None:
        """See `Object.check_unchanged`: the file is the one that was opened, and was not cut meanwhile."""
        intact = self._map is None or self._map.faults == 0
        try:
            intact = intact and _identity(os.stat(self._path)) == self.identity
        except OSError:
            intact = False
        if not intact:
            raise StoreError(
                f"{self._path} was cut, overwritten, replaced or removed while it was open; copy or make the shard "
                "again if it is damaged, and open the dataset again"
            )


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path} cannot be read ({error.strerror or error}); {AGAIN}")
