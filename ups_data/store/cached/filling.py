"""Fills a cache: of the chunks asked for, those that nobody has filled or is filling, each once on a node."""

import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import StoreError
from ups_data.store.cached.ledger import Ledger
from ups_data.store.cached.locks import TICK
from ups_data.store.cached.mirror import ABSENT, DOUBTFUL, FILLING, LEAVING, PRESENT, BrokenMirrorError, Changes, Mirror
from ups_data.store.cached.objects import CachedObject
from ups_data.store.object_store import ObjectStore, Wanted

Part = tuple[CachedObject, NDArray[np.int64]]  # chunks of an object, each once
REQUEST_BYTES = 32 * 1024**2  # that are fetched at once, and are in memory meanwhile


@dataclass(frozen=True)
class Filled:
    """What became of a fill.

    Attributes:
        present: chunks that were there.
        fetched: chunks that were not, and are.
        failed: why others are not there: the store's errors.
    """

    present: int
    fetched: int
    failed: dict[tuple[int, int], StoreError]


@dataclass
class Filler:
    """Fills the mirrors of a ledger from a store.

    Attributes:
        bound: of all mirrors together, in bytes.
    """

    store: ObjectStore
    ledger: Ledger
    bound: int

    def fill(self, parts: Sequence[Part]) -> Filled:
        """Have those chunks in the cache, as far as there is room; wait for those that others are filling.

        No more than half of the bound: what is more is left to whoever needs it. Nothing is raised: what the store
        cannot deliver is in `Filled.failed`, and a disk that is full takes no more.
        """
        present, fetched, failed = 0, 0, dict[tuple[int, int], StoreError]()
        todo, first = self._bounded(parts), True
        while todo:
            left: list[Part] = []
            with ExitStack() as stack:
                taken: list[_Taken] = []
                for opened, numbers in todo:
                    with suppress(BrokenMirrorError, OSError):
                        assert opened.mirror is not None
                        changes = stack.enter_context(opened.mirror.changing())
                        lacking = numbers[changes.states()[numbers] != PRESENT]
                        present += len(numbers) - len(lacking) if first else 0
                        mine = _Taken(opened, opened.mirror, changes, [n for n in lacking.tolist() if changes.claim(n)])
                        others = np.setdiff1d(lacking, mine.numbers)
                        left += [(opened, others)] if len(others) else []
                        taken.append(mine)
                fetched += self._fill_claimed(taken, failed)
            if left:
                time.sleep(TICK)  # others are at it; what they leave, or what they leave behind, is taken up here
            todo, first = left, False
        return Filled(present, fetched, failed)

    def keep(self, opened: CachedObject, number: int, data: bytes) -> None:
        """Put a chunk that was read and compared into the cache, if it is not there and there is room."""
        with suppress(BrokenMirrorError, OSError):
            assert opened.mirror is not None
            with opened.mirror.changing() as changes:
                if changes.states()[number] != ABSENT or not changes.claim(number):
                    return
                mine = _Taken(opened, opened.mirror, changes, [number])
                if self._reserved(mine) == [number]:
                    try:
                        mine.mirror.write(number, memoryview(data))
                        changes.mark([number], PRESENT)
                    except OSError:
                        self.ledger.release(mine.mirror, [number])

    def doubt(self, opened: CachedObject, numbers: NDArray[np.int64]) -> None:
        """Chunks are compared with their checksums before they are used again."""
        with suppress(BrokenMirrorError, OSError):
            assert opened.mirror is not None
            with opened.mirror.changing() as changes:
                states = changes.states()
                changes.mark([n for n in numbers.tolist() if states[n] == PRESENT], DOUBTFUL)

    def _bounded(self, parts: Sequence[Part]) -> list[Part]:
        room, bounded = self.bound // 2, []
        for opened, numbers in parts:
            if opened.mirror is None:
                continue
            fits = np.cumsum(opened.mirror.layout.room[numbers]) <= room
            room -= int(opened.mirror.layout.room[numbers[fits]].sum())
            if fits.any():
                bounded.append((opened, numbers[fits]))
        return bounded

    def _fill_claimed(self, taken: list["_Taken"], failed: dict[tuple[int, int], StoreError]) -> int:
        reserved = []
        for mine in taken:
            with suppress(BrokenMirrorError, OSError):
                numbers = self._reserved(mine)
                reserved += [(mine, number) for number in numbers]
        fetched, size, some = 0, 0, list[tuple[_Taken, int]]()
        for mine, number in reserved:
            some.append((mine, number))
            size += int(mine.mirror.layout.room[number])
            if size >= REQUEST_BYTES:
                fetched += self._fetch(some, failed)
                size, some = 0, []
        return fetched + (self._fetch(some, failed) if some else 0)

    def _reserved(self, mine: "_Taken") -> list[int]:
        """The claimed chunks that are to be fetched, with room for each."""
        states = mine.changes.states()  # once more: another may have filled one just before it was claimed
        numbers = [n for n in mine.numbers if states[n] == FILLING]  # whose filler was killed: it has room
        for number in mine.numbers:
            if states[number] == DOUBTFUL:
                if mine.mirror.layout.is_intact(number, memoryview(mine.mirror.read(number))):
                    mine.changes.mark([number], PRESENT)
                else:
                    mine.changes.mark([number], FILLING)
                    numbers.append(number)
        absent = [n for n in mine.numbers if states[n] == ABSENT]
        if absent:
            numbers += self.ledger.reserve(mine.mirror, absent, self.bound)
        for number in set(mine.numbers).difference(numbers):
            mine.changes.give_back(number)
        leaving = [n for n in mine.numbers if states[n] == LEAVING]
        if leaving:  # there may be somebody who still reads them, so they are filled another time
            self.ledger.take_out(mine.mirror, leaving)
        return sorted(numbers)

    def _fetch(self, reserved: list[tuple["_Taken", int]], failed: dict[tuple[int, int], StoreError]) -> int:
        """Chunks that are claimed and have room: fetched, compared, written, and marked after that."""
        unfilled, filled = list(reserved), 0
        try:
            found = self.store.get_ranges([mine.wanted(number) for mine, number in reserved])
            for place, (mine, number) in enumerate(reserved):
                body = found.body(place)
                if not mine.mirror.layout.is_intact(number, body):  # on the way: once more
                    body = self.store.get_ranges([mine.wanted(number)]).body(0)
                    if not mine.mirror.layout.is_intact(number, body):
                        continue  # whoever uses it fetches it himself, and says what is wrong
                mine.mirror.write(number, body)
                mine.changes.mark([number], PRESENT)
                mine.opened.fresh.add(number)
                unfilled.remove((mine, number))
                filled += 1
        except StoreError as error:
            failed.update({(id(mine.opened), number): error for mine, number in unfilled})
        except OSError:  # the disk is full, or gone
            pass
        finally:
            for mine, number in unfilled:
                with suppress(OSError, BrokenMirrorError):
                    self.ledger.release(mine.mirror, [number])
            for mine, number in reserved:
                mine.changes.give_back(number)
        return filled


@dataclass(frozen=True, eq=False)
class _Taken:
    """Chunks of an object that this thread has claimed."""

    opened: CachedObject
    mirror: Mirror
    changes: Changes
    numbers: list[int]

    def wanted(self, number: int) -> Wanted:
        layout = self.mirror.layout
        return self.opened.source, layout.start[number : number + 1], layout.stop[number : number + 1]
