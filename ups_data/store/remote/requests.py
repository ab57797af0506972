"""Requests of one store: sent, repeated, sent twice if they are slow. All of this runs in the fetcher's thread."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import obstore

from ups_data.errors import MissingObjectError, StoreError, UnreachableError
from ups_data.store.counts import Counter
from ups_data.store.object_store import AGAIN
from ups_data.store.remote import raw
from ups_data.store.remote.gate import Gate
from ups_data.store.remote.pace import Pace
from ups_data.store.remote.reasons import Reason, reason_of

GROUP = 10  # requests that one call of obstore's makes at once
FIRST_DELAY, LONGEST_DELAY = 0.1, 8.0  # seconds between attempts
DOUBTFUL_ATTEMPTS = 3
RAW_SECONDS = 10.0  # of a request past obstore

Call = Callable[[], Awaitable[Any]]
# Of one object: its key, and starts and stops of its ranges, of which none touches the next.
Asked = tuple[str, Sequence[int], Sequence[int]]


class _TooLongError(Exception):
    """An object is longer than whoever asked for it allows."""


@dataclass
class Requests:
    """Fetches ranges and small objects.

    Attributes:
        client: obstore's store.
        name: what messages call an object.
        timeout: seconds that a range may take with all attempts.
        hint: what to do if access is denied; may be empty.
        answered: whether the store has ever answered.
    """

    client: Any
    name: Callable[[str], str]
    counter: Counter
    gate: Gate
    pace: Pace
    timeout: float
    hint: str = ""
    answered: bool = False

    async def ranges(self, asked: Sequence[Asked], *, urgent: bool = False) -> list[list[Any]]:
        """The bytes of ranges, object by object; `urgent`: before those that nobody waits for yet. Raises StoreError as
        `ObjectStore.get_ranges` does."""
        tasks, places = [], []
        for number, (key, starts, stops) in enumerate(asked):
            groups = -(-len(starts) // GROUP)
            for first in range(groups):  # neighbours in different groups: one call would join them
                part = slice(first, None, groups)
                tasks.append(asyncio.ensure_future(self._group(key, starts[part], stops[part], urgent)))
                places.append((number, part))
        found: list[list[Any]] = [[None] * len(starts) for _, starts, _ in asked]
        for (number, part), bodies in zip(places, await _all(tasks), strict=True):
            found[number][part] = bodies
        return found

    async def whole(self, key: str, limit: int) -> bytes:
        """A small object. Raises StoreError as `ObjectStore.get` does."""

        async def call() -> bytes:
            answer = await obstore.get_async(self.client, key)
            if answer.meta["size"] > limit:
                raise _TooLongError(f"longer than {limit:,} bytes")
            return bytes(await answer.bytes_async())

        return bytes(await self._repeated(call, key, ""))

    async def first(self, key: str, size: int) -> bytes:
        """The first bytes of an object, or all of one that has fewer."""

        async def call() -> bytes:
            return bytes(await obstore.get_range_async(self.client, key, start=0, end=size))

        return bytes(await self._repeated(call, key, f", bytes 0 to {size}"))[:size]

    async def size(self, key: str) -> int:
        """Of an object, in bytes. Raises StoreError as `ObjectStore.open` does."""

        async def call() -> int:
            return int((await obstore.head_async(self.client, key))["size"])

        return int(await self._repeated(call, key, ""))

    async def _group(self, key: str, starts: Sequence[int], stops: Sequence[int], urgent: bool) -> Sequence[Any]:
        """A few ranges of an object in one call, and one by one where it fails."""
        count = len(starts)

        async def call() -> Any:
            if count == 1:
                return [await obstore.get_range_async(self.client, key, start=starts[0], end=stops[0])]
            return await obstore.get_ranges_async(self.client, key, starts=starts, ends=stops, coalesce=0)

        await self.gate.enter(count, urgent=urgent)
        begun = time.monotonic()
        try:
            bodies = await self._sent(call, count)
            lengths = list(map(len, bodies))
        except Exception as error:
            reason: Reason | None = reason_of(error)
        else:
            self.counter.add(fetched_bytes=sum(lengths))
            sizes = [stop - start for start, stop in zip(starts, stops, strict=True)]
            if lengths == sizes:
                return bodies
            if all(length >= size for length, size in zip(lengths, sizes, strict=True)):
                return [_cut(body, size) for body, size in zip(bodies, sizes, strict=True)]
            reason = None
        finally:
            self.gate.leave(count)
        if count == 1 and reason is not None:
            return [await self._one(key, starts[0], stops[0], begun, reason)]
        one_by_one = [self._one(key, *bounds, begun, reason) for bounds in zip(starts, stops, strict=True)]
        return await _all([asyncio.ensure_future(one) for one in one_by_one])

    async def _one(self, key: str, start: int, stop: int, begun: float, reason: Reason | None) -> Any:
        """One range, after an attempt has failed for some reason."""
        refused = reason is not None and reason.kind == "refused"

        async def call() -> Any:
            nonlocal refused
            body: Any = None
            if refused:
                body = await asyncio.to_thread(raw.ask, self.client, key, start, stop, RAW_SECONDS)
            try:
                if body is None:
                    body = await obstore.get_range_async(self.client, key, start=start, end=stop)
            except Exception as error:
                refused = reason_of(error).kind == "refused"
                raise
            self.counter.add(fetched_bytes=len(body))
            if len(body) < stop - start:
                raise _WrongLengthError(len(body))
            return _cut(body, stop - start)

        return await self._repeated(call, key, f", bytes {start} to {stop}", begun, reason or Reason("", "passing"))

    async def _repeated(
        self, call: Call, key: str, which: str, begun: float | None = None, reason: Reason | None = None
    ) -> Any:
        """What a call returns, repeated as long as that may help and there is time.

        Args:
            which: the range, for messages.
            begun, reason: of an attempt that has failed.
        """
        begun, attempts = time.monotonic() if begun is None else begun, 0 if reason is None else 1
        while True:
            if reason is not None:
                await self._wait(key, which, begun, attempts, reason)
            await self.gate.enter(1)
            try:
                found = await self._sent(call, 1, retries=int(attempts > 0))
            except _TooLongError as error:
                raise StoreError(f"{self.name(key)} is damaged, it is {error}; {AGAIN}") from None
            except Exception as error:
                reason = _own_reason(error) or reason_of(error)
            else:
                if isinstance(found, bytes):
                    self.counter.add(fetched_bytes=len(found))
                return found
            finally:
                self.gate.leave(1)
            attempts += 1

    async def _wait(self, key: str, which: str, begun: float, attempts: int, reason: Reason) -> None:
        """Wait before another attempt.

        Raises:
            StoreError: there is no use in one, or no time for it.
        """
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** (attempts - 1)) * random.uniform(0.5, 1.5) + reason.pause
        doubtful = reason.kind == "doubtful" or (reason.kind == "connect" and not self.answered)
        useless = reason.kind in ("missing", "final") or (doubtful and attempts >= DOUBTFUL_ATTEMPTS)
        spent = time.monotonic() - begun
        if useless or spent + delay > self.timeout:
            raise self._error(key, which, reason, attempts, spent)
        if reason.kind == "refused":
            self.gate.refused(reason.pause)
        await asyncio.sleep(delay)

    def _error(self, key: str, which: str, reason: Reason, attempts: int, seconds: float) -> StoreError:
        tried = f", after {attempts} attempts in {seconds:.1f} s" if attempts > 1 else ""
        if reason.kind == "missing":
            return MissingObjectError(f"{self.name(key)} is missing and cannot be read; {AGAIN}")
        advice = self.hint if reason.kind == "final" else "see whether the store answers, and start from a checkpoint"
        return UnreachableError(f"{self.name(key)}{which}: cannot be read, {reason.text}{tried}; {advice}")

    async def _sent(self, call: Call, count: int, retries: int = 0) -> Any:
        """What a call of so many requests returns; it is made twice if the first is far slower than others.

        Raises:
            Exception: both have failed; whatever obstore raises.
        """
        self.counter.add(requests=count, retries=retries)
        begun, slow = time.monotonic(), self.pace.slow()
        tasks = {asyncio.ensure_future(call())}
        try:
            done, left = await asyncio.wait(tasks, timeout=slow)
            if not done and not self.gate.is_full and self.pace.may_send_twice():
                self.counter.add(requests=count, retries=count)
                tasks.add(asyncio.ensure_future(call()))
            while True:
                if not done:
                    done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                best = next((task for task in done if not task.exception()), None)
                if best is None and left:
                    tasks, done = left, set()
                    continue
                result = (best or done.pop()).result()
                self.answered = True
                self.gate.answered(count)
                self.pace.took(time.monotonic() - begun)
                return result
        finally:
            for task in tasks:
                task.cancel()


def _cut(body: Any, size: int) -> Any:
    """A body without what was sent too much, as obstore does for several ranges; checksums say whether it is right."""
    return body if len(body) == size else memoryview(body)[:size]


class _WrongLengthError(Exception):
    """An answer of another length than the range has."""


def _own_reason(error: Exception) -> Reason | None:
    if isinstance(error, raw.RefusedError):
        return Reason(str(error), "refused", error.pause)
    if isinstance(error, _WrongLengthError):
        return Reason(f"{error.args[0]:,} bytes came, so it or the answer was cut", "doubtful")
    return None


async def _all(tasks: "Sequence[asyncio.Future[Any]]") -> list[Any]:
    """What all return; if one fails, the others are cancelled."""
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        raise
