"""How many requests are in flight: fewer after the store asks for it, more again as it answers."""

import asyncio
import time
from collections import deque

LEAST = 4
DEFAULT_IN_FLIGHT = 256
CALM_SECONDS = 0.5  # many requests in flight are refused at once: that counts as one refusal


class Gate:
    """Lets so many requests through at once; used in one event loop.

    After a refusal (503, 429) half as many are let through, and one more for each round that is answered; as in TCP's
    additive increase, multiplicative decrease.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.in_flight = 0
        self._limit = float(most)
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._refused = self._paused_until = 0.0

    def set_most(self, most: int) -> None:
        """Another number from now on; any thread may say it."""
        self.most, self._limit = most, float(most)

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return max(1, min(self.most, int(self._limit)))

    @property
    def is_full(self) -> bool:
        """Whether another request would have to wait."""
        return self.in_flight >= self.limit or bool(self._waiting)

    async def enter(self, count: int, *, urgent: bool = False) -> None:
        """Wait until so many more may be in flight; if there are none, any number may.

        Args:
            urgent: before all others that wait: somebody waits for the answer now.
        """
        while (pause := self._paused_until - time.monotonic()) > 0:
            await asyncio.sleep(pause)
        if not self._waiting and (self.in_flight == 0 or self.in_flight + count <= self.limit):
            self.in_flight += count
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if urgent else self._waiting.append)((count, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(count)
            raise

    def leave(self, count: int) -> None:
        """So many are not in flight any more."""
        self.in_flight -= count
        while self._waiting:
            count, turn = self._waiting[0]
            if self.in_flight and self.in_flight + count > self.limit:
                return
            self._waiting.popleft()
            if not turn.done():
                self.in_flight += count
                turn.set_result(None)

    def answered(self, count: int) -> None:
        """So many requests were answered."""
        if self._limit < self.most:
            self._limit = min(self.most, self._limit + count / max(1.0, self._limit))

    def refused(self, pause: float = 0.0) -> None:
        """The store wants fewer requests, and none for so many seconds."""
        now = time.monotonic()
        self._paused_until = max(self._paused_until, now + pause)
        if now - self._refused > CALM_SECONDS:
            self._refused, self._limit = now, max(float(min(LEAST, self.most)), self._limit / 2)
