"""An object of which a mirror holds chunks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ups_data import _native as built
from ups_data.errors import StoreError
from ups_data.store.cached.layout import Layout, layout_of
from ups_data.store.cached.ledger import Ledger
from ups_data.store.cached.mirror import PRESENT, BrokenMirrorError, Mirror, make_mirror, opened
from ups_data.store.kernel import advice
from ups_data.store.object_store import Object

Keep = Callable[["CachedObject", int, bytes], None]


class CachedObject(Object):
    """An opened object, and its mirror as soon as its layout is known.

    Attributes:
        source: the object in the store behind the cache.
        fresh: chunks that this process has filled and not used yet.

    Args:
        path: of its mirror's data.
        keep: puts the bytes of a chunk, which are known to be right, into the mirror.
    """

    def __init__(self, source: Object, path: Path, ledger: Ledger, keep: Keep) -> None:
        super().__init__(source.key, source.size, source.identity)
        self.source, self._path, self._ledger, self._keep = source, path, ledger, keep
        self.fresh: set[int] = set()
        self._mirror: Mirror | None = None
        self._map: built.native.Map | None = None
        self.mapped: memoryview | None = None
        self.address = 0
        self._attach(None)

    @property
    def mirror(self) -> Mirror | None:
        """None: nothing of it can be cached."""
        return self._mirror

    def know_chunks(
        self, offsets: NDArray[np.int64], lengths: NDArray[np.int64], crcs: NDArray[np.uint32], tail: bytes
    ) -> None:
        """See `Object.know_chunks`."""
        layout = layout_of(self.size, offsets, lengths, crcs, len(tail))
        if layout is None or (self._mirror is not None and _same(self._mirror.layout, layout)):
            return
        self._detach()
        try:
            if not self._attach(layout):
                with self._ledger.changing():
                    if not self._attach(layout):
                        make_mirror(self._path, layout)
                        self._attach(layout)
        except OSError:  # a full or broken disk: it goes without a cache
            self._detach()
        if self._mirror is not None:
            self._keep(self, len(layout) - 1, tail)

    def numbers(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Which chunks those ranges are; None: they are not, or nothing is cached."""
        return None if self._mirror is None else self._mirror.layout.numbers(start, stop)

    def there(self) -> NDArray[np.bool_] | None:
        """`(n,)`, which of all chunks can be read where they are; None: nothing is cached."""
        mirror = self._mirror
        if mirror is None:
            return None
        try:
            return mirror.states() == PRESENT
        except BrokenMirrorError:
            self._detach()
            return None

    def check_unchanged(self) -> None:
        """See `Object.check_unchanged`."""
        self.source.check_unchanged()
        if self._map is not None and self._map.faults:
            raise StoreError(
                f"{self._path} was cut while it was mapped: empty the cache with ups-data cache "
                f"{self._path.parents[2]} --empty, and see who writes there"
            )

    def _attach(self, layout: Layout | None) -> bool:
        try:
            mirror = Mirror(self._path, layout)
            if mirror.layout.size != self.size:
                return False
            with opened(self._path) as file:
                if built.native is not None:
                    self._map = built.native.Map(file, self.size)
                    self.mapped = memoryview(self._map)
                    self.address = advice.address_of(self.mapped)
                    advice.read_nothing_else(self.address, self.size)
            mirror.states()  # still the one whose data were mapped
        except (BrokenMirrorError, OSError):
            self._detach()
            return False
        self._mirror = mirror
        return True

    def _detach(self) -> None:
        self._mirror = self._map = self.mapped = None
        self.address = 0


def _same(one: Layout, other: Layout) -> bool:
    same = one.size == other.size and len(one) == len(other)
    return same and all(np.array_equal(getattr(one, n), getattr(other, n)) for n in ("start", "stop", "crc"))
